// Lamp, tested: who decides, what is driven, what the twin is told.
// Neighbours: `src/core/lamp.ts`; several lamps and their reports are tested in `lamps`.
// Invariant: a report says what the pin did, not what was wished.

import { describe, expect, test } from "bun:test";
import { Effects } from "../../src/core/effects.ts";
import { Hold, Lamp } from "../../src/core/lamp.ts";

/** A lamp whose pin does what it is told. */
function lamp(initial = false): { lamp: Lamp; driven: () => boolean[] } {
  const effects = new Effects();
  const one = new Lamp(effects, 3, "LED1", initial);
  const driven = () => {
    const slots = Array.from({ length: effects.count }, (_, slot) => slot);
    effects.count = 0;
    return slots.map((slot) => {
      expect(effects.numbers[slot]).toBe(3);
      const on = effects.flags[slot] === 1;
      one.onDriven(on, "");
      return on;
    });
  };
  return { lamp: one, driven };
}

describe("wanted", () => {
  const holds = [Hold.AUTO, Hold.ON, Hold.OFF];
  const wishes = [undefined, false, true];
  for (const initial of [false, true]) {
    for (const hold of holds) {
      for (const desired of wishes) {
        const byTwin = desired === undefined ? initial : desired;
        const wanted = hold === Hold.AUTO ? byTwin : hold === Hold.ON;
        test(`initial ${initial}, ${Hold[hold]}, desired ${desired}: ${wanted}`, () => {
          const one = lamp(initial);
          one.lamp.onDesired(desired, 2);
          one.lamp.onHold(hold);
          expect(one.lamp.wanted).toBe(wanted);
          expect(one.driven().at(-1)).toBe(wanted);
          expect(one.lamp.lit).toBe(wanted);
        });
      }
    }
  }
});

describe("report", () => {
  test("200: done", () => {
    const one = lamp();
    one.lamp.onDesired(true, 7);
    one.driven();
    expect(one.lamp.report()).toEqual({ value: true, ac: 200, av: 7 });
  });

  test("before the pin took it, the value is the old one", () => {
    const one = lamp();
    one.lamp.onDesired(true, 7);
    expect(one.lamp.report().value).toBe(false);
  });

  test("202: held by an operator, whatever is desired or not", () => {
    for (const desired of [true, false, undefined]) {
      const one = lamp();
      one.lamp.onDesired(desired, 7);
      one.lamp.onHold(Hold.ON);
      one.driven();
      expect(one.lamp.report()).toEqual({
        value: true,
        ac: 202,
        av: 7,
        ad: "held by the operator on site",
      });
    }
  });

  test("203: initial state, after null and after absence", () => {
    for (const nothing of [null, undefined]) {
      const one = lamp(true);
      one.lamp.onDesired(false, 7);
      one.lamp.onDesired(nothing, 8);
      one.driven();
      expect(one.lamp.report()).toEqual({
        value: true,
        ac: 203,
        av: 8,
        ad: "no value desired: initial state",
      });
    }
  });

  test("400: wrong type, named; the lamp stays as it was", () => {
    const cases: readonly (readonly [unknown, string])[] = [
      ["on", "a string"],
      [1, "a number"],
      [0, "a number"],
      [[], "an array"],
      [{}, "an object"],
    ];
    for (const [value, kind] of cases) {
      const one = lamp();
      one.lamp.onDesired(true, 7);
      one.driven();
      one.lamp.onDesired(value, 8);
      expect(one.driven()).toEqual([]);
      expect(one.lamp.report()).toEqual({
        value: true,
        ac: 400,
        av: 8,
        ad: `LED1 takes true or false, not ${kind}`,
      });
    }
  });

  test("400 ends with the next usable value", () => {
    const one = lamp();
    one.lamp.onDesired("on", 7);
    one.lamp.onDesired(true, 8);
    one.driven();
    expect(one.lamp.report()).toEqual({ value: true, ac: 200, av: 8 });
  });

  test("500: the pin's fault in its own words, and the state that it last took", () => {
    const one = lamp();
    one.lamp.onDesired(true, 7);
    one.lamp.onDriven(true, "LED1: no such line");
    expect(one.lamp.report()).toEqual({ value: false, ac: 500, av: 7, ad: "LED1: no such line" });
    one.lamp.onDriven(true, "");
    expect(one.lamp.report()).toEqual({ value: true, ac: 200, av: 7 });
  });
});

test("after new settings a lamp of the same name goes on where the old one was", () => {
  const old = lamp();
  old.lamp.onDesired(true, 7);
  old.lamp.onHold(Hold.OFF);
  old.lamp.onDriven(false, "broken");
  const next = lamp();
  next.lamp.follow(old.lamp);
  expect(next.lamp.report()).toEqual(old.lamp.report());
  expect(next.lamp.wanted).toBe(false);
  next.lamp.onHold(Hold.AUTO);
  expect(next.lamp.wanted).toBe(true);
  const refused = lamp();
  refused.lamp.onDesired("on", 8);
  next.lamp.follow(refused.lamp);
  expect(next.lamp.report()).toMatchObject({ ac: 400, av: 8 });
});
