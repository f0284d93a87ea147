// Value, tested: what each kind takes and refuses, and that no message can show a secret.
// Neighbours: `src/core/value.ts`; `schema.test.ts` tests the kinds that the table uses.
// Invariant: each refusal is checked for its words, not only for being one.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { allowed, choice, fault, isTrue, Kind, shown, type Value } from "../../src/core/value.ts";

const BOOLEAN: Value = { kind: Kind.BOOLEAN };
const SECONDS: Value = { kind: Kind.INTEGER, unit: "seconds", min: 10, max: 300 };
const COUNT: Value = { kind: Kind.INTEGER, unit: "", min: 0, max: 7 };
const PORT: Value = { kind: Kind.PORT };
const LEVEL: Value = { kind: Kind.CHOICE, choices: ["high", "low"] };
const NAME: Value = { kind: Kind.TEXT, shape: /^[a-z]+$/, words: "small letters" };
const PATH: Value = { kind: Kind.PATH, bytesMax: 12 };
const SECRET: Value = { kind: Kind.SECRET, words: "a key" };

describe("allowed values", () => {
  const rows: readonly (readonly [Value, readonly string[]])[] = [
    [BOOLEAN, ["true", "false", "True", "FALSE"]],
    [SECONDS, ["10", "42", "300"]],
    [COUNT, ["0", "7"]],
    [PORT, ["1", "443", "65535"]],
    [LEVEL, ["high", "low", "HIGH", "Low"]],
    [NAME, ["abc"]],
    [PATH, ["/", "/run/a", "/12345678901", "/ä/ä/ä/a"]],
    [SECRET, ["x", "HostName=a;b=c"]],
  ];
  for (const [value, texts] of rows) {
    test(`of kind ${Kind[value.kind]}`, () => {
      for (const text of texts) expect(fault(value, text)).toBe("");
    });
  }
});

describe("refused values", () => {
  const rows: readonly (readonly [Value, string, string])[] = [
    [BOOLEAN, "yes", '"yes" is not a boolean here, write true'],
    [BOOLEAN, "1", '"1" is not a boolean here, write true'],
    [BOOLEAN, "On", '"On" is not a boolean here, write true'],
    [BOOLEAN, "no", '"no" is not a boolean here, write false'],
    [BOOLEAN, "0", '"0" is not a boolean here, write false'],
    [BOOLEAN, "off", '"off" is not a boolean here, write false'],
    [BOOLEAN, "treu", '"treu" is not a boolean'],
    [SECONDS, "9", '"9" is too small'],
    [SECONDS, "301", '"301" is too large'],
    [SECONDS, "-5", '"-5" is too small'],
    [SECONDS, "99999999999999999999", "(not shown) is too large"],
    [SECONDS, "30s", '"30s" is not a whole decimal number, write the number of seconds alone'],
    [
      SECONDS,
      "30 sec",
      '"30 sec" is not a whole decimal number, write the number of seconds alone',
    ],
    [SECONDS, "030", '"030" is not a whole decimal number'],
    [SECONDS, "+30", '"+30" is not a whole decimal number'],
    [SECONDS, "30.0", '"30.0" is not a whole decimal number'],
    [SECONDS, "3e1", '"3e1" is not a whole decimal number'],
    [SECONDS, "0x1f", '"0x1f" is not a whole decimal number'],
    [SECONDS, " 30", '" 30" is not a whole decimal number'],
    [COUNT, "-0", '"-0" is not a whole decimal number'],
    [COUNT, "3x", '"3x" is not a whole decimal number'],
    [PORT, "0", '"0" is too small'],
    [PORT, "65536", '"65536" is too large'],
    [LEVEL, "up", '"up" is not one of them'],
    [NAME, "a1", '"a1" does not have the right form'],
    [PATH, "run/a", "does not start with /"],
    [PATH, "/a\0b", "holds a NUL"],
    [PATH, "/1234567890ä", "is 13 bytes long"],
    [SECRET, "", "is empty"],
    [NAME, "", "is empty"],
  ];
  for (const [value, text, expected] of rows) {
    test(`of kind ${Kind[value.kind]}: ${JSON.stringify(text)}`, () => {
      expect(fault(value, text)).toBe(expected);
    });
  }
});

test("a bare key that begins like a path is no path, a long path is one", () => {
  const path: Value = { kind: Kind.PATH, bytesMax: 200 };
  const key = `/${"a1B2".repeat(10)}cd=`;
  expect(fault(path, key)).toStartWith("holds a key");
  expect(fault(path, `/${"a1B2".repeat(10)}cd`)).toBe("");
  expect(fault(path, "/srv/a-long-name/of-a-folder/with.dots/and=signs")).toBe("");
  expect(fault(SECRET, `SharedAccessKey=${key}`)).toBe("");
});

test("what is allowed, in words", () => {
  expect(allowed(BOOLEAN)).toBe("true or false");
  expect(allowed(SECONDS)).toBe("10 .. 300 seconds");
  expect(allowed(COUNT)).toBe("0 .. 7");
  expect(allowed(PORT)).toBe("port 1 .. 65535");
  expect(allowed(LEVEL)).toBe("high or low");
  expect(allowed({ kind: Kind.CHOICE, choices: ["a", "b", "c"] })).toBe("a, b or c");
  expect(allowed({ kind: Kind.CHOICE, choices: ["a"] })).toBe("a");
  expect(allowed(NAME)).toBe("small letters");
  expect(allowed(PATH)).toBe("an absolute path of at most 12 bytes");
  expect(allowed({ kind: Kind.PATH, bytesMax: 4095 })).toBe("an absolute path");
  expect(allowed(SECRET)).toBe("a key");
});

test("case does not matter for booleans and choices", () => {
  expect(isTrue("TRUE")).toBe(true);
  expect(isTrue("false")).toBe(false);
  expect(choice(["high", "low"], "LOW")).toBe("low");
  expect(choice(["high", "low"], "mid")).toBe("");
});

describe("shown", () => {
  test.each(["interval", "10s", "SharedAccessKey", "in-flight-messages.max-number", "a b"])(
    "%p is shown",
    (text) => {
      expect(shown(text)).toBe(`"${text}"`);
    },
  );

  test.each([
    "SharedAccessKey=abc",
    "sig=a",
    "bell\u0007",
    "\u001b[31m",
    "ä",
    "a b ".repeat(11),
    "AAAAAAAAAAAAAAAAAAAA",
  ])("%p is not", (text) => {
    expect(shown(text)).toBe("(not shown)");
  });

  const key = fc.uint8Array({ minLength: 16, maxLength: 64 }).map((bytes) => bytes.toBase64());

  test("a key in the wrong place never comes back, in no kind", () => {
    fc.assert(
      fc.property(
        key,
        fc.constantFrom("", "HostName=h;SharedAccessKey=", "x "),
        (secret, before) => {
          const text = before + secret;
          for (const value of [BOOLEAN, SECONDS, COUNT, PORT, LEVEL, NAME, PATH, SECRET]) {
            const said = `${fault(value, text)} ${allowed(value)} ${shown(text)}`;
            for (let at = 0; at + 12 <= secret.length; at++) {
              expect(said).not.toContain(secret.slice(at, at + 12));
            }
          }
        },
      ),
    );
  });
});
