// Tests of src/port/roots.ts over a made-up root directory.
// Neighbours: certificates.ts makes certificates with the subjects that Azure's roots have.
// Invariant: either PEM text with at least the two needed roots, or one line that says why not.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { loadRoots } from "../../src/port/roots.ts";
import { Authority } from "./certificates.ts";

const DIGICERT = "DigiCert Global Root G2";
const MICROSOFT = "Microsoft RSA Root Certificate Authority 2017";

let authority: Authority;
let root: string;
const pem = new Map<string, string>();

beforeAll(() => {
  authority = new Authority("Unrelated Root");
  pem.set("Unrelated Root", authority.pem);
  for (const subject of [DIGICERT, MICROSOFT, "DigiCert Global Root G3"]) {
    pem.set(subject, authority.selfSigned("root", subject, "DNS:unused").cert);
  }
});

afterAll(() => {
  authority.remove();
  rmSync(root, { recursive: true });
});

beforeEach(() => {
  if (root) rmSync(root, { recursive: true });
  root = mkdtempSync(join(tmpdir(), "azimuth-roots-"));
});

function put(path: string, text: string): string {
  const whole = join(root, path);
  mkdirSync(dirname(whole), { recursive: true });
  writeFileSync(whole, text);
  return whole;
}

function subjects(text: string): string[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block).subject.replace(/^CN=/, ""));
}

describe("the system's roots", () => {
  test("one file each in /etc/ssl/certs", () => {
    put("etc/ssl/certs/DigiCert_Global_Root_G2.pem", pem.get(DIGICERT)!);
    put("etc/ssl/certs/Microsoft_RSA_Root_Certificate_Authority_2017.pem", pem.get(MICROSOFT)!);
    put("etc/ssl/certs/DigiCert_Global_Root_G3.pem", pem.get("DigiCert Global Root G3")!);
    const found = subjects(loadRoots("", root));
    expect(found).toEqual([DIGICERT, MICROSOFT, "DigiCert Global Root G3"]);
  });

  test("one file each in /usr/share/ca-certificates, the optional ones absent", () => {
    const folder = "usr/share/ca-certificates/mozilla";
    put(`${folder}/DigiCert_Global_Root_G2.crt`, pem.get(DIGICERT)!);
    put(`${folder}/Microsoft_RSA_Root_Certificate_Authority_2017.crt`, pem.get(MICROSOFT)!);
    expect(subjects(loadRoots("", root))).toEqual([DIGICERT, MICROSOFT]);
  });

  test.each(["etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt"])(
    "picked by subject out of %s, and nothing else of it",
    (bundle) => {
      const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
      put(bundle, `# all\n${broken}\n${[...pem.values()].reverse().join("\n")}`);
      const found = subjects(loadRoots("", root)).sort();
      expect(found).toEqual([DIGICERT, "DigiCert Global Root G3", MICROSOFT].sort());
    },
  );

  test("one of the two from a file, the other from the bundle", () => {
    put("etc/ssl/certs/DigiCert_Global_Root_G2.pem", pem.get(DIGICERT)!);
    put("etc/pki/tls/certs/ca-bundle.crt", pem.get(MICROSOFT)!);
    expect(subjects(loadRoots("", root))).toEqual([DIGICERT, MICROSOFT]);
  });

  test("a missing one is named", () => {
    put("etc/ssl/certs/DigiCert_Global_Root_G2.pem", pem.get(DIGICERT)!);
    expect(() => loadRoots("", root)).toThrow(
      `no trusted root for Azure: ${MICROSOFT} not in ca-certificates; ` +
        "install the package ca-certificates or set ca-file",
    );
  });

  test("none at all: both are named", () => {
    expect(() => loadRoots("", root)).toThrow(`${DIGICERT} and ${MICROSOFT} not in`);
  });
});

describe("a file of one's own", () => {
  test("its certificates, and no key that lies beside them", () => {
    const path = put("own.pem", `${authority.leaf("own", "DNS:x").key}\n${authority.pem}`);
    const text = loadRoots(path, root);
    expect(subjects(text)).toEqual(["Unrelated Root"]);
    expect(text).not.toContain("PRIVATE KEY");
  });

  test("absent, a folder, without a certificate: one line that names it", () => {
    expect(() => loadRoots(join(root, "none.pem"))).toThrow(/none\.pem: no such file$/);
    expect(() => loadRoots(root)).toThrow(
      /: is a directory; a file of PEM certificates is needed$/,
    );
    const empty = put("empty.pem", "hello\n");
    expect(() => loadRoots(empty)).toThrow(/empty\.pem: holds no PEM certificate/);
    expect(() => loadRoots("/dev/null")).toThrow("ca-file /dev/null: not a plain file");
  });

  test("a damaged certificate is counted out", () => {
    const lines = authority.pem.split("\n");
    const shortened = [...lines.slice(0, 2), ...lines.slice(3)].join("\n");
    const path = put("damaged.pem", authority.pem + shortened);
    expect(() => loadRoots(path)).toThrow(/damaged\.pem: certificate 2 is damaged$/);
  });
});
