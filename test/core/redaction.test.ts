// Redaction, tested: settings texts in every spelling, before and after; and by chance.
// Neighbours: `src/core/redaction.ts`; the product's own reader says what the result means.
// Invariant: what must stay is compared character by character.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Entry } from "../../src/core/effects.ts";
import { sealedText, strayLine, withoutKey } from "../../src/core/redaction.ts";
import { KEY } from "../rig.ts";

const REST = "HostName=h.net;DeviceId=d";

describe("a connection string", () => {
  test.each([
    [`HostName=h.net;DeviceId=d;SharedAccessKey=${KEY}`, REST],
    [`HostName=h.net;SharedAccessKey=${KEY};DeviceId=d`, REST],
    [`SharedAccessKey=${KEY};HostName=h.net;DeviceId=d`, REST],
    [`HostName=h.net;DeviceId=d;SharedAccessKey=${KEY};`, `${REST};`],
    [`  HostName=h.net; sharedaccesskey=${KEY} ;DeviceId=d\r\n`, `  ${REST}\r\n`],
    [`HostName=h.net;DeviceId=d;SharedAccessKey=${KEY}\n`, `${REST}\n`],
    [`SharedAccessKey=${KEY}`, ""],
    [REST, REST],
    [
      `HostName=h.net;DeviceId=SharedAccessKey;SharedAccessKey=${KEY}`,
      "HostName=h.net;DeviceId=SharedAccessKey",
    ],
  ])("%j", (before, after) => {
    expect(withoutKey(before)).toBe(after);
  });
});

/** Entries of a text, found the plainest way: values are what the test says they are. */
function entriesOf(text: string, values: Record<string, string>): Entry[] {
  return text.split(/\r\n|\n|\r/).flatMap((line, index) => {
    const key = /^\s*([a-z-]+)\s*=/.exec(line)?.[1] ?? "";
    const value = values[key];
    return value === undefined ? [] : [{ section: "endpoint", key, value, line: index + 1 }];
  });
}

const STRING = `HostName=h.net;DeviceId=d;SharedAccessKey=${KEY}`;

function sealed(before: string, more: Record<string, string> = {}, place = ""): string {
  return sealedText(before, entriesOf(before, { "connection-string": STRING, ...more }), place);
}

describe("a settings file", () => {
  test.each([
    ["bare", "[endpoint]\nconnection-string = @\n[data]\n", `${REST}\nkey = tpm\n[data]\n`],
    ["indented", "[endpoint]\n\tconnection-string=  @  \n", `${REST}  \n\tkey = tpm\n`],
    ["the last line, unended", "[endpoint]\nconnection-string = @", `${REST}\nkey = tpm`],
    ["with ends of two characters", "[endpoint]\r\nconnection-string = @", `${REST}\r\nkey = tpm`],
    ["with ends of another system", "[endpoint]\rconnection-string = @\r", `${REST}\rkey = tpm\r`],
    [
      "in single quotes, with a comment",
      "[endpoint]\nconnection-string = '@' ; mine\n",
      `${REST}' ; mine\nkey = tpm\n`,
    ],
    ["in double quotes", '[endpoint]\nconnection-string = "@" # "\n', `${REST}" # "\nkey = tpm\n`],
  ])("%s", (_name, template, tail) => {
    const head = template.slice(0, template.indexOf("@"));
    expect(sealed(template.replace("@", STRING))).toBe(head + tail);
  });

  test("with escapes in double quotes: those of the rest stay as they are written", () => {
    const written = `\\u0048ostName=h.net;DeviceId\\u003dd\\u003bShared\\u0041ccessKey=${KEY}`;
    const before = `[endpoint]\nconnection-string = "${written}"\n`;
    const after = '[endpoint]\nconnection-string = "\\u0048ostName=h.net;DeviceId\\u003dd"\n';
    expect(sealed(before)).toBe(`${after}key = tpm\n`);
  });

  test("that says where the key is: that is changed, not said again", () => {
    const before = (key: string) => `[endpoint]\nkey = ${key}\nconnection-string = ${STRING}\n`;
    const after = (key: string) => `[endpoint]\nkey = ${key}\nconnection-string = ${REST}\n`;
    const place = { key: "Connection-String" };
    expect(sealed(before("Connection-String  ; here"), place)).toBe(after("tpm  ; here"));
    expect(sealed(before('"Connection-String"'), place)).toBe(after('"tpm"'));
    expect(sealed(before("TPM"), { key: "TPM" })).toBe(after("TPM"));
  });

  test("with the key in a file of its own: a line more", () => {
    const before = "[endpoint]\nconnection-string-file = /k ; there\nca-file = /c\n";
    const after = "[endpoint]\nconnection-string-file = /k ; there\nkey = tpm\nca-file = /c\n";
    expect(sealed(before, { "connection-string-file": "/k" })).toBe(after);
  });

  test("with another place of the TPM: a line for that too", () => {
    const before = `[endpoint]\nconnection-string = ${STRING}\n`;
    const after = `[endpoint]\nconnection-string = ${REST}\nkey = tpm\ntpm = swtpm:/s\n`;
    expect(sealed(before, {}, "swtpm:/s")).toBe(after);
  });
});

test("whatever stands round it stays, character by character", () => {
  const noise = fc
    .array(fc.constantFrom("a", "ü", "\u{1f511}", " ", "\t", "=", ";", "#", "'", '"', "\\", "["))
    .map((parts) => `; ${parts.join("")}`);
  const ending = fc.constantFrom("\n", "\r\n", "\r");
  const parts = fc.constantFrom("HostName=h.net", "DeviceId=d", "GatewayHostName=g", "x509=false");
  const fields = fc.uniqueArray(parts, { minLength: 1 });
  const place = fc.nat(10);
  const quote = fc.constantFrom("", "'", '"');
  fc.assert(
    fc.property(
      fc.array(noise),
      fc.array(noise),
      ending,
      fields,
      place,
      quote,
      (above, below, end, rest, at, mark) => {
        const index = at % (rest.length + 1);
        const all = [...rest.slice(0, index), `SharedAccessKey=${KEY}`, ...rest.slice(index)];
        const text = (string: string, added: readonly string[]): string =>
          [
            ...above,
            "[endpoint]",
            ` connection-string = ${mark}${string}${mark}`,
            ...added,
            ...below,
            "",
          ].join(end);
        const before = text(all.join(";"), []);
        const line = above.length + 2;
        const entry = { section: "endpoint", key: "connection-string", line };
        const after = sealedText(before, [{ ...entry, value: all.join(";") }], "");
        expect(after).toBe(text(rest.join(";"), [" key = tpm"]));
      },
    ),
    { numRuns: 500 },
  );
});

describe("a key that stays", () => {
  const before = `# ${KEY}\n[endpoint]\nconnection-string = ${STRING}\n`;

  test("in a comment is told with its line before and after", () => {
    expect(strayLine(before, sealed(before), KEY)).toBe(1);
    const below = `[endpoint]\nconnection-string = ${STRING}\n\n; ${KEY}`;
    expect(strayLine(below, sealed(below), KEY)).toBe(4);
  });

  test("nowhere is no line; in the line itself is that line", () => {
    const plain = `[endpoint]\nconnection-string = ${STRING}`;
    expect(strayLine(plain, sealed(plain), KEY)).toBe(0);
    expect(strayLine(plain, `[endpoint]\nconnection-string = x${KEY}`, KEY)).toBe(2);
  });
});
