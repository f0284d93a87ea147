// Certificate: the device's own certificate and its key, from two PEM files.
// Neighbours: `command/configuration` reads them; the ports of TLS and HTTPS show them.
// Invariant: what is returned can be shown as it is: the key is in the clear and belongs to the
// first certificate; no part of the key is in a message.

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import type { Shown } from "../core/effects.ts";

const FILE_BYTES_MAX = 64 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;
const PRIVATE_KEY = /-----BEGIN ((?:RSA |EC )?PRIVATE KEY)-----[\s\S]+?-----END \1-----/;
const ENCRYPTED = /BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: *4, *ENCRYPTED/;
const KINDS = ["ec", "rsa"];

/** What can be shown, and what the certificate says of itself. */
export interface Credentials {
  readonly shown: Shown;
  readonly commonName: string;
  /** SHA-256 of the certificate, 64 hexadecimal digits. */
  readonly fingerprint: string;
  /** From when until when it is good, in Unix s. */
  readonly fromS: number;
  readonly untilS: number;
  /** "" or one line: others may read the key. */
  readonly warning: string;
}

/** Why there is nothing to show. */
export interface CredentialsProblem {
  /** Key of the settings whose file it is about. */
  readonly key: "certificate-file" | "private-key-file";
  /** One line without any part of the key. */
  readonly problem: string;
}

/**
 * Reads a certificate, those above it, and its key; each file at most 64 KB of PEM (RFC 7468).
 * RSA or EC, for IoT Hub and DPS take no other (azure-docs, iot-hub, tls-support).
 */
export function loadCredentials(
  certificateFile: string,
  keyFile: string,
): Credentials | CredentialsProblem {
  const chain = readSmall(certificateFile);
  if (typeof chain === "string") return { key: "certificate-file", problem: chain };
  const secret = readSmall(keyFile);
  if (typeof secret === "string") return { key: "private-key-file", problem: secret };
  // Loaded here alone: node:crypto costs 2.7 MB, and most devices have no certificate.
  const crypto = process.getBuiltinModule("node:crypto");
  const blocks = chain.text.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) {
    const problem = `${certificateFile}: holds no PEM certificate ("BEGIN CERTIFICATE")`;
    return { key: "certificate-file", problem };
  }
  const certificates = blocks.map((block) => tried(() => new crypto.X509Certificate(block)));
  const damaged = certificates.indexOf(undefined);
  if (damaged >= 0) {
    const problem = `${certificateFile}: certificate ${damaged + 1} is damaged`;
    return { key: "certificate-file", problem };
  }
  const key = clearKey(secret.text);
  if ("problem" in key) return { key: "private-key-file", problem: `${keyFile}: ${key.problem}` };
  const secretKey = tried(() => crypto.createPrivateKey(key.text));
  if (secretKey === undefined) {
    return { key: "private-key-file", problem: `${keyFile}: the private key is damaged` };
  }
  if (!KINDS.includes(secretKey.asymmetricKeyType ?? "")) {
    const problem = `${keyFile}: a key of this kind opens no hub; allowed: RSA or EC`;
    return { key: "private-key-file", problem };
  }
  const owner = certificates.findIndex((one) => one!.checkPrivateKey(secretKey));
  if (owner !== 0)
    return { key: "certificate-file", problem: orderProblem(certificateFile, owner) };
  const own = certificates[0]!;
  return {
    shown: { cert: `${blocks.join("\n")}\n`, key: key.text },
    commonName: /^CN=(.*)$/m.exec(own.subject ?? "")?.[1] ?? "",
    fingerprint: own.fingerprint256.replaceAll(":", "").toLowerCase(),
    fromS: Date.parse(own.validFrom) / 1000,
    untilS: Date.parse(own.validTo) / 1000,
    warning: warningOf(keyFile, secret.mode),
  };
}

function orderProblem(file: string, owner: number): string {
  return owner < 0
    ? `${file}: its first certificate has another key than the one in private-key-file`
    : `${file}: the device's own certificate is number ${owner + 1}; put it first`;
}

function clearKey(text: string): { readonly text: string } | { readonly problem: string } {
  if (ENCRYPTED.test(text)) {
    return { problem: "the key is encrypted, and nobody is there to type a password; decrypt it" };
  }
  const block = PRIVATE_KEY.exec(text)?.[0];
  return block === undefined
    ? { problem: 'holds no PEM private key ("BEGIN PRIVATE KEY")' }
    : { text: `${block}\n` };
}

function warningOf(path: string, fileMode: number): string {
  const mode = (fileMode & 0o777).toString(8).padStart(4, "0");
  const isOpen = (fileMode & 0o044) !== 0;
  return isOpen ? `${path}: others may read this secret (mode ${mode}); chmod 600 it` : "";
}

function tried<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

interface SmallFile {
  readonly text: string;
  readonly mode: number;
}

/** The file, or one line that names it and says why it cannot be read. */
function readSmall(path: string): SmallFile | string {
  let descriptor = -1;
  try {
    // O_NONBLOCK because opening a FIFO without a writer would hold up the loop.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = fstatSync(descriptor);
    if (!status.isFile()) return `${path}: not a plain file`;
    if (status.size > FILE_BYTES_MAX) return `${path}: longer than ${FILE_BYTES_MAX / 1024} KB`;
    const bytes = Buffer.alloc(FILE_BYTES_MAX);
    let length = 0;
    let count = 0;
    do {
      count = readSync(descriptor, bytes, length, bytes.length - length, null);
      length += count;
    } while (count > 0 && length < bytes.length);
    return { text: bytes.toString("latin1", 0, length), mode: status.mode };
  } catch (error) {
    return `${path}: ${reason(error)}`;
  } finally {
    if (descriptor >= 0) closeSync(descriptor);
  }
}

function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  switch (code) {
    case "ENOENT":
      return "no such file";
    case "EACCES":
      return "permission denied; the agent must be able to read it";
    default:
      return `cannot be read: ${code ?? error}`;
  }
}
