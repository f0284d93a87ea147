// Tests of story: each step sees what it should, and does not see what is not there.
// Neighbours: `sample` makes the facts; `teller.test` plays steps.
// Invariant: a step is never satisfied by what was there before it, nor by the agent's word alone.

import { expect, test } from "bun:test";
import type { Endpoint, Facts, Twin } from "./facts.ts";
import { Light } from "./lamp.ts";
import { asked, closed, connected, facts, ledger, message, registered, status } from "./sample.ts";
import { before, type Look, type Step } from "./step.ts";
import { STEPS, STORIES } from "./story.ts";

/** A look at `now`, as of a step that began with `then`. */
function look(step: Step, now: Facts, then: Facts = facts()): Look {
  const since = (_name: string, condition: boolean): string => (condition ? "7 ms" : "");
  return step.see({ facts: now, before: before(then), since });
}

function textOf(step: Step, now: Facts, then?: Facts): string {
  const found = look(step, now, then);
  return found.seen ? `${found.text}, ${found.detail}` : `not seen: ${found.found}`;
}

function isSeen(step: Step, now: Facts, then?: Facts): boolean {
  return look(step, now, then).seen;
}

function twin(desired: unknown, $version: number, reported: object): Twin {
  return { desired: { LED1: desired, $version }, reported: { LED1: reported } };
}

test("both stories use the gateway alike, once it is online", () => {
  const titles = (endpoint: Endpoint) => STORIES[endpoint].map(({ title }) => title);
  const use = [
    "telemetry",
    "desired LED1=true",
    "desired LED1=false",
    "cable pulled",
    "cable plugged",
    'desired LED1="yes"',
  ];
  const blank = ["local Azure starts", "blank TPM", "TPM enrolled", "first start"];
  expect(titles("tpm")).toEqual([...blank, ...use, "second start"]);
  expect(titles("sas")).toEqual(["local Azure starts", "agent starts", ...use]);
});

test("a connection counts only when hub and agent agree, and all of it was TLS", () => {
  expect(textOf(STEPS.agent, facts())).toContain("SAS token until 11:00:00 UTC");
  expect(isSeen(STEPS.agent, facts({ otherCount: 1 }))).toBe(false);
  expect(isSeen(STEPS.agent, facts({ tlsCount: 0 }))).toBe(false);
  expect(isSeen(STEPS.agent, facts({ agent: status({ state: "linking" }) }))).toBe(false);
  const lost = ledger();
  lost.enter(closed());
  expect(isSeen(STEPS.agent, facts({ ledger: lost }))).toBe(false);
});

test("telemetry is what the hub has, not what the agent says", () => {
  const agent = status({}, { accepted: 1, acknowledged: 1 });
  expect(isSeen(STEPS.telemetry, facts({ agent }))).toBe(false);
  const now = facts({ agent, ledger: ledger(1) });
  expect(textOf(STEPS.telemetry, now)).toContain("hub has message 1 after 7 ms, QoS 1 {");
});

test("a lamp must be lit in its file and reported for the version now desired", () => {
  const done = twin(true, 2, { value: true, ac: 200, av: 2 });
  const now = facts({ lamp: Light.LIT, twin: done });
  expect(textOf(STEPS.on, now)).toBe('lamp lit after 7 ms, reported {"value":true,"ac":200}');
  expect(isSeen(STEPS.on, facts({ lamp: Light.DARK, twin: done }))).toBe(false);
  expect(isSeen(STEPS.on, facts({ lamp: Light.NONE, twin: done }))).toBe(false);
  const late = twin(true, 3, { value: true, ac: 200, av: 2 });
  expect(isSeen(STEPS.on, facts({ lamp: Light.LIT, twin: late }))).toBe(false);
  expect(isSeen(STEPS.off, now)).toBe(false);
});

test("an answer from before the step is none", () => {
  const now = facts({ lamp: Light.LIT, twin: twin(true, 2, { value: true, ac: 200, av: 2 }) });
  expect(isSeen(STEPS.on, now, now)).toBe(false);
});

