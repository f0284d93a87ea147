// Gate: a socket before swtpm that tells of each command before it is let through.
// Neighbours: tests that end a program in the middle of its work; `swtpm` is behind it.
// Invariant: a command that has come is carried out by the TPM, also when its sender is gone.

import { createConnection, createServer, type Server } from "node:net";

/** Hears of a command's code; the command goes on when the promise is fulfilled. */
export type Watch = (code: number) => Promise<void> | void;

/** Of a command: it has come; it was handed to the TPM; its answer has come, and goes on next. */
export type Moment = "asked" | "sent" | "answered";

/** Serves at `path` for the socket `target`, one client after the other. */
export function startGate(
  path: string,
  target: string,
  watch: Watch,
  onMoment: (moment: Moment) => void = () => {},
): Promise<Server> {
  const { promise, resolve } = Promise.withResolvers<Server>();
  const server = createServer((client) => {
    const tpm = createConnection({ path: target });
    let isGone = false;
    let inside = 0;
    const leave = () => {
      if (isGone && inside === 0) tpm.destroy();
    };
    client.on("data", async (command) => {
      inside += 1;
      await watch(Buffer.from(command).readUInt32BE(6));
      onMoment("asked");
      tpm.write(command);
      onMoment("sent");
    });
    tpm.on("data", (answer) => {
      inside -= 1;
      onMoment("answered");
      if (!isGone) client.write(answer);
      leave();
    });
    client.on("error", () => {});
    client.on("close", () => {
      isGone = true;
      leave();
    });
    tpm.on("close", () => client.destroy());
    tpm.on("error", () => client.destroy());
  });
  server.listen(path, () => resolve(server));
  return promise;
}
