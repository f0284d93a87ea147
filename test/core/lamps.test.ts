// Lamps, tested on a rig: from desired properties to pins and back to reported ones.
// Neighbours: `src/core/{lamps,lamp,report,twin}.ts` and the turn, which drives before it sends.
// Invariant: the pins and the packets are looked at in the order in which they happened.

import { describe, expect, test } from "bun:test";
import { Hold } from "../../src/core/lamp.ts";
import { connack, lamp, publish, Rig, settings } from "../rig.ts";

const TWO = { lamps: [lamp("LED1"), lamp("LED2", true)] };

/** Patches of reported properties sent since the last look. */
function reports(rig: Rig): unknown[] {
  const patches = rig.sent().filter((one) => one.topic.startsWith("$iothub/twin/PATCH/"));
  return patches.map((one) => JSON.parse(one.payload));
}

/** The pins driven since the last look. */
function drives(rig: Rig): string[] {
  return rig.take().filter((call) => call.startsWith("drive "));
}

/** Connected, in step, and the first report answered. */
function settled(desired: object = {}, version = 1, given = settings({})): Rig {
  const rig = new Rig(given);
  rig.online(desired, version);
  rig.answerReport();
  rig.sent();
  rig.take();
  return rig;
}

describe("from the twin to the pin", () => {
  test("at start every pin takes its initial state, connected or not", () => {
    const rig = new Rig(settings(TWO));
    rig.turn.start();
    expect(drives(rig)).toEqual(["drive 0 off", "drive 1 on"]);
  });

  test("a desired change is driven, then reported, in one turn", () => {
    const rig = settled();
    rig.push({ LED1: true }, 2);
    expect(drives(rig)).toEqual(["drive 0 on"]);
    expect(reports(rig)).toEqual([{ LED1: { value: true, ac: 200, av: 2, ad: null } }]);
  });

  test("when the pin is driven, nothing of it has been sent yet", () => {
    const rig = settled();
    const order: string[] = [];
    rig.calls.push = (...calls: string[]) => {
      for (const call of calls) order.push(`${call} after ${rig.stream.length} bytes`);
      return 0;
    };
    const before = rig.stream.length;
    rig.push({ LED1: true }, 2);
    expect(order[0]).toBe(`drive 0 on after ${before} bytes`);
    expect(rig.stream.length).toBeGreaterThan(before);
  });

  test("a reload drives before it reports, too", () => {
    const rig = settled();
    rig.turn.onSettings(settings({ lamps: [lamp("LED1", true)] }));
    expect(reports(rig)).toEqual([
      { LED1: { value: true, ac: 203, av: 1, ad: "no value desired: initial state" } },
    ]);
  });

  test("a push that overtakes the GET's answer is in effect at the end", () => {
    const rig = new Rig();
    rig.greet();
    rig.turn.onData(connack());
    rig.turn.onData(Uint8Array.of(0x90, 4, 0, 1, 0, 0));
    rig.push({ LED1: true }, 5);
    rig.answerGet({ LED1: false }, 4);
    expect(drives(rig).slice(1)).toEqual([]);
    rig.answerGet({ LED1: true }, 5);
    expect(drives(rig)).toEqual(["drive 0 on"]);
  });

  test("a gap asks for the document and drives by it", () => {
    const rig = settled();
    rig.push({ LED1: true }, 4);
    expect(drives(rig)).toEqual([]);
    rig.answerGet({ LED1: true }, 4);
    expect(drives(rig)).toEqual(["drive 0 on"]);
  });

  test("a stale push changes nothing", () => {
    const rig = settled({ LED1: true }, 6);
    rig.push({ LED1: false }, 6);
    rig.push({ LED1: false }, 3);
    expect(drives(rig)).toEqual([]);
    expect(reports(rig)).toEqual([]);
  });

  test("removed by null or absent from the document: initial state and 203", () => {
    const initial = { value: true, ac: 203, ad: "no value desired: initial state" };
    const rig = settled({ LED2: false }, 1, settings(TWO));
    rig.push({ LED2: null }, 2);
    expect(drives(rig)).toEqual(["drive 1 on"]);
    expect(reports(rig)).toEqual([{ LED2: { ...initial, av: 2 } }]);
    const other = settled({ LED2: false }, 1, settings(TWO));
    other.push({}, 3);
    other.answerGet({}, 3, {});
    expect(drives(other)).toEqual(["drive 0 off", "drive 1 on"]);
    expect(reports(other)).toMatchObject([{ LED2: { ...initial, av: 3 } }]);
  });

  test("a wrong type is reported back as 400, said once, and drives nothing", () => {
    const rig = settled();
    rig.push({ LED1: "on" }, 2);
    const ad = "LED1 takes true or false, not a string";
    expect(rig.logs()).toEqual([`desired ${ad}`]);
    expect(reports(rig)).toEqual([{ LED1: { value: false, ac: 400, av: 2, ad } }]);
  });

  test("names are taken as they are, and what JavaScript knows by itself is not one", () => {
    const rig = settled({}, 1, settings({ lamps: [lamp("constructor"), lamp("LED1")] }));
    rig.push({ LED1: true }, 2);
    expect(drives(rig)).toEqual(["drive 1 on"]);
    rig.push({ constructor: true, led1: true }, 3);
    expect(drives(rig)).toEqual(["drive 0 on"]);
  });
});

