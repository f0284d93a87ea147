// Tests of src/port/settings.ts: the INI text, the traps of `ini`, the files.
// Neighbours: the schema's tests go on from the entries.
// Invariant: every line is an entry, a problem, a section or a comment, and carries its number.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { isSameFile, load, parse, readSecret } from "../../src/port/settings.ts";

const CONNECTION =
  "HostName=hub.azure-devices.net;DeviceId=gw-1;SharedAccessKey=c2VjcmV0LXNlY3JldC1zZWNyZXQ=";

/** The entries as `line section.key=value`. */
function entries(text: string): string[] {
  const parsed = parse(text);
  expect(parsed.problems).toEqual([]);
  return parsed.entries.map((each) => `${each.line} ${each.section}|${each.key}=${each.value}`);
}

/** The only value of `key = text`. */
function value(text: string): string {
  const parsed = parse(`key =${text}`);
  expect(parsed.problems).toEqual([]);
  return parsed.entries[0]!.value;
}

function problems(text: string): string[] {
  return parse(text).problems.map(
    (each) => `${each.line} ${each.section}|${each.key}: ${each.text}`,
  );
}

describe("entries", () => {
  test("carry section, key, value and line", () => {
    const text = [
      "; a comment",
      "top = 1",
      "",
      "[endpoint]",
      "  # another",
      "\ttype =  sas  ",
      "[led.LED1]   ; the green one",
      "driver=leds",
      "[data]",
      "connect.auto-on-startup = true",
    ].join("\n");
    expect(entries(text)).toEqual([
      "2 |top=1",
      "6 endpoint|type=sas",
      "8 led.LED1|driver=leds",
      "10 data|connect.auto-on-startup=true",
    ]);
  });

  test.each(["\r\n", "\r", "\n"])("line ends %j, with a byte order mark before", (end) => {
    expect(entries(`\uFEFF[a]${end}${end}b = c${end}`)).toEqual(["3 a|b=c"]);
  });

  test("an empty text has none", () => {
    expect(parse("")).toEqual({ entries: [], problems: [], sections: [] });
  });

  test("sections are told with their lines, with keys below them or without", () => {
    const parsed = parse("[a]\n[led.LED1] ; green\nx = 1\n\n[a]\n[b c]\n[z]");
    expect(parsed.sections).toEqual([
      { name: "a", line: 1 },
      { name: "led.LED1", line: 2 },
      { name: "a", line: 5 },
      { name: "z", line: 7 },
    ]);
  });

  test("a section may come back, and a key may have the name of a section", () => {
    const text = "led = 0\n[led]\nLED1 = 1\n[led.LED1]\nx = 2\n[led]\ny = 3";
    expect(entries(text)).toEqual(["1 |led=0", "3 led|LED1=1", "5 led.LED1|x=2", "7 led|y=3"]);
  });

  test.each(["constructor", "hasOwnProperty", "toString", "a.b.c", "..", "-"])(
    "%p is a name like any other",
    (name) => {
      expect(entries(`[${name}]\n${name} = 1`)).toEqual([`2 ${name}|${name}=1`]);
    },
  );
});

describe("values", () => {
  test("a pasted connection string stays whole", () => {
    expect(value(` ${CONNECTION}`)).toBe(CONNECTION);
    expect(value(` ${CONNECTION} ; from the portal`)).toBe(CONNECTION);
    expect(value(` "${CONNECTION}"`)).toBe(CONNECTION);
  });

  test("behind a bare connection string nothing is a comment, so no part of it gets lost", () => {
    const spaced = CONNECTION.replaceAll(";", " ;");
    expect(entries(`connection-string = ${spaced}`)).toEqual([`1 |connection-string=${spaced}`]);
    const noted = `connection-string = ${CONNECTION} # of the portal`;
    expect(entries(noted)).toEqual([`1 |connection-string=${CONNECTION} # of the portal`]);
    const quoted = `connection-string = "${CONNECTION}" # of the portal`;
    expect(entries(quoted)).toEqual([`1 |connection-string=${CONNECTION}`]);
  });

  test.each([
    [" a;b#c", "a;b#c"],
    [" a ;b", "a"],
    [" a\t# b", "a"],
    [" ; only a comment", ""],
    [";no white space before", ";no white space before"],
    ["", ""],
    [" a = b == c", "a = b == c"],
    ["true", "true"],
    ["null", "null"],
    ["0x10", "0x10"],
    [" C:\\dir\\n", "C:\\dir\\n"],
    [' it\'s "so"', 'it\'s "so"'],
    [' " kept ; all # of it "', " kept ; all # of it "],
    [' "a" ; comment "b"', "a"],
    [' "quote \\" backslash \\\\ \\u00e4"', 'quote " backslash \\ ä'],
    [" 'single \\n \"literal\"'  # c", 'single \\n "literal"'],
    ["''", ""],
    [' ""', ""],
    [" '5'", "5"],
    [' "tab\there"', "tab\there"],
    [" ge\u2028rät 🌍", "ge\u2028rät 🌍"],
    [" [not a section]", "[not a section]"],
  ])("%j means %j", (text, expected) => {
    expect(value(text)).toBe(expected);
  });
});

