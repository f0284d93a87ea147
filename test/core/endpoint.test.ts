// Endpoint, tested: connection strings, the types of endpoint, and what goes with which.
// Neighbours: `src/core/endpoint.ts`; `validate.test` has the rest of a settings file.
// Invariant: the messages are written out in full, as a person at a serial console reads them.

import { describe, expect, test } from "bun:test";
import { type FileText, filesWanted } from "../../src/core/endpoint.ts";
import { PLACE_WORDS } from "../../src/core/place.ts";
import { isInTpm } from "../../src/core/settings.ts";
import { CONNECTION, entries, KEY, problemsOf, settingsOf, withLines } from "./file.ts";

describe("files wanted", () => {
  test("none, the one named, none when the path is faulty", () => {
    expect(filesWanted(entries(withLines("")))).toEqual([]);
    expect(filesWanted(entries("[endpoint]\nconnection-string-file = /a/b"))).toEqual(["/a/b"]);
    expect(filesWanted(entries("[endpoint]\nconnection-string-file = b"))).toEqual([]);
  });
});

const ONE_OF = "allowed: exactly one of connection-string and connection-string-file";
describe("the connection string", () => {
  test("given twice, inline and as a file", () => {
    const beside = "cannot stand beside";
    expect(problemsOf(withLines("connection-string-file = /k"))).toEqual([
      "a.ini:3: [endpoint] connection-string-file: " +
        `${beside} connection-string of line 2; ${ONE_OF}`,
    ]);
    const text = `[endpoint]\nconnection-string-file = /k\nconnection-string = ${CONNECTION}`;
    expect(problemsOf(text)).toEqual([
      "a.ini:3: [endpoint] connection-string: " +
        `${beside} connection-string-file of line 2; ${ONE_OF}`,
    ]);
  });

  test("missing: in an empty file, beside other keys, left empty", () => {
    const text = `[endpoint] connection-string: is missing; ${ONE_OF}`;
    expect(problemsOf("")).toEqual([`a.ini: ${text}`]);
    expect(problemsOf("\n[endpoint]\ntype = sas")).toEqual([`a.ini:3: ${text}`]);
    expect(problemsOf("\n[endpoint]\nconnection-string =")).toEqual([`a.ini:3: ${text}`]);
  });

  test("faulty, inline and in a file", () => {
    const inline = problemsOf("[endpoint]\nconnection-string = HostName=h.net;DeviceId=d");
    const file = problemsOf("[endpoint]\nconnection-string-file = /k", () => ({
      text: "HostName=h.net;DeviceId=d",
    }));
    const text = "SharedAccessKey is missing (or x509=true, or key = tpm after azimuth seal)";
    expect(inline).toEqual([`a.ini:2: [endpoint] connection-string: ${text}`]);
    expect(file).toEqual([`a.ini:2: [endpoint] connection-string-file: in that file ${text}`]);
  });

  test("of a certificate", () => {
    const text = "[endpoint]\nconnection-string = HostName=h.net;DeviceId=d;x509=true";
    expect(problemsOf(text)).toEqual([
      "a.ini:2: [endpoint] connection-string: x509=true does not go with type sas; " +
        "allowed: a connection string with SharedAccessKey",
    ]);
  });

  test("a file that cannot be read", () => {
    const text = "[endpoint]\nconnection-string-file = /etc/key";
    expect(problemsOf(text)).toEqual(["a.ini:2: [endpoint] connection-string-file: no such file"]);
  });

  test("a file is not asked for when its path is faulty", () => {
    const text = "[endpoint]\nconnection-string-file = key";
    const fileOf = (): FileText => {
      throw new Error("asked");
    };
    expect(problemsOf(text, fileOf)).toEqual([
      "a.ini:2: [endpoint] connection-string-file: does not start with /; " +
        "allowed: an absolute path",
    ]);
  });
});