describe("pins that fail", () => {
  test("500 with the pin's words; the agent runs on and tells when it works again", () => {
    const rig = settled();
    rig.pinFault = "LED1: /nowhere/LED1: no permission";
    rig.push({ LED1: true }, 2);
    expect(rig.logs()).toEqual([rig.pinFault]);
    const ad = rig.pinFault;
    expect(reports(rig)).toEqual([{ LED1: { value: false, ac: 500, av: 2, ad } }]);
    rig.pinFault = "";
    rig.turn.onCommand(1, ["led", "LED1", "on"]);
    expect(rig.logs()).toEqual([
      "LED1 held on by an operator",
      "LED1: its pin works again",
      "LED1 on (operator)",
    ]);
  });

  test("a fault that a reload brings to light is reported, and when it is gone again", () => {
    const rig = settled({ LED1: false }, 4);
    rig.pinFault = "LED1: gone";
    rig.turn.onSettings(rig.given);
    expect(rig.take(true)).toContain("log 3 LED1: gone");
    const done = { value: false, ac: 200, av: 4, ad: null };
    const failed = { ...done, ac: 500, ad: "LED1: gone" };
    expect(reports(rig)).toEqual([{ LED1: failed }]);
    rig.turn.onData(publish("$iothub/twin/res/204/?$rid=3&$version=8", ""));
    rig.pinFault = "";
    rig.turn.onSettings(rig.given);
    expect(rig.take(true)).toContain("log 5 LED1: its pin works again");
    expect(reports(rig)).toEqual([{ LED1: done }]);
  });

  test("a fault that stays is said once", () => {
    const rig = settled();
    rig.pinFault = "LED1: gone";
    rig.push({ LED1: true }, 2);
    rig.push({ LED1: false }, 3);
    rig.turn.onSettings(rig.given);
    expect(rig.logs()).toEqual(["LED1: gone"]);
  });
});

describe("held by an operator", () => {
  test("202 with the true state; the twin's wish waits and is met when given back", () => {
    const rig = settled({ LED1: false }, 3);
    rig.turn.onCommand(1, ["led", "LED1", "on"]);
    const ad = "held by the operator on site";
    expect(reports(rig)).toEqual([{ LED1: { value: true, ac: 202, av: 3, ad } }]);
    rig.push({ LED1: false }, 4);
    expect(drives(rig).at(-1)).toBe("drive 0 on");
    rig.turn.onCommand(1, ["led", "LED1", "auto"]);
    expect(drives(rig).at(-1)).toBe("drive 0 off");
  });

  test("and given back in the state that it has: each code is reported in its turn", () => {
    const rig = new Rig();
    rig.greet();
    rig.turn.onData(connack());
    const done = { value: true, ac: 200, av: 3 };
    rig.synchronise({ LED1: true }, 3, { LED1: done });
    rig.turn.onCommand(1, ["led", "LED1", "on"]);
    rig.answerReport();
    rig.turn.onCommand(1, ["led", "LED1", "auto"]);
    expect(reports(rig)).toEqual([{ LED1: { ...done, ad: null } }]);
  });

  test("in the state that it has already: the pin stays, the code changes", () => {
    const rig = settled({ LED1: true }, 3);
    rig.turn.onCommand(1, ["led", "LED1", "on"]);
    expect(reports(rig)).toMatchObject([{ LED1: { value: true, ac: 202, av: 3 } }]);
  });

  test("while offline it is reported at the next connection", () => {
    const rig = settled({ LED1: false }, 3);
    rig.close();
    rig.turn.onCommand(1, ["led", "LED1", "on"]);
    rig.redial();
    rig.sent();
    rig.secure();
    rig.turn.onData(connack());
    rig.synchronise({ LED1: false }, 3, { LED1: { value: false, ac: 200, av: 3 } });
    expect(reports(rig)).toMatchObject([{ LED1: { value: true, ac: 202, av: 3 } }]);
  });
});

