// Tests of src/port/certificate.ts: what a certificate says of itself, and every file that will
// not do.
// Neighbours: certificates.ts makes certificates with dates of choice; openssl all kinds of keys.
// Invariant: no problem shows a part of a key.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Credentials, loadCredentials } from "../../src/port/certificate.ts";
import { Authority, type Identity } from "./certificates.ts";

let authority: Authority;
let device: Identity;
let other: Identity;

beforeAll(() => {
  authority = new Authority("Makers of Gateways");
  const validity = { from: "20240102030405Z", until: "20340102030405Z" };
  device = authority.leaf("gw-1", "DNS:gw-1", validity, "clientAuth");
  other = authority.leaf("gw-2", "DNS:gw-2", undefined, "clientAuth");
});
afterAll(() => authority.remove());

const path = (name: string): string => join(authority.folder, name);

/** A file of the test's folder; its path. */
function file(name: string, text: string | Uint8Array, mode = 0o600): string {
  writeFileSync(path(name), text);
  chmodSync(path(name), mode);
  return path(name);
}

/** A key as openssl makes it. */
function key(name: string, ...words: string[]): string {
  const { exitCode, stderr } = Bun.spawnSync(["openssl", ...words, "-out", path(name)], {
    cwd: authority.folder,
  });
  if (exitCode !== 0) throw new Error(`openssl ${words}: ${stderr}`);
  chmodSync(path(name), 0o600);
  return path(name);
}

const load = (certificate = device.cert, secret = device.key) =>
  loadCredentials(file("own.pem", certificate), file("own.key", secret));

function loaded(certificate?: string, secret?: string): Credentials {
  const found = load(certificate, secret);
  if ("problem" in found) throw new Error(found.problem);
  return found;
}

describe("a certificate with its key", () => {
  test("says who it is for and how long it is good", () => {
    expect(loaded()).toMatchObject({
      commonName: "gw-1",
      fromS: Date.UTC(2024, 0, 2, 3, 4, 5) / 1000,
      untilS: Date.UTC(2034, 0, 2, 3, 4, 5) / 1000,
      warning: "",
    });
    const told = Bun.spawnSync(
      ["openssl", "x509", "-in", path("own.pem"), "-noout", "-fingerprint", "-sha256"],
      { stdout: "pipe" },
    ).stdout.toString();
    const fingerprint = told.split("=")[1]!.trim().replaceAll(":", "").toLowerCase();
    expect(loaded().fingerprint).toBe(fingerprint);
  });

  test("is shown with those above it, in the order of the file, and nothing else", () => {
    const chain = `Bag Attributes\n${device.cert}noise\n${authority.pem}`;
    const { shown } = loaded(chain);
    expect(shown.cert).toBe(`${device.cert.trim()}\n${authority.pem.trim()}\n`);
    expect(shown.key).toBe(device.key);
  });

  test("may be in one file with the key, which is RSA or EC in any form", () => {
    expect(loaded(device.cert + device.key, device.cert + device.key).shown).toEqual({
      cert: `${device.cert.trim()}\n`,
      key: device.key,
    });
    const sec1 = key("sec1.key", "ec", "-in", "gw-1.key");
    expect(loadCredentials(path("gw-1.crt"), sec1)).toMatchObject({ commonName: "gw-1" });
    key("rsa.key", "genpkey", "-algorithm", "RSA");
    const subject = ["-subj", "/O=lab/CN=rsa device", "-days", "3"];
    const rsa = key("rsa.crt", "req", "-x509", "-new", "-key", "rsa.key", ...subject);
    const pkcs1 = key("pkcs1.key", "rsa", "-in", "rsa.key", "-traditional");
    expect(loadCredentials(rsa, pkcs1)).toMatchObject({ commonName: "rsa device" });
  });

  test("warns of a key that others may read", () => {
    const open = file("open.key", device.key, 0o644);
    expect(loadCredentials(path("gw-1.crt"), open)).toMatchObject({
      warning: `${open}: others may read this secret (mode 0644); chmod 600 it`,
    });
  });

  test("of no common name has none", () => {
    key("bare.key", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256");
    const bare = key("bare.crt", "req", "-x509", "-new", "-key", "bare.key", "-subj", "/O=lab");
    expect(loadCredentials(bare, path("bare.key"))).toMatchObject({ commonName: "" });
  });
});

describe("what will not do is told by file, without the key", () => {
  const problem = (found: ReturnType<typeof load>): string => {
    if (!("problem" in found)) throw new Error("no problem was found");
    return `${found.key}: ${found.problem.replaceAll(authority.folder, "")}`;
  };

  test("files that cannot be read", () => {
    const own = file("own.pem", device.cert);
    expect(problem(loadCredentials(path("none"), path("none")))).toBe(
      "certificate-file: /none: no such file",
    );
    expect(problem(loadCredentials(own, path("none")))).toBe(
      "private-key-file: /none: no such file",
    );
    mkdirSync(path("folder"));
    expect(problem(loadCredentials(own, path("folder")))).toBe(
      "private-key-file: /folder: not a plain file",
    );
    const long = file("long", "x".repeat(64 * 1024 + 1));
    expect(problem(loadCredentials(long, own))).toBe("certificate-file: /long: longer than 64 KB");
  });

  test("certificates that are none, damaged, or not the device's", () => {
    const none = 'certificate-file: /own.pem: holds no PEM certificate ("BEGIN CERTIFICATE")';
    expect(problem(load(""))).toBe(none);
    expect(problem(load(device.key))).toBe(none);
    const cut = device.cert.replace(/\n.{64}\n/, "\n");
    expect(problem(load(cut))).toBe("certificate-file: /own.pem: certificate 1 is damaged");
    expect(problem(load(device.cert + cut))).toBe(
      "certificate-file: /own.pem: certificate 2 is damaged",
    );
    expect(problem(load(other.cert))).toBe(
      "certificate-file: /own.pem: its first certificate has another key than the one in " +
        "private-key-file",
    );
    expect(problem(load(authority.pem + device.cert))).toBe(
      "certificate-file: /own.pem: the device's own certificate is number 2; put it first",
    );
  });

  test("keys that are none, damaged, encrypted, or of another kind", () => {
    const own = file("own.pem", device.cert);
    expect(problem(load(device.cert, device.cert))).toBe(
      'private-key-file: /own.key: holds no PEM private key ("BEGIN PRIVATE KEY")',
    );
    const cut = device.key.replace(/\n.{64}\n/, "\n");
    expect(problem(load(device.cert, cut))).toBe(
      "private-key-file: /own.key: the private key is damaged",
    );
    const lock = ["-aes256", "-passout", "pass:word"];
    key("pkcs8.key", "pkey", "-in", "gw-1.key", ...lock);
    key("old.key", "ec", "-in", "gw-1.key", ...lock);
    for (const name of ["pkcs8.key", "old.key"]) {
      expect(problem(loadCredentials(own, path(name)))).toBe(
        `private-key-file: /${name}: the key is encrypted, and nobody is there to type a ` +
          "password; decrypt it",
      );
    }
    const edwards = key("edwards.key", "genpkey", "-algorithm", "ed25519");
    expect(problem(loadCredentials(own, edwards))).toBe(
      "private-key-file: /edwards.key: a key of this kind opens no hub; allowed: RSA or EC",
    );
  });
});