test("a pin that fails ends the waiting, with the agent's words", () => {
  const failed = twin(true, 2, { value: false, ac: 500, av: 2, ad: "lamp LED1: ENOENT" });
  const found = look(STEPS.on, facts({ twin: failed }));
  expect(found).toMatchObject({ seen: false, isHopeless: true });
  expect(textOf(STEPS.on, facts({ twin: failed }))).toContain("lamp LED1: ENOENT");
});

test("a cut is seen at the hub, in the queue and in the diagnosis", () => {
  const lost = ledger(1);
  lost.enter(closed());
  const agent = status(
    { state: "waiting", connected: false, lastDiagnosis: { text: "refused", at: "", over: false } },
    { waiting: 2 },
  );
  const now = facts({ isPlugged: false, ledger: lost, agent });
  expect(textOf(STEPS.pull, now)).toContain('2 messages wait after 7 ms, diagnosis "refused"');
  expect(isSeen(STEPS.pull, { ...now, ledger: ledger(1) })).toBe(false);
  const silent = status({ state: "waiting", connected: false }, { waiting: 2 });
  expect(isSeen(STEPS.pull, { ...now, agent: silent })).toBe(false);
  const empty = status(agent, { waiting: 1 });
  expect(isSeen(STEPS.pull, { ...now, agent: empty })).toBe(false);
});

test("after the cut every message must be at the hub; repetitions are counted", () => {
  const then = facts({ ledger: ledger(1), agent: status({}, { accepted: 3, waiting: 2 }) });
  const healed = ledger(1);
  healed.enter(connected());
  healed.enter(message(2));
  const agent = status({}, { accepted: 3 });
  const gap = look(STEPS.plug, facts({ ledger: healed, agent }), then);
  expect(gap).toMatchObject({ seen: false, found: expect.stringContaining("missing: 3") });
  healed.enter(message(3));
  healed.enter(message(3));
  expect(textOf(STEPS.plug, facts({ ledger: healed, agent }), then)).toBe(
    "back by itself after 7 ms, all 2 queued messages came, 0 of 3 lost, 1 twice",
  );
});

test("a wrong value is refused and leaves the lamp as it was", () => {
  const refused = twin("yes", 4, { value: false, ac: 400, av: 4, ad: "true or false" });
  expect(textOf(STEPS.wrong, facts({ twin: refused }))).toContain('"ac":400,"ad":"true or false"');
  expect(isSeen(STEPS.wrong, facts({ twin: refused, lamp: Light.LIT }))).toBe(false);
  const taken = twin("yes", 4, { value: true, ac: 200, av: 4 });
  expect(isSeen(STEPS.wrong, facts({ twin: taken }))).toBe(false);
});

test("a second start counts when the hub has the device again and DPS was left alone", () => {
  const then = facts({ endpoint: "tpm", ledger: ledger(1), agent: status(registered()) });
  const again = ledger(1);
  again.enter(closed());
  again.enter(connected());
  const agent = status({ ...registered(), counters: { connects: 1 } });
  const now = facts({ endpoint: "tpm", ledger: again, agent });
  expect(textOf(STEPS.restart, now, then)).toBe(
    "hub let gateway-1 in after 7 ms, DPS was not asked, " +
      "key of the registration at 09:00:00 UTC",
  );
  const old = status({ ...registered(), counters: { connects: 2 } });
  expect(isSeen(STEPS.restart, { ...now, agent: old }, then)).toBe(false);
  expect(isSeen(STEPS.restart, { ...now, ledger: ledger(1) }, then)).toBe(false);
  const anew = status(registered({ registeredAt: "2026-01-01T10:00:00Z" }));
  const counted = { ...anew, counters: { connects: 1 } };
  expect(isSeen(STEPS.restart, { ...now, agent: counted }, then)).toBe(false);
  again.enter(asked("register"));
  expect(look(STEPS.restart, now, then)).toMatchObject({ seen: false, isHopeless: true });
});