describe("reporting", () => {
  test("nothing when the hub already holds the same", () => {
    const rig = new Rig();
    rig.greet();
    rig.turn.onData(connack());
    const held = { ac: 200, value: true, av: 4 };
    rig.synchronise({ LED1: true }, 4, { LED1: held, other: 1, $version: 9 });
    expect(drives(rig)).toContain("drive 0 on");
    expect(reports(rig)).toEqual([]);
  });

  test("again when the hub holds another value, code, version or reason", () => {
    const same = { value: true, ac: 200, av: 4 };
    const others = [
      { ...same, value: false },
      { ...same, ac: 203 },
      { ...same, av: 3 },
      { ...same, ad: "old" },
      true,
      null,
    ];
    for (const LED1 of others) {
      const rig = new Rig();
      rig.greet();
      rig.turn.onData(connack());
      rig.synchronise({ LED1: true }, 4, { LED1 });
      expect(reports(rig)).toEqual([{ LED1: { ...same, ad: null } }]);
    }
  });

  test("a change while a report is under way goes into the next one, alone", () => {
    const rig = new Rig(settings(TWO));
    rig.online();
    rig.push({ LED1: true }, 2);
    rig.push({ LED1: false }, 3);
    rig.push({ LED1: true }, 4);
    expect(reports(rig)).toHaveLength(1);
    rig.turn.onData(publish("$iothub/twin/res/204/?$rid=2&$version=2", ""));
    expect(reports(rig)).toEqual([{ LED1: { value: true, ac: 200, av: 4, ad: null } }]);
  });

  test("a report whose answer was lost with the link is made again", () => {
    const rig = new Rig();
    rig.online({ LED1: true }, 2);
    expect(reports(rig)).toHaveLength(1);
    rig.close();
    rig.redial();
    rig.reconnect({ LED1: true }, 2);
    expect(reports(rig)).toEqual([{ LED1: { value: true, ac: 200, av: 2, ad: null } }]);
  });

  test("a document from before our last report is not taken for what the hub holds", () => {
    const rig = new Rig();
    rig.online({ LED1: false }, 2);
    rig.answerReport(204, 40);
    rig.push({ LED1: true }, 3);
    rig.answerReport(204, 41);
    // The push of version 4 was missed; it put the lamp out again.
    rig.push({}, 5);
    const before = { value: false, ac: 200, av: 5 };
    rig.answerGet({ LED1: false }, 5, { LED1: before, $version: 40 });
    expect(reports(rig)).toEqual([{ LED1: { ...before, ad: null } }]);
  });

  test("a document of our very last report is", () => {
    const rig = settled();
    rig.push({ LED1: true }, 2);
    rig.answerReport(204, 41);
    rig.close();
    rig.redial();
    rig.sent();
    rig.secure();
    rig.turn.onData(connack());
    const LED1 = { value: true, ac: 200, av: 2 };
    rig.synchronise({ LED1: true }, 2, { LED1, $version: 41 });
    expect(reports(rig)).toEqual([]);
  });

  test("refused for good it waits for the next change", () => {
    const rig = new Rig();
    rig.online();
    rig.answerReport(400);
    rig.pass(100_000);
    expect(reports(rig)).toEqual([]);
    rig.push({ LED1: true }, 2);
    expect(reports(rig)).toHaveLength(1);
  });

  test("throttled it comes again by itself", () => {
    const rig = new Rig();
    rig.online();
    rig.answerReport(429);
    rig.pass(5000);
    expect(reports(rig)).toHaveLength(1);
  });
});

