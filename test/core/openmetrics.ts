// OpenMetrics: a strict reader of the text format, after the ABNF and the rules of OpenMetrics 1.0.
// Neighbours: the tests of `exposition` and `metrics`, and of the port that serves the text.
// Invariant: it throws at the first line that the standard does not allow; it knows only the types
// that we use, and shares nothing with the writer.

/** One sample: its labels as a record. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One metric family. */
export interface Family {
  readonly name: string;
  readonly type: string;
  readonly unit: string;
  readonly help: string;
  readonly samples: Sample[];
}

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const DESCRIPTOR = /^# (TYPE|UNIT|HELP) (\S+) ([^\n]*)$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s;
/** A label: name, and a value in which backslash, quote and line feed are escaped. */
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,(?=.)|$)/s;
const ESCAPED = /^(?:[^"\\\n]|\\["\\n])*$/;
const NUMBER =
  /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?[iI]nf(?:inity)?|[nN]a[nN])$/;
const SUFFIX: Readonly<Record<string, string>> = {
  counter: "_total",
  gauge: "",
  info: "_info",
  stateset: "",
};

function check(holds: boolean, what: string, line: string): void {
  if (!holds) throw new Error(`${what}: ${JSON.stringify(line)}`);
}

/** All families of a text by name; throws an Error that names the line and the rule. */
export function read(text: string): Map<string, Family> {
  check(text.endsWith("# EOF\n"), "the text ends with # EOF and a line feed", text.slice(-20));
  const lines = text.slice(0, -"# EOF\n".length).split("\n");
  check(lines.pop() === "", "# EOF stands on a line of its own", "");
  const families = new Map<string, Family>();
  let family: Family | undefined;
  for (const line of lines) {
    check(line !== "" && line !== "# EOF", "no empty line, one end", line);
    if (line.startsWith("#")) family = describe(families, family, line);
    else {
      if (family === undefined) throw new Error(`a sample of no family: ${line}`);
      family.samples.push(sampleOf(family, line));
    }
  }
  return families;
}

function describe(
  families: Map<string, Family>,
  current: Family | undefined,
  line: string,
): Family {
  const match = DESCRIPTOR.exec(line);
  if (match === null) throw new Error(`no descriptor: ${line}`);
  const [, kind, name, rest] = match as unknown as [string, string, string, string];
  check(METRIC_NAME.test(name), "a metric name", line);
  if (kind === "TYPE") {
    check(rest in SUFFIX, "a known type", line);
    check(!families.has(name), "a family is in one place", line);
    const made = { name, type: rest, unit: "", help: "", samples: [] };
    checkClash(families, made, line);
    families.set(name, made);
    return made;
  }
  check(current?.name === name && current.samples.length === 0, "descriptors come first", line);
  const key = kind === "UNIT" ? "unit" : "help";
  check(current![key] === "", "a descriptor comes once", line);
  if (kind === "HELP") check(ESCAPED.test(rest), "an escaped text", line);
  else {
    check(name.endsWith(`_${rest}`), "the name ends in the unit", line);
    check(current!.type !== "info" && current!.type !== "stateset", "no unit here", line);
  }
  const described = { ...current!, [key]: rest };
  families.set(name, described);
  return described;
}

/** Sample names of different families must not meet. */
function checkClash(families: Map<string, Family>, made: Family, line: string): void {
  const name = made.name + SUFFIX[made.type]!;
  for (const other of families.values()) {
    const clashes = [other.name, other.name + SUFFIX[other.type]!];
    check(!clashes.includes(name) && !clashes.includes(made.name), "names that clash", line);
  }
}

function sampleOf(family: Family, line: string): Sample {
  const match = SAMPLE.exec(line);
  if (match === null) throw new Error(`no sample: ${line}`);
  const [, name, inside, number] = match as unknown as [string, string, string?, string?];
  check(name === family.name + SUFFIX[family.type]!, "the family's name and suffix", line);
  check(NUMBER.test(number!), "a number", line);
  const labels = labelsOf(inside ?? "", line);
  const value = numberOf(number!);
  const isTwice = family.samples.some(
    (other) => JSON.stringify(other.labels) === JSON.stringify(labels),
  );
  check(!isTwice, "each label set once", line);
  if (family.type === "counter") check(value >= 0 && !Number.isNaN(value), "a count", line);
  if (family.type === "info") check(value === 1, "an info is 1", line);
  if (family.type === "stateset") {
    check(value === 0 || value === 1, "a state is 0 or 1", line);
    check(labels[family.name] !== undefined, "a state has a label of the family's name", line);
  }
  return { name, labels, value };
}

function labelsOf(inside: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let rest = inside;
  while (rest !== "") {
    const match = LABEL.exec(rest);
    if (match === null) throw new Error(`no label: ${line}`);
    const [whole, name, value] = match as unknown as [string, string, string];
    check(labels[name] === undefined, "each label once", line);
    labels[name] = value.replace(/\\(.)/gs, (_, one: string) => (one === "n" ? "\n" : one));
    rest = rest.slice(whole.length);
  }
  return labels;
}

function numberOf(text: string): number {
  if (/inf/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  return Number(text);
}
