// The certificates that an uplink trusts: a given file, or the roots that Azure publishes.
// Neighbours: main loads them and puts the PEM text into the targets of uplink and probe.
// Invariant: what is returned holds at least one certificate, so no connection can fall back
// to the larger set that the runtime was built with.

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/**
 * Roots of IoT Hub and DPS (azure-docs, iot-hub-tls-support: "Root certificates"), by the name of
 * their file in ca-certificates and of their subject. The first two must be there.
 */
const AZURE_ROOTS = [
  { file: "DigiCert_Global_Root_G2", subject: "DigiCert Global Root G2", isNeeded: true },
  {
    file: "Microsoft_RSA_Root_Certificate_Authority_2017",
    subject: "Microsoft RSA Root Certificate Authority 2017",
    isNeeded: true,
  },
  {
    file: "Microsoft_ECC_Root_Certificate_Authority_2017",
    subject: "Microsoft ECC Root Certificate Authority 2017",
    isNeeded: false,
  },
  { file: "DigiCert_Global_Root_G3", subject: "DigiCert Global Root G3", isNeeded: false },
] as const;

const BUNDLES = ["etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt"] as const;
const FILE_BYTES_MAX = 1024 * 1024;
const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * PEM text of the trusted roots: those in `caFile`, or for "" the ones that Azure publishes for
 * IoT Hub and DPS, taken from the system's ca-certificates under `root` ("/" but in tests).
 * Throws an Error whose message is one line that names the file and what to do.
 */
export function loadRoots(caFile: string, root = "/"): string {
  return caFile === "" ? systemRoots(root) : fileRoots(caFile);
}

function fileRoots(caFile: string): string {
  let text: string;
  try {
    const status = statSync(caFile);
    if (status.isFile() && status.size > FILE_BYTES_MAX) throw new Error("longer than 1 MB");
    if (!status.isFile() && !status.isDirectory()) throw new Error("not a plain file");
    text = readFileSync(caFile, "utf8");
  } catch (error) {
    throw new Error(`ca-file ${caFile}: ${reason(error)}`);
  }
  const blocks = text.match(BLOCK) ?? [];
  if (blocks.length === 0) {
    throw new Error(`ca-file ${caFile}: holds no PEM certificate ("BEGIN CERTIFICATE")`);
  }
  const damaged = blocks.findIndex((block) => !isWhole(block));
  if (damaged >= 0) throw new Error(`ca-file ${caFile}: certificate ${damaged + 1} is damaged`);
  return `${blocks.join("\n")}\n`;
}

/** Whether the base64 inside is one DER sequence, no shorter and no longer (X.690, 8.1). */
function isWhole(block: string): boolean {
  try {
    const der = Uint8Array.fromBase64(block.replace(/-----[^-]+-----/g, ""));
    return der[0] === 0x30 && der[1] === 0x82 && der.length === 4 + (der[2]! << 8) + der[3]!;
  } catch {
    return false;
  }
}

function systemRoots(root: string): string {
  const found = new Map<string, string>();
  for (const { file, subject } of AZURE_ROOTS) {
    const block =
      firstBlock(join(root, "etc/ssl/certs", `${file}.pem`)) ??
      firstBlock(join(root, "usr/share/ca-certificates/mozilla", `${file}.crt`));
    if (block !== undefined) found.set(subject, block);
  }
  if (missing(found).length > 0) pickFromBundle(root, found);
  const absent = missing(found);
  if (absent.length > 0) {
    throw new Error(
      `no trusted root for Azure: ${absent.join(" and ")} not in ca-certificates; ` +
        "install the package ca-certificates or set ca-file",
    );
  }
  return `${[...found.values()].join("\n")}\n`;
}

function missing(found: Map<string, string>): string[] {
  return AZURE_ROOTS.filter((each) => each.isNeeded && !found.has(each.subject)).map(
    (each) => each.subject,
  );
}

function firstBlock(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").match(BLOCK)?.[0];
  } catch {
    return undefined;
  }
}

/** Systems that keep no file per certificate have one bundle, where only the subject tells. */
function pickFromBundle(root: string, found: Map<string, string>): void {
  for (const bundle of BUNDLES) {
    let blocks: string[] = [];
    try {
      blocks = readFileSync(join(root, bundle), "utf8").match(BLOCK) ?? [];
    } catch {
      continue;
    }
    // Loaded here alone: node:crypto costs 2.7 MB, and most systems keep the files apart.
    const { X509Certificate } = process.getBuiltinModule("node:crypto");
    for (const block of blocks) {
      const name = commonName(() => new X509Certificate(block).subject);
      if (AZURE_ROOTS.some((each) => each.subject === name)) found.set(name, block);
    }
    if (missing(found).length === 0) return;
  }
}

function commonName(subject: () => string): string {
  try {
    return /^CN=(.*)$/m.exec(subject())?.[1] ?? "";
  } catch {
    return "";
  }
}

/** An errno in words. */
function reason(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case "ENOENT":
      return "no such file";
    case "EACCES":
      return "permission denied; the agent must be able to read it";
    case "EISDIR":
      return "is a directory; a file of PEM certificates is needed";
    default:
      return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  }
}