describe("problems", () => {
  const NAMES = "allowed: letters, digits, `.`, `-`, `_`";
  test.each([
    ["[a]\nword", ["2 a|: neither `[section]` nor `key = value` nor a comment"]],
    ["[a\nb = 1", ["1 |: a section is written `[name]`"]],
    ["[a] b\n", ["1 |: a section is written `[name]`"]],
    ["[]\n", [`1 |: bad section name; ${NAMES}`]],
    ["[a b]\nk = 1", [`1 a b|: bad section name; ${NAMES}`]],
    ["[__proto__]\nx = 1", [`1 __proto__|: bad section name; ${NAMES}`]],
    ["__proto__ = 1", [`1 |: bad key name; ${NAMES}`]],
    ["[a]\nlist[] = 1", [`2 a|: bad key name; ${NAMES}`]],
    ["= 1", [`1 |: bad key name; ${NAMES}`]],
    ["[a]\nk = 1\n[b]\nk = 2\n[a]\nk = 3", ["6 a|k: given twice, in line 2 and in line 6"]],
    ['k = "open', ['1 |k: no closing "']],
    ["k = 'open", ["1 |k: no closing '"]],
    ['k = "a" b', ['1 |k: text after the closing "; only a comment may follow']],
    ['k = "a";b', ['1 |k: text after the closing "; only a comment may follow']],
    ['k = "C:\\dir"', [/1 \|k: bad escape in double quotes/]],
    ['k = "a\\nb"', ["1 |k: holds a control character"]],
    ["a = 1\nk = a\0b\nc = 2", ["2 |: not text (character U+0000)"]],
    ["k = \x1b[2J", ["1 |: not text (character U+001B)"]],
  ])("%j", (text, expected) => {
    const found = problems(text);
    expect(found).toHaveLength(expected.length);
    for (const [index, each] of expected.entries()) expect(found[index]).toMatch(each);
  });

  test("do not hide the good lines", () => {
    const parsed = parse("[a]\nx = 1\ngarbage\ny = 2\n[b c]\nz = 3\n[d]\nw = 4");
    expect(parsed.entries.map((entry) => entry.key)).toEqual(["x", "y", "w"]);
    expect(parsed.problems.map((problem) => problem.line)).toEqual([3, 5]);
  });

  test("never show a value", () => {
    const texts = [`k = "${CONNECTION}`, `k = '${CONNECTION}' x`, CONNECTION.replaceAll("=", ":")];
    for (const text of texts) {
      const found = JSON.stringify(parse(`${text}\nk = 1\nk = ${CONNECTION}`).problems);
      expect(found).not.toContain("c2VjcmV0");
    }
  });

  test("a text that is too long is not looked into", () => {
    const {
      entries: none,
      problems: [only],
    } = parse(`k = ${"x".repeat(256 * 1024)}`);
    expect(none).toEqual([]);
    expect(only).toEqual({ line: 0, section: "", key: "", text: "longer than 256 KB" });
  });
});

