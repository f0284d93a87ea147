// Table: reads the state tables in the header of a machine and walks one cell by cell.
// Neighbours: the tests of all machines with a table; `world` is what these machines act on.
// Invariant: a cell that the machine does not do, a row or a column that nobody walks, fails.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Broken } from "../../src/kit/assert.ts";

const source = resolve(import.meta.dir, "../../src");

/** Cells by state and event. */
type Table = Map<string, Map<string, string>>;

/** How to walk the table of one machine. */
export interface Walk<S> {
  /** File below `src` whose header holds the table or tables. */
  readonly file: string;
  /** Brings a fresh subject into each state, through its public methods. */
  readonly states: Readonly<Record<string, () => S>>;
  readonly stateOf: (subject: S) => string;
  /** Each event; what it gave back, in the table's words. */
  readonly events: Readonly<Record<string, (subject: S) => string | undefined>>;
  /** What the table calls the arrival in a state, where that is not its name. */
  readonly arrivals?: Readonly<Record<string, string>>;
  /** What the subject asked of the world since the last look, in the table's words. */
  readonly look: (subject: S) => readonly string[];
}

/** The tables of a header as one; remarks in parentheses stand for nothing that is done. */
export function tableOf(file: string): Table {
  const table: Table = new Map();
  let columns: string[] | undefined;
  for (const line of readFileSync(resolve(source, file), "utf8").split("\n")) {
    if (line.startsWith("import ")) break;
    if (!line.includes(" | ")) {
      columns = undefined;
      continue;
    }
    const cells = line.slice(2).split("|");
    const texts = cells.map((cell) => cell.replace(/\([a-z]+\)/g, "").trim());
    if (columns === undefined) {
      columns = cells.map((cell) => cell.trim());
      continue;
    }
    const row = table.get(texts[0]!) ?? new Map<string, string>();
    for (let at = 1; at < texts.length; at++) row.set(columns[at]!, texts[at] || "-");
    table.set(texts[0]!, row);
  }
  return table;
}

/** One test for each row of the table, and one that no row or column is missing. */
export function walkTable<S>(walk: Walk<S>): void {
  const table = tableOf(walk.file);
  const states = Object.keys(walk.states);
  const events = Object.keys(walk.events);

  test("the table has these rows and columns", () => {
    expect([...table.keys()]).toEqual(states);
    for (const row of table.values()) expect([...row.keys()]).toEqual(events);
  });

  for (const state of states) {
    test(`${state} in the table`, () => {
      const seen = events.map((event) => [event, outcome(walk, state, event)]);
      expect(Object.fromEntries(seen)).toEqual(Object.fromEntries(table.get(state)!));
    });
  }
}

function outcome<S>(walk: Walk<S>, state: string, event: string): string {
  const subject = walk.states[state]!();
  expect(walk.stateOf(subject)).toBe(state);
  walk.look(subject);
  const words: string[] = [];
  try {
    const given = walk.events[event]!(subject);
    if (given !== undefined && given !== "") words.push(given);
  } catch (error) {
    if (error instanceof Broken) return "broken";
    throw error;
  }
  words.push(...walk.look(subject));
  const after = walk.stateOf(subject);
  if (after !== state) words.push(walk.arrivals?.[after] ?? after);
  return words.join(", ") || "-";
}
