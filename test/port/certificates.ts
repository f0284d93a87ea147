// Certificates for the tests of ports that speak TLS, made afresh by the openssl command.
// Neighbours: tls.test.ts, https.test.ts and roots.test.ts; bench and soak may use it too.
// Invariant: everything lies in one temporary folder, which `remove` deletes.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate and its key as PEM texts. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** Dates as openssl takes them: YYYYMMDDHHMMSSZ. */
export interface Validity {
  readonly from: string;
  readonly until: string;
}

const LONG: Validity = { from: "20200101000000Z", until: "20450101000000Z" };

const SIGNING = `[ca]
default_ca = all
[all]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
`;

/** A certificate authority in a temporary folder. */
export class Authority {
  readonly folder = mkdtempSync(join(tmpdir(), "azimuth-certificates-"));
  readonly pem: string;

  constructor(name: string) {
    writeFileSync(join(this.folder, "index"), "");
    writeFileSync(join(this.folder, "serial"), "01\n");
    writeFileSync(join(this.folder, "signing.cnf"), SIGNING);
    this.pem = this.selfSigned("ca", name, "DNS:unused").cert;
  }

  /** A certificate signed by this authority for subject alternative names like `DNS:localhost`. */
  leaf(name: string, names: string, validity = LONG, usage = "serverAuth"): Identity {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    this.openssl(
      ["req", "-new", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`],
      ["-subj", `/CN=${name}`, "-addext", `subjectAltName=${names}`],
      ["-addext", `extendedKeyUsage=${usage}`],
    );
    this.openssl(
      ["ca", "-batch", "-config", "signing.cnf", "-cert", "ca.crt", "-keyfile", "ca.key"],
      ["-in", `${name}.csr`, "-out", `${name}.crt`, "-notext"],
      ["-startdate", validity.from, "-enddate", validity.until],
    );
    return this.read(name);
  }

  /** A certificate that vouches for itself. */
  selfSigned(name: string, subject: string, names: string): Identity {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    this.openssl(
      ["req", "-x509", ...key, "-keyout", `${name}.key`, "-out", `${name}.crt`],
      ["-days", "3650", "-subj", `/CN=${subject}`, "-addext", `subjectAltName=${names}`],
    );
    return this.read(name);
  }

  /** Deletes the folder. */
  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  private openssl(...words: string[][]): void {
    const run = Bun.spawnSync(["openssl", ...words.flat()], { cwd: this.folder });
    if (run.exitCode !== 0) throw new Error(`openssl ${words.flat()}: ${run.stderr}`);
  }

  private read(name: string): Identity {
    return {
      cert: readFileSync(join(this.folder, `${name}.crt`), "utf8"),
      key: readFileSync(join(this.folder, `${name}.key`), "utf8"),
    };
  }
}
