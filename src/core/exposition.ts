// Exposition: OpenMetrics 1.0 text in one buffer.
// Neighbours: `metrics` writes families with it; ports hand the text to whoever collects.
// Invariant: what comes out is valid whatever the labels hold: a family that does not fit is left
// out whole, and the end mark always fits. The buffer bounds what a text can cost.

import { assert } from "../kit/assert.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const END = "# EOF\n";
/** Names and labels as OpenMetrics 1.0 has them, without the colon kept for rules. */
const NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Types of OpenMetrics that we use. */
export type MetricType = "counter" | "gauge" | "info" | "stateset";

/** What the samples of a family are called after its name. */
const SUFFIXES: { readonly [type in MetricType]: string } = {
  counter: "_total",
  gauge: "",
  info: "_info",
  stateset: "",
};

/** Name and value. */
export type Label = readonly [string, string];

/** Builds one text after the other. */
export class Exposition {
  private readonly bytes: Uint8Array;
  private end = 0;
  /** Where the family under way began; -1: it did not fit and takes nothing more. */
  private start = 0;
  private name = "";
  private suffix = "";
  /** Families left out of this text. */
  dropped = 0;

  /** @param bytesMax largest text, from 6 */
  constructor(bytesMax: number) {
    this.bytes = new Uint8Array(bytesMax);
  }

  /**
   * Begins a family; its samples follow.
   * @param name without the suffix of the type, ending in the unit if there is one
   * @param unit base unit in the plural, e.g. `seconds`; "" for none
   */
  family(type: MetricType, name: string, unit: string, help: string): void {
    assert(NAME.test(name), "a metric has a name that OpenMetrics allows");
    assert(unit === "" || name.endsWith(`_${unit}`), "a metric's name ends in its unit");
    this.name = name;
    this.suffix = SUFFIXES[type];
    this.start = this.end;
    this.put(`# TYPE ${name} ${type}\n`);
    if (unit !== "") this.put(`# UNIT ${name} ${unit}\n`);
    this.put(`# HELP ${name} ${escaped(help)}\n`);
  }

  /** One sample of the family; a value of NaN is none. */
  sample(value: number, ...labels: readonly Label[]): void {
    if (Number.isNaN(value)) return;
    const inside = labels.map(([name, text]) => {
      assert(NAME.test(name), "a label has a name that OpenMetrics allows");
      return `${name}="${escaped(text)}"`;
    });
    const set = inside.length === 0 ? "" : `{${inside.join(",")}}`;
    this.put(`${this.name}${this.suffix}${set} ${numberOf(value)}\n`);
  }

  /** The text; the next family begins another. */
  finish(): string {
    encoder.encodeInto(END, this.bytes.subarray(this.end));
    const text = decoder.decode(this.bytes.subarray(0, this.end + END.length));
    this.end = 0;
    this.start = 0;
    return text;
  }

  private put(line: string): void {
    if (this.start < 0) return;
    const room = this.bytes.length - END.length;
    const { read, written } = encoder.encodeInto(line, this.bytes.subarray(this.end, room));
    this.end += written;
    if (read === line.length) return;
    this.end = this.start;
    this.start = -1;
    this.dropped++;
  }
}

/** Label values and help texts: backslash, line feed and quote (ABNF: escaped-string). */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

/** A number as the ABNF has it (realnumber; `+Inf` and `-Inf` for what is beyond). */
function numberOf(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