describe("any text", () => {
  test("written by a careful hand is read back", () => {
    const name = fc.stringMatching(/^[A-Za-z0-9_.-]{1,12}$/).filter((each) => each !== "__proto__");
    const text = fc.string({ unit: "grapheme", maxLength: 40 });
    const plain = text.filter((each) => !/[\x00-\x1f\x7f\ufffd]/.test(each));
    const file = fc.uniqueArray(fc.tuple(name, name, plain), {
      selector: ([section, key]) => `${section}]${key}`,
      maxLength: 20,
    });
    const property = fc.property(file, fc.constantFrom("\n", "\r\n"), (all, end) => {
      const lines = all.flatMap(([section, key, each]) => [
        `[${section}]`,
        `${key} = ${JSON.stringify(each)} ; "comment"`,
      ]);
      const parsed = parse(lines.join(end));
      expect(parsed.problems).toEqual([]);
      expect(parsed.entries).toEqual(
        all.map(([section, key, each], index) => {
          return { section, key, value: each, line: 2 * index + 2 };
        }),
      );
    });
    fc.assert(property, { numRuns: 500 });
  });

  test("of whatever characters gives each line at most once, and never throws", () => {
    const unit = fc.constantFrom(
      ...["[", "]", "=", ";", "#", '"', "'", "\\", ".", " ", "\t", "\n", "\r", "a", "true"],
      ...["__proto__", "[]", "\0", "\uFEFF", "\u2028", "\ud800", "ä", "[a]\n", "k = ", "k=1\n"],
    );
    const property = fc.property(fc.string({ unit, maxLength: 80 }), (text) => {
      const parsed = parse(text);
      const count = text.split(/\r\n|\n|\r/).length;
      const lines = [...parsed.entries, ...parsed.problems].map((each) => each.line);
      expect(new Set(lines).size).toBe(lines.length);
      for (const line of lines) expect(line >= 1 && line <= count).toBe(true);
      for (const entry of parsed.entries) expect(entry.key).toMatch(/^[A-Za-z0-9_.-]+$/);
      for (const each of parsed.problems) expect(each.text).not.toContain("cannot be read");
    });
    fc.assert(property, { numRuns: 3000 });
  });
});

describe("files", () => {
  let folder: string;
  let path: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "azimuth-settings-"));
    path = join(folder, "file");
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  function trouble(where: string): string {
    const parsed = load(where);
    expect(parsed.entries).toEqual([]);
    expect(parsed.problems).toHaveLength(1);
    expect(parsed.problems[0]!.line).toBe(0);
    return parsed.problems[0]!.text;
  }

  test("load reads what parse would", () => {
    writeFileSync(path, "[a]\r\nb = ä\r\n");
    expect(load(path)).toEqual(parse("[a]\nb = ä\n"));
  });

  test("load says why it cannot", () => {
    expect(trouble(join(folder, "none"))).toBe("no such file");
    expect(trouble(folder)).toBe("is a folder; a file is needed");
    expect(trouble(join(path, "x"))).toBe("part of the path is not a folder");
    expect(trouble("/dev/zero")).toBe("not a plain file");
    writeFileSync(path, "x".repeat(256 * 1024 + 1));
    expect(trouble(path)).toBe("longer than 256 KB");
  });

  test("load names the line of what is no text", () => {
    writeFileSync(path, Buffer.from("a = 1\nb = \xe4\n", "latin1"));
    const parsed = load(path);
    expect(parsed.entries.map((entry) => entry.key)).toEqual(["a"]);
    expect(parsed.problems.map((each) => each.line)).toEqual([2]);
  });

  test("a file that may not be read", async () => {
    writeFileSync(path, "a = 1");
    chmodSync(path, 0);
    chmodSync(folder, 0o755);
    // Imported first: the tree may lie where nobody but root can read.
    const script = `
      const source = ${JSON.stringify(`${import.meta.dir}/../../src/port/settings.ts`)};
      const { load } = await import(source);
      if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534); }
      console.log(load(${JSON.stringify(path)}).problems[0].text);`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    const text = await new Response(child.stdout).text();
    chmodSync(path, 0o600);
    expect(text).toBe("permission denied; the agent must be able to read it\n");
  });

  test("a secret loses its last line break alone, and tells when others may read it", () => {
    writeFileSync(path, ` ${CONNECTION}\r\n\n`);
    chmodSync(path, 0o600);
    expect(readSecret(path)).toEqual({ text: ` ${CONNECTION}\r\n`, warning: "" });
    chmodSync(path, 0o640);
    expect(readSecret(path)).toEqual({
      text: ` ${CONNECTION}\r\n`,
      warning: `${path}: others may read this secret (mode 0640); chmod 600 it`,
    });
  });

  test("one file under two names is one, two files or none are not", () => {
    writeFileSync(path, "a = 1");
    const other = join(folder, "other");
    symlinkSync(path, other);
    expect(isSameFile(other, `${folder}/./file`)).toBe(true);
    rmSync(other);
    expect(isSameFile(other, path)).toBe(false);
    writeFileSync(other, "a = 1");
    expect(isSameFile(other, path)).toBe(false);
    rmSync(other);
  });

  test("a secret that cannot be had is one line with its path", () => {
    expect(readSecret(join(folder, "none"))).toEqual({ problem: `${folder}/none: no such file` });
    writeFileSync(path, "x".repeat(4097));
    expect(readSecret(path)).toEqual({ problem: `${path}: longer than 4 KB` });
    writeFileSync(path, "a\0b");
    expect(readSecret(path)).toEqual({ problem: `${path}: holds binary data` });
  });
});
