// Endpoint, tested: connection strings, the types of endpoint, and what goes with which.
// Neighbours: `src/core/endpoint.ts`; `validate.test` has the rest of a settings file.
// Invariant: the messages are written out in full, as a person at a serial console reads them.

import { describe, expect, test } from "bun:test";
import { certified, type FileText, filesWanted } from "../../src/core/endpoint.ts";
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
      "a.ini:2: [endpoint] connection-string: x509=true goes with type x509; " +
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

describe("types sas and tpm", () => {
  test("type tpm wants an id scope", () => {
    expect(problemsOf("[endpoint]\ntype = tpm")).toEqual([
      "a.ini:2: [endpoint] id-scope: is missing; allowed: letters and digits like 0ne00012AB3, " +
        "as the portal shows it",
    ]);
  });

  test("a connection string does not go with type tpm, nor the TPM's keys with type sas", () => {
    const tpm = `[endpoint]\ntype = tpm\nid-scope = 0ne1\nconnection-string = ${CONNECTION}`;
    expect(problemsOf(tpm)).toEqual([
      "a.ini:4: [endpoint] connection-string: does not go with type tpm; " +
        "allowed: with type sas or x509",
    ]);
    expect(problemsOf(withLines("id-scope = 0ne1\nowner-password-file = /x"))).toEqual([
      "a.ini:3: [endpoint] id-scope: does not go with type sas; " +
        "allowed: with type tpm, symmetric-key or x509",
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

/** Lines of section [endpoint] of a type, from line 3 on. */
const typed = (type: string, ...lines: string[]): string =>
  ["[endpoint]", `type = ${type}`, ...lines].join("\n");
/** Problems without the file's name and the section. */
const told = (text: string, fileOf?: (path: string) => FileText): string[] =>
  problemsOf(text, fileOf).map((line) => line.replace("a.ini:", "").replace(" [endpoint]", ""));

describe("type symmetric-key", () => {
  const least = ["id-scope = 0ne1", "registration-id = GW1"];
  const ONE = "allowed: exactly one of symmetric-key, symmetric-key-file and group-key-file";
  const WORDS = "allowed: base64 of 16 .. 64 bytes, as the portal shows it for the enrollment";

  test("has its key from the settings, from a file, or from its group's", () => {
    const inline = settingsOf(typed("symmetric-key", ...least, `symmetric-key = ${KEY}`));
    expect(inline.endpoint).toMatchObject({
      type: "symmetric-key",
      key: KEY,
      isGroup: false,
      idScope: "0ne1",
      registrationId: "GW1",
      hubName: "",
      deviceId: "",
    });
    const fileOf = (): FileText => ({ text: ` ${KEY} ` });
    const own = typed("symmetric-key", ...least, "symmetric-key-file = /k");
    expect(settingsOf(own, fileOf).endpoint).toMatchObject({ key: KEY, isGroup: false });
    const group = typed("symmetric-key", ...least, "group-key-file = /g");
    expect(filesWanted(entries(group))).toEqual(["/g"]);
    expect(settingsOf(group, fileOf).endpoint).toMatchObject({
      key: KEY,
      isGroup: true,
      registrationId: "gw1",
    });
  });

  test("wants a scope, a name and exactly one key", () => {
    expect(told(typed("symmetric-key"))).toEqual([
      "2: id-scope: is missing; allowed: letters and digits like 0ne00012AB3, as the portal " +
        "shows it",
      "2: registration-id: is missing; allowed: mac, or up to 128 letters, digits, -, ., _ or :, " +
        "the last a letter, digit or -",
      `2: symmetric-key: is missing; ${ONE}`,
    ]);
    const all = ["symmetric-key-file = /k", `symmetric-key = ${KEY}`, "group-key-file = /g"];
    expect(told(typed("symmetric-key", ...least, ...all))).toEqual([
      `6: symmetric-key: cannot stand beside symmetric-key-file of line 5; ${ONE}`,
      `7: group-key-file: cannot stand beside symmetric-key-file of line 5; ${ONE}`,
    ]);
  });

  test("refuses what can be no key, without showing it", () => {
    const short = Buffer.alloc(15).toString("base64");
    const long = Buffer.alloc(65).toString("base64");
    for (const [key, problem] of [
      ["secret-word", "is no key"],
      [short, "is no key of a sound length"],
      [long, "is no key of a sound length"],
    ]) {
      const inline = typed("symmetric-key", ...least, `symmetric-key = ${key}`);
      expect(told(inline)).toEqual([`5: symmetric-key: ${problem}; ${WORDS}`]);
      const file = typed("symmetric-key", ...least, "group-key-file = /g");
      expect(told(file, () => ({ text: key! }))).toEqual([
        `5: group-key-file: in that file ${problem}; ${WORDS}`,
      ]);
    }
  });

  test("has no connection string and no certificate", () => {
    const lines = [
      `symmetric-key = ${KEY}`,
      "certificate-file = /c",
      "connection-string-file = /x",
    ];
    expect(told(typed("symmetric-key", ...least, ...lines))).toEqual([
      "6: certificate-file: does not go with type symmetric-key; allowed: with type x509",
      "7: connection-string-file: does not go with type symmetric-key; " +
        "allowed: with type sas or x509",
    ]);
  });
});

describe("type x509", () => {
  const files = ["certificate-file = /c", "private-key-file = /k"];
  const direct = "connection-string = HostName=h.net:8884;DeviceId=d;x509=true";
  const EITHER = "allowed: exactly one of id-scope, connection-string and connection-string-file";

  test("is for DPS, or for the hub of a connection string", () => {
    expect(settingsOf(typed("x509", ...files, "id-scope = 0ne1")).endpoint).toMatchObject({
      type: "x509",
      certificateFile: "/c",
      privateKeyFile: "/k",
      certificate: undefined,
      idScope: "0ne1",
      registrationId: "",
      key: "",
    });
    expect(settingsOf(typed("x509", ...files, direct)).endpoint).toMatchObject({
      hubName: "h.net",
      mqttPort: 8884,
      deviceId: "d",
      idScope: "",
      key: "",
    });
  });

  test("wants certificate and key, and one of scope and connection string", () => {
    expect(told(typed("x509"))).toEqual([
      "2: id-scope: is missing; allowed: letters and digits like 0ne00012AB3, as the portal " +
        "shows it",
      "2: certificate-file: is missing; allowed: an absolute path",
      "2: private-key-file: is missing; allowed: an absolute path",
    ]);
    const both = ["registration-id = a", "id-scope = 0ne1", direct];
    expect(told(typed("x509", ...files, ...both))).toEqual([
      "5: registration-id: does not go with a connection string; allowed: with id-scope",
      `7: connection-string: cannot stand beside id-scope of line 6; ${EITHER}`,
    ]);
    expect(told(typed("x509", ...files, direct, "connection-string-file = /x"))).toEqual([
      `6: connection-string-file: cannot stand beside connection-string of line 5; ${ONE_OF}`,
    ]);
  });

  test("has no key in its connection string, nor any other", () => {
    expect(told(typed("x509", ...files, `connection-string = ${CONNECTION}`))).toEqual([
      "5: connection-string: SharedAccessKey does not go with type x509; " +
        "allowed: a connection string with x509=true",
    ]);
    expect(told(typed("x509", ...files, "id-scope = 0ne1", "group-key-file = /g"))).toEqual([
      "6: group-key-file: does not go with type x509; allowed: with type symmetric-key",
    ]);
  });

  const withName = (commonName: string, name = "") => {
    const lines = name === "" ? [] : [`registration-id = ${name}`];
    const { endpoint } = settingsOf(typed("x509", ...files, "id-scope = 0ne1", ...lines));
    return certified(endpoint, { commonName, fingerprint: "ab", fromS: 0, untilS: 1 });
  };

  test("is registered by the certificate's common name", () => {
    const certificate = { commonName: "Gw-1", fingerprint: "ab", fromS: 0, untilS: 1 };
    expect(withName("Gw-1")).toMatchObject({ registrationId: "Gw-1", certificate });
    expect(withName("Gw-1", "gw-1")).toMatchObject({ registrationId: "Gw-1" });
    expect(withName("Gw-1", "gw-2")).toEqual({
      key: "registration-id",
      problem: 'is not the common name "Gw-1" of the certificate; allowed: that, or no name',
    });
    const hub = settingsOf(typed("x509", ...files, direct)).endpoint;
    expect(certified(hub, { ...certificate, commonName: "any thing" })).toMatchObject({
      registrationId: "",
      deviceId: "d",
    });
  });

  test("refuses a common name that is none for DPS, and shows it made harmless", () => {
    for (const [commonName, shown] of [
      ["", ""],
      ["a b\u001b[2J", "a b?[2J"],
      ["x".repeat(200), "x".repeat(64)],
    ]) {
      expect(withName(commonName!)).toEqual({
        key: "certificate-file",
        problem:
          `the common name "${shown}" of the certificate can be no registration id; ` +
          "allowed: letters, digits, -, ., _ or :, the last a letter, digit or -",
      });
    }
  });
});
