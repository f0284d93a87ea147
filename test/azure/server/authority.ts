/**
 * The emulator's own certificate authority: made once with the openssl command, kept in a folder,
 * signs one server certificate for all names the emulator is reached by. Neighbours: `serve.ts`
 * asks for the files. Invariant: private keys have mode 0600 in a 0700 folder; the authority stays
 * the same for the life of the folder, the server certificate is renewed when it no longer fits.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";

export type CertificateType = "ec" | "rsa";

/** What a TLS server needs, PEM. */
export interface Credentials {
  certificate: string;
  key: string;
  /** File to give to clients as their only root. */
  caFile: string;
}

const AUTHORITY_DAYS = 3650;
const SERVER_DAYS = 90;
/** A certificate that ends within this time is renewed at start, s. */
const RENEW_S = 604_800;

function run(parameters: readonly string[], folder: string) {
  try {
    return Bun.spawnSync(["openssl", ...parameters], {
      cwd: folder,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
  } catch {
    throw new Error("the openssl command is needed to make certificates, and is not there");
  }
}

function openssl(parameters: readonly string[], folder: string): boolean {
  const { exitCode, stderr } = run(parameters, folder);
  if (exitCode === 0) return true;
  if (parameters[0] === "x509" && parameters.includes("-checkend")) return false;
  const text = stderr.toString().trim().split("\n").pop();
  throw new Error(`openssl ${parameters[0]} failed: ${text ?? `exit code ${exitCode}`}`);
}

function keyParameters(type: CertificateType): string[] {
  return type === "ec"
    ? ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    : ["-newkey", "rsa:2048"];
}

function alternativeNames(names: readonly string[]): string {
  const all = new Set(["localhost", "127.0.0.1", "::1", ...names]);
  return [...all].map((name) => `${isIP(name) === 0 ? "DNS" : "IP"}:${name}`).join(",");
}

/** Runs with new files readable by the owner only. */
function withPrivateFiles(work: () => void): void {
  const old = process.umask(0o077);
  try {
    work();
  } finally {
    process.umask(old);
  }
}

function makeAuthority(folder: string, type: CertificateType): void {
  const subject = "/O=azimuth/CN=azimuth local Azure root";
  const usage = "keyUsage=critical,keyCertSign,cRLSign";
  openssl(
    [
      "req",
      "-x509",
      ...keyParameters(type),
      "-nodes",
      "-sha256",
      "-days",
      `${AUTHORITY_DAYS}`,
    ].concat(["-subj", subject, "-addext", usage, "-keyout", "ca.key", "-out", "ca.pem"]),
    folder,
  );
}

function makeServer(folder: string, type: CertificateType, names: string): void {
  const extensions = [
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature,keyEncipherment",
    "extendedKeyUsage=serverAuth",
    `subjectAltName=${names}`,
  ];
  writeFileSync(join(folder, "server.ext"), `${extensions.join("\n")}\n`);
  openssl(
    ["req", ...keyParameters(type), "-nodes", "-sha256", "-subj", "/CN=azimuth local Azure"].concat(
      ["-keyout", "server.key", "-out", "server.csr"],
    ),
    folder,
  );
  openssl(
    ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-sha256"]
      .concat(["-CAcreateserial", "-days", `${SERVER_DAYS}`, "-extfile", "server.ext"])
      .concat(["-out", "server.pem"]),
    folder,
  );
  writeFileSync(join(folder, "server.names"), `${type} ${names}\n`);
  for (const file of ["server.csr", "server.ext"]) rmSync(join(folder, file));
}

function isServerFit(folder: string, label: string): boolean {
  const file = (name: string): string => join(folder, name);
  if (!["server.pem", "server.key", "server.names"].every((name) => existsSync(file(name)))) {
    return false;
  }
  if (readFileSync(file("server.names"), "utf8").trim() !== label) return false;
  const end = ["x509", "-in", "server.pem", "-noout", "-checkend", `${RENEW_S}`];
  return openssl(end, folder);
}

/**
 * Credentials for a server under `names` besides localhost, 127.0.0.1 and ::1. Makes what is
 * missing or out of date in `folder`. Throws when openssl is missing or fails.
 */
export function credentials(
  folder: string,
  names: readonly string[],
  type: CertificateType,
): Credentials {
  const file = (name: string): string => join(folder, name);
  withPrivateFiles(() => {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (!existsSync(file("ca.key")) || !existsSync(file("ca.pem"))) {
      makeAuthority(folder, type);
      rmSync(file("server.pem"), { force: true });
    }
    const alternative = alternativeNames(names);
    if (!isServerFit(folder, `${type} ${alternative}`)) makeServer(folder, type, alternative);
  });
  return {
    certificate: readFileSync(file("server.pem"), "utf8"),
    key: readFileSync(file("server.key"), "utf8"),
    caFile: file("ca.pem"),
  };
}