describe("new settings", () => {
  const initial = { value: false, ac: 203, av: 1, ad: "no value desired: initial state" };

  test("what stays the same is not reported again", () => {
    const rig = settled({ LED1: true }, 1);
    rig.turn.onSettings(rig.given);
    expect(drives(rig)).toEqual(["drive 0 on"]);
    expect(reports(rig)).toEqual([]);
    expect(rig.logs()).toEqual([]);
  });

  test("a lamp that is new asks what is desired of it", () => {
    const rig = settled({ LED1: false, LED2: false }, 1);
    rig.turn.onSettings(settings(TWO));
    expect(drives(rig)).toEqual(["drive 0 off", "drive 1 on"]);
    rig.answerGet({ LED1: false, LED2: false }, 1, { LED1: { value: false, ac: 200, av: 1 } });
    expect(drives(rig)).toContain("drive 1 off");
    expect(reports(rig)).toEqual([{ LED2: { value: false, ac: 200, av: 1, ad: null } }]);
  });

  test("of a lamp that is no more, the hub is told to forget the report", () => {
    const rig = settled({}, 1, settings(TWO));
    rig.turn.onSettings(settings({}));
    expect(reports(rig)).toEqual([{ LED2: null }]);
    rig.turn.onData(publish("$iothub/twin/res/204/?$rid=3&$version=3", ""));
    expect(reports(rig)).toEqual([]);
    rig.push({ LED1: true }, 2);
    rig.answerReport(429);
    rig.sent();
    rig.pass(5000);
    expect(reports(rig)).toEqual([{ LED1: { value: true, ac: 200, av: 2, ad: null } }]);
  });

  test("it is told so at the next connection when there is none, unless it holds nothing", () => {
    for (const reported of [{}, { LED2: initial }]) {
      const rig = settled({}, 1, settings(TWO));
      rig.close();
      rig.turn.onSettings(settings({}));
      rig.redial();
      rig.secure();
      rig.turn.onData(connack());
      rig.synchronise({}, 1, { LED1: initial, ...reported });
      expect(reports(rig)).toEqual("LED2" in reported ? [{ LED2: null }] : []);
    }
  });

  test("a removal whose answer was lost is made again, one that was undone is not", () => {
    for (const back of [false, true]) {
      const rig = settled({}, 1, settings(TWO));
      rig.turn.onSettings(settings({}));
      expect(reports(rig)).toEqual([{ LED2: null }]);
      if (back) rig.turn.onSettings(settings(TWO));
      rig.close();
      rig.redial();
      rig.secure();
      rig.turn.onData(connack());
      rig.synchronise({}, 1, { LED1: initial, LED2: { ...initial, value: true } });
      expect(reports(rig)).toEqual(back ? [] : [{ LED2: null }]);
    }
  });

  test("while a report is under way its answer still counts, and only for what it said", () => {
    const rig = new Rig(settings(TWO));
    rig.online();
    const given = settings({ lamps: [lamp("LED2"), lamp("LED3")] });
    rig.turn.onSettings(given);
    expect(reports(rig)).toHaveLength(1);
    rig.turn.onData(publish("$iothub/twin/res/204/?$rid=2&$version=2", ""));
    // LED2 is another now, LED3 is new, LED1 gone; but first the document is asked for.
    expect(reports(rig)).toEqual([]);
    const { twin } = rig.turn.agent.machines.traffic;
    const rid = "$iothub/twin/res/200/?$rid=3";
    rig.turn.onData(publish(rid, JSON.stringify({ desired: { $version: twin.version } })));
    expect(reports(rig)).toEqual([{ LED2: initial, LED3: initial }]);
  });

  test("reordered lamps keep their names, holds and wishes", () => {
    const rig = settled({ LED1: true }, 1, settings(TWO));
    rig.turn.onCommand(1, ["led", "LED2", "off"]);
    rig.turn.onSettings(settings({ lamps: [lamp("LED2", true), lamp("LED1")] }));
    expect(drives(rig).slice(-2)).toEqual(["drive 0 off", "drive 1 on"]);
    const { all } = rig.turn.agent.machines.lamps;
    expect(all.map((one) => [one.name, Hold[one.hold]])).toEqual([
      ["LED2", "OFF"],
      ["LED1", "AUTO"],
    ]);
  });
});
