/**
 * Certificates for tests: authorities and devices, made with the openssl command in a temporary
 * folder. Neighbours: the X.509 tests of the provisioning service. Invariant: each folder goes when
 * `remove` is called; nothing here is known to the model but what a test hands over.
 */
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Peer } from "./model/peer.ts";
import type { Shown } from "./wire.ts";

/** Life of every certificate, from now. */
export const LIFE_DAYS = 30;

/** What a certificate is to be like. */
export interface Wanted {
  isAuthority?: boolean;
  type?: "ec" | "rsa";
}

/** One certificate with its key and those above it. */
export class Holder {
  constructor(
    readonly name: string,
    readonly cert: string,
    readonly key: string,
    /** The issuer, undefined for a self-signed one. */
    readonly issuer: Holder | undefined,
  ) {}

  get der(): Buffer {
    return Buffer.from(new X509Certificate(this.cert).raw);
  }

  /** What TLS shows: this one and `above` authorities. */
  shown(above = 0): Shown {
    let cert = this.cert;
    let next = this.issuer;
    for (let count = 0; count < above && next !== undefined; count++) {
      cert += next.cert;
      next = next.issuer;
    }
    return { cert, key: this.key };
  }

  /** The same as the model gets it. */
  peer(above = 0): Peer {
    const chain = [this.der];
    let next = this.issuer;
    for (let count = 0; count < above && next !== undefined; count++) {
      chain.push(next.der);
      next = next.issuer;
    }
    return { chain };
  }
}

/** Makes certificates in one folder. */
export class Issuer {
  private readonly folder = mkdtempSync(join(tmpdir(), "azure-issuer-"));
  private count = 0;

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A certificate under `issuer`, or a self-signed one. */
  make(name: string, issuer?: Holder, wanted: Wanted = {}): Holder {
    const file = `c${++this.count}`;
    const type =
      wanted.type === "rsa" ? ["rsa:2048"] : ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const subject = `/O=lab/CN=${name}`;
    const files = ["-keyout", `${file}.key`, "-out", `${file}.csr`];
    this.run("req", "-new", "-newkey", ...type, "-nodes", "-subj", subject, ...files);
    const isAuthority = wanted.isAuthority === true;
    this.write(`${file}.ext`, `basicConstraints=critical,CA:${isAuthority ? "TRUE" : "FALSE"}\n`);
    this.sign(file, issuer);
    const read = (end: string): string => readFileSync(join(this.folder, `${file}.${end}`), "utf8");
    return new Holder(name, read("pem"), read("key"), issuer);
  }

  /** A root and an authority under it. */
  authorities(name: string, type: "ec" | "rsa" = "ec"): { root: Holder; middle: Holder } {
    const root = this.make(`${name} root`, undefined, { isAuthority: true, type });
    return { root, middle: this.make(`${name} middle`, root, { isAuthority: true, type }) };
  }

  private sign(file: string, issuer: Holder | undefined): void {
    const by = [];
    if (issuer === undefined) {
      by.push("-signkey", `${file}.key`);
    } else {
      this.write("by.pem", issuer.cert);
      this.write("by.key", issuer.key);
      by.push("-CA", "by.pem", "-CAkey", "by.key", "-CAcreateserial");
    }
    const life = ["-days", `${LIFE_DAYS}`, "-extfile", `${file}.ext`, "-sha256"];
    const out = ["-out", `${file}.pem`];
    this.run("x509", "-req", "-in", `${file}.csr`, ...by, ...life, ...out);
  }

  private write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text, { mode: 0o600 });
  }

  private run(...parameters: readonly string[]): void {
    const { exitCode, stderr } = Bun.spawnSync(["openssl", ...parameters], {
      cwd: this.folder,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    if (exitCode !== 0) throw new Error(`openssl: ${stderr.toString()}`);
  }
}
