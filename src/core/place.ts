// Place: where a TPM is, as an operator writes it.
// Neighbours: `usage` reads it from the command line; `main` makes the chip for it.
// Invariant: pure; a text is exactly one place, or none.

/** A device file of the kernel, or where swtpm listens: a TCP port or a unix socket. */
export type TpmPlace =
  | { readonly device: string }
  | { readonly host: string; readonly port: number }
  | { readonly path: string };

/** The TPM of the gateway, shared out by the kernel. */
export const TPM_DEVICE = "/dev/tpmrm0";

/** What {@link parsePlace} takes, in words. */
export const PLACE_WORDS = "a device like /dev/tpmrm0, swtpm:HOST:PORT or swtpm:/PATH of a socket";

const DEVICE = /^\/[!-~]{1,255}$/;
const SOCKET = /^swtpm:(\/[!-~]{1,106})$/;
const PORT = /^swtpm:([A-Za-z0-9.-]{1,253}):([1-9][0-9]{0,4})$/;
const PORT_MAX = 65_535;

/** The place that `text` names (a socket's path has at most 107 bytes), or undefined. */
export function parsePlace(text: string): TpmPlace | undefined {
  if (DEVICE.test(text)) return { device: text };
  const path = SOCKET.exec(text)?.[1];
  if (path !== undefined) return { path };
  const [, host, digits] = PORT.exec(text) ?? [];
  const port = Number(digits);
  return host !== undefined && port <= PORT_MAX ? { host, port } : undefined;
}
