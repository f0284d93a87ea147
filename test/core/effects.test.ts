// Effects, tested: each verb with what it carries, in order, and the bound.
// Neighbours: `src/core/effects.ts`; the turn drains them and is tested for that.
// Invariant: a verb that the list lacks fails.

import { expect, test } from "bun:test";
import { startup } from "../../src/codec/request.ts";
import { Effects, Level, Verb, type WebRequest } from "../../src/core/effects.ts";
import { Broken } from "../../src/kit/assert.ts";
import { EFFECT_SLOTS } from "../../src/limits.ts";

const REQUEST: WebRequest = {
  method: "GET",
  host: "dps.example",
  port: 443,
  path: "/",
  authorization: "",
  body: "",
};

test("each verb carries its number, flag and text, in the order asked for", () => {
  const effects = new Effects();
  effects.open();
  effects.abort();
  effects.sign("text");
  effects.probe("token");
  effects.drive(31, true);
  effects.drive(30, false);
  effects.log(Level.WARNING, "line");
  effects.reply(1_073_741_823, false, "no");
  effects.reload(-1);
  effects.exit(1);
  effects.perform(2, startup());
  effects.sweep(3);
  effects.ask(4, REQUEST);
  effects.save("kept");
  effects.plan();
  effects.feed(true);
  effects.remember(7, "text");
  effects.climb(4);
  effects.expose("metrics");
  const slots = Array.from({ length: effects.count }, (_, slot) => [
    Verb[effects.verbs[slot]!],
    effects.numbers[slot],
    effects.flags[slot],
    effects.texts[slot],
  ]);
  expect(slots).toEqual([
    ["OPEN", 0, 0, ""],
    ["ABORT", 0, 0, ""],
    ["SIGN", 0, 0, "text"],
    ["PROBE", 0, 0, "token"],
    ["DRIVE", 31, 1, ""],
    ["DRIVE", 30, 0, ""],
    ["LOG", 4, 0, "line"],
    ["REPLY", 1_073_741_823, 0, "no"],
    ["RELOAD", -1, 0, ""],
    ["EXIT", 1, 0, ""],
    ["PERFORM", 2, 0, ""],
    ["SWEEP", 3, 0, ""],
    ["FETCH", 4, 0, ""],
    ["SAVE", 0, 0, "kept"],
    ["PLAN", 0, 0, ""],
    ["FEED", 0, 1, ""],
    ["REMEMBER", 7, 0, "text"],
    ["CLIMB", 4, 0, ""],
    ["EXPOSE", 0, 0, "metrics"],
  ]);
  const named = new Set(slots.map(([verb]) => verb));
  expect(named.size).toBe(Object.keys(Verb).length / 2);
});

test("an operation or a request is taken once, and not kept after that", () => {
  const effects = new Effects();
  effects.perform(1, startup());
  effects.ask(2, REQUEST);
  expect(effects.take(0)).toEqual(startup());
  expect(effects.take(1)).toBe(REQUEST);
  expect([effects.take(0), effects.take(1)]).toEqual([undefined, undefined]);
});

test("a step that asks for more than fits is a defect, not a loss", () => {
  const effects = new Effects();
  for (let at = 0; at < EFFECT_SLOTS; at++) effects.open();
  expect(() => effects.open()).toThrow(Broken);
  effects.count = 0;
  expect(() => effects.open()).not.toThrow();
});
