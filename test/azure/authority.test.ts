/**
 * The emulator's certificate authority: what it makes, keeps and renews. Neighbours:
 * `socket.test.ts` uses it over TLS. Invariant: checked with the openssl command and node's own
 * X.509 reader.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials } from "./server/authority.ts";

const root = mkdtempSync(join(tmpdir(), "azure-authority-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const read = (folder: string, name: string) => readFileSync(join(folder, name), "utf8");

describe("authority", () => {
  for (const type of ["ec", "rsa"] as const) {
    test(`${type}: one certificate for all names, signed by the root`, () => {
      const folder = join(root, type);
      const made = credentials(folder, ["hub.example", "192.0.2.7"], type);
      const server = new X509Certificate(made.certificate);
      const authority = new X509Certificate(readFileSync(made.caFile));
      expect(server.verify(authority.publicKey)).toBe(true);
      expect(authority.ca).toBe(true);
      expect(server.ca).toBe(false);
      expect(server.publicKey.asymmetricKeyType).toBe(type);
      for (const name of ["localhost", "hub.example"]) expect(server.checkHost(name)).toBe(name);
      for (const name of ["127.0.0.1", "::1", "192.0.2.7"]) {
        expect(server.checkIP(name)).toBeDefined();
      }
      expect(server.checkHost("other.example")).toBeUndefined();
      for (const name of ["ca.key", "server.key"]) {
        expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
      }
      expect(statSync(folder).mode & 0o777).toBe(0o700);
    });
  }

  test("is kept as it is while it fits", () => {
    const folder = join(root, "kept");
    const first = credentials(folder, ["a.example"], "ec");
    const root1 = read(folder, "ca.pem");
    const second = credentials(folder, ["a.example"], "ec");
    expect(second).toEqual(first);
    expect(read(folder, "ca.pem")).toBe(root1);
  });

  test("another name makes another certificate under the same root", () => {
    const folder = join(root, "names");
    const first = credentials(folder, ["a.example"], "ec");
    const root1 = read(folder, "ca.pem");
    const second = credentials(folder, ["b.example"], "ec");
    expect(second.certificate).not.toBe(first.certificate);
    expect(new X509Certificate(second.certificate).checkHost("b.example")).toBe("b.example");
    expect(read(folder, "ca.pem")).toBe(root1);
  });

  test("a certificate that is about to end is renewed", () => {
    const folder = join(root, "old");
    const first = credentials(folder, ["a.example"], "ec");
    const sign = [
      "openssl",
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
    ];
    const rest = ["-nodes", "-days", "3", "-subj", "/CN=old", "-keyout", "x.key", "-out", "x.pem"];
    expect(Bun.spawnSync([...sign, ...rest], { cwd: folder }).exitCode).toBe(0);
    writeFileSync(join(folder, "server.pem"), read(folder, "x.pem"));
    const second = credentials(folder, ["a.example"], "ec");
    expect(second.certificate).not.toBe(first.certificate);
    expect(second.certificate).not.toBe(read(folder, "x.pem"));
    const authority = new X509Certificate(readFileSync(second.caFile));
    expect(new X509Certificate(second.certificate).verify(authority.publicKey)).toBe(true);
  });
});
