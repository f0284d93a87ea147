// Exposition, tested: what a strict reader makes of the text, whatever is put into it.
// Neighbours: `src/core/exposition.ts`; `openmetrics.ts` is the reader, tested here too.
// Invariant: the reader shares nothing with the writer.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Exposition } from "../../src/core/exposition.ts";
import { Broken } from "../../src/kit/assert.ts";
import { read } from "./openmetrics.ts";

test("by hand: one family of each type", () => {
  const one = new Exposition(4096);
  one.family("info", "box", "", "What it is.");
  one.sample(1, ["version", "1.2"]);
  one.family("gauge", "box_temperature_celsius", "celsius", 'Of the "inside".');
  one.sample(-2.5);
  one.family("counter", "box_openings", "", "Times.");
  one.sample(3, ["door", 'C:\\new\n"x"']);
  one.family("stateset", "box_state", "", "Now.");
  one.sample(1, ["box_state", "open"]);
  one.sample(0, ["box_state", "shut"]);
  expect(one.finish()).toBe(`# TYPE box info
# HELP box What it is.
box_info{version="1.2"} 1
# TYPE box_temperature_celsius gauge
# UNIT box_temperature_celsius celsius
# HELP box_temperature_celsius Of the \\"inside\\".
box_temperature_celsius -2.5
# TYPE box_openings counter
# HELP box_openings Times.
box_openings_total{door="C:\\\\new\\n\\"x\\""} 3
# TYPE box_state stateset
# HELP box_state Now.
box_state{box_state="open"} 1
box_state{box_state="shut"} 0
# EOF
`);
});

describe("the reader refuses", () => {
  const head = "# TYPE a counter\n";
  test.each([
    ["nothing", ""],
    ["no end", "# TYPE a counter\na_total 1\n"],
    ["text behind the end", "# EOF\n# EOF\n"],
    ["an empty line", `${head}\na_total 1\n# EOF\n`],
    ["a sample of no family", "a_total 1\n# EOF\n"],
    ["a sample of another family", `${head}b_total 1\n# EOF\n`],
    ["a counter without its suffix", `${head}a 1\n# EOF\n`],
    ["a count below zero", `${head}a_total -1\n# EOF\n`],
    ["no number", `${head}a_total 0x1\n# EOF\n`],
    ["two blanks", `${head}a_total  1\n# EOF\n`],
    ["a quote in a label", `${head}a_total{b="c"d"} 1\n# EOF\n`],
    ["an escape that is none", `${head}a_total{b="\\t"} 1\n# EOF\n`],
    ["a comma at the end", `${head}a_total{b="c",} 1\n# EOF\n`],
    ["a label twice", `${head}a_total{b="c",b="d"} 1\n# EOF\n`],
    ["a label set twice", `${head}a_total{b="c"} 1\na_total{b="c"} 2\n# EOF\n`],
    ["a family in two places", `${head}a_total 1\n# TYPE b gauge\n${head}# EOF\n`],
    ["a help after a sample", `${head}a_total 1\n# HELP a b\n# EOF\n`],
    ["a unit that the name does not have", `${head}# UNIT a seconds\n# EOF\n`],
    ["names that clash", `${head}# TYPE a_total gauge\n# EOF\n`],
    ["a state without its label", '# TYPE a stateset\na{b="c"} 1\n# EOF\n'],
  ])("%s", (_, text) => {
    expect(() => read(text)).toThrow();
  });
});

test("any text comes back as it was, as a label and in the help", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
      const one = new Exposition(65_536);
      one.family("gauge", "a", "", text);
      one.sample(1, ["b", text]);
      const family = read(one.finish()).get("a")!;
      expect(family.samples[0]!.labels.b).toBe(text);
    }),
    { numRuns: 500 },
  );
});

test("any number comes back as it was; NaN is no sample", () => {
  fc.assert(
    fc.property(fc.double(), (value) => {
      const one = new Exposition(4096);
      one.family("gauge", "a", "", "");
      one.sample(value);
      const { samples } = read(one.finish()).get("a")!;
      expect(samples.map((sample) => sample.value)).toEqual(Number.isNaN(value) ? [] : [value + 0]);
    }),
  );
});

describe("what does not fit", () => {
  test("is left out by whole families, and the text stays valid at every size", () => {
    let most = 0;
    for (let bytesMax = 6; bytesMax < 400; bytesMax++) {
      const one = new Exposition(bytesMax);
      for (const name of ["a", "b", "c"]) {
        one.family("counter", name, "", "äöü, three of them");
        for (const label of ["x", "y", "z"]) one.sample(7, ["l", label]);
      }
      const text = one.finish();
      expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(bytesMax);
      const families = read(text);
      for (const { samples } of families.values()) expect(samples.length).toBe(3);
      expect(families.size + one.dropped).toBe(3);
      expect(families.size).toBeGreaterThanOrEqual(most);
      most = families.size;
    }
    expect(most).toBe(3);
  });

  test("does not spoil the next text", () => {
    const one = new Exposition(60);
    one.family("gauge", "a", "", "x".repeat(100));
    expect(one.finish()).toBe("# EOF\n");
    one.family("gauge", "b", "", "y");
    one.sample(2);
    expect(read(one.finish()).get("b")!.samples[0]!.value).toBe(2);
  });
});

test("names that OpenMetrics does not allow are a defect", () => {
  const one = new Exposition(4096);
  expect(() => one.family("gauge", "a-b", "", "")).toThrow(Broken);
  expect(() => one.family("gauge", "a_s", "seconds", "")).toThrow(Broken);
  one.family("gauge", "a", "", "");
  expect(() => one.sample(1, ["1", "x"])).toThrow(Broken);
});
