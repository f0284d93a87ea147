// Tests of keys: typing, editing, single keys, escape sequences, beginnings of words.
// Neighbours: keys.ts.
// Invariant: input is what a terminal sends for the keys named.

import { expect, test } from "bun:test";
import { Keys, Press, WORDS, wordOf } from "./keys.ts";

function commands(...inputs: string[]): string[] {
  const keys = new Keys();
  return inputs
    .flatMap((input) => keys.feed(input))
    .filter(({ press }) => press === Press.COMMAND)
    .map(({ text }) => text);
}

test("a word and Enter are a command, in one piece or key by key", () => {
  expect(commands("status\r")).toEqual(["status"]);
  expect(commands(..."status\r")).toEqual(["status"]);
  expect(commands("on\roff\n")).toEqual(["on", "off"]);
});

test("single keys act at once, at the start of a line only", () => {
  expect(commands("1", "0", "?", "q")).toEqual(["on", "off", "help", "quit"]);
  expect(commands("x1\r")).toEqual(["x1"]);
});

test("backspace, Ctrl-U and Ctrl-W edit, Tab completes", () => {
  expect(commands("plugg\x7f\r")).toEqual(["plug"]);
  expect(commands("abc\x15log\r")).toEqual(["log"]);
  expect(commands("abc def\x17\r")).toEqual(["abc"]);
  expect(commands("stat\t\r")).toEqual(["status"]);
  expect(commands("pu\t\r")).toEqual(["pull"]);
  expect(commands("p\t\r")).toEqual(["p"]);
});

test("escape sequences leave no trace, torn or whole", () => {
  expect(commands("\x1b[A\x1bOPlo\x1b[1;5Cg\r")).toEqual(["log"]);
  expect(commands("\x1b", "[", "1", "5", "~", "log\r")).toEqual(["log"]);
});

test("Ctrl-C, Ctrl-D, Ctrl-L and an empty Enter have a meaning of their own", () => {
  const presses = new Keys().feed("\x03\x04\x0c\r ").map(({ press }) => press);
  expect(presses).toEqual([Press.LEAVE, Press.LEAVE, Press.REDRAW, Press.GO_ON, Press.GO_ON]);
});

test("other control and foreign characters are dropped, a long line stays short", () => {
  expect(commands("l\x00o\u{1f600}g\r")).toEqual(["log"]);
  const keys = new Keys();
  keys.feed("x".repeat(1000));
  expect(keys.line.length).toBeLessThan(79);
});

test("a word is known by any beginning that is only its own", () => {
  for (const word of WORDS) expect(wordOf(word)).toBe(word);
  expect(wordOf(" STAT ")).toBe("status");
  expect(wordOf("w")).toBe("wrong");
  for (const unclear of ["", "o", "pl ug", "p", "xyz", "statusx"]) {
    expect(wordOf(unclear)).toBeUndefined();
  }
});