describe("a key in the TPM", () => {
  const SEALED = "[endpoint]\nconnection-string = HostName=h.net;DeviceId=d\nkey = TPM";

  test("the connection string does without it, and the TPM signs", () => {
    const { endpoint } = settingsOf(`${SEALED}\ntpm = swtpm:/s`);
    expect(endpoint).toMatchObject({ type: "sas", isSealed: true, key: "", tpm: "swtpm:/s" });
    expect(endpoint).toMatchObject({ hubName: "h.net", deviceId: "d" });
    const plain = settingsOf(withLines("key = connection-string")).endpoint;
    expect([plain.isSealed, isInTpm(plain), isInTpm(endpoint)]).toEqual([false, false, true]);
  });

  test("a key beside it in the same file is one too many", () => {
    expect(problemsOf(withLines("key = tpm"))).toEqual([
      "a.ini:2: [endpoint] connection-string: holds SharedAccessKey beside key = tpm of line 3; " +
        "allowed: one of them (azimuth seal)",
    ]);
  });

  test("a key still in the other file is taken along: sealing was cut between the two", () => {
    const text = "[endpoint]\nconnection-string-file = /k\nkey = tpm";
    expect(settingsOf(text, () => ({ text: CONNECTION })).endpoint).toMatchObject({
      isSealed: true,
      key: KEY,
    });
    expect(settingsOf(text, () => ({ text: "HostName=h.net;DeviceId=d" })).endpoint.key).toBe("");
  });

  test("anything else where the key might be is refused", () => {
    expect(problemsOf(withLines("key = tmp"))).toEqual([
      'a.ini:3: [endpoint] key: "tmp" is not one of them; allowed: connection-string or tpm',
    ]);
  });
});

describe("the two types", () => {
  test("type tpm wants an id scope", () => {
    expect(problemsOf("[endpoint]\ntype = tpm")).toEqual([
      "a.ini:2: [endpoint] id-scope: is missing; allowed: letters and digits like 0ne00012AB3, " +
        "as the portal shows it",
    ]);
  });

  test("a connection string does not go with type tpm, nor the TPM's keys with type sas", () => {
    const tpm = `[endpoint]\ntype = tpm\nid-scope = 0ne1\nconnection-string = ${CONNECTION}`;
    expect(problemsOf(tpm)).toEqual([
      "a.ini:4: [endpoint] connection-string: does not go with type tpm; allowed: with type sas",
    ]);
    expect(problemsOf(withLines("id-scope = 0ne1\nowner-password-file = /x"))).toEqual([
      "a.ini:3: [endpoint] id-scope: does not go with type sas; allowed: with type tpm",
      "a.ini:4: [endpoint] owner-password-file: does not go with type sas; allowed: with type tpm",
      "a.ini:4: [endpoint] owner-password-file: no such file",
    ]);
  });

  test("a password that no TPM takes, or that cannot be read, is told without it", () => {
    const text = "[endpoint]\ntype = tpm\nid-scope = 0ne1\nowner-password-file = /x";
    const long = problemsOf(text, () => ({ text: "p".repeat(65) }));
    expect(long).toEqual([
      "a.ini:4: [endpoint] owner-password-file: the password in that file is 65 bytes long; " +
        "allowed: up to 64",
    ]);
    expect(settingsOf(text, () => ({ text: "p".repeat(64) })).endpoint.ownerPassword).toHaveLength(
      64,
    );
    expect(problemsOf(text, () => ({ problem: "/x: no such file" }))).toEqual([
      "a.ini:4: [endpoint] owner-password-file: /x: no such file",
    ]);
  });

  test("a port beyond the last one is refused", () => {
    const text = "[endpoint]\ntype = tpm\nid-scope = 0ne1\ntpm = swtpm:localhost:65536";
    expect(problemsOf(text)).toEqual([
      'a.ini:4: [endpoint] tpm: "swtpm:localhost:65536" does not have the right form; ' +
        `allowed: ${PLACE_WORDS}`,
    ]);
  });
});
