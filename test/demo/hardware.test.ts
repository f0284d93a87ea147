// Tests of hardware: each step of the TPM's story sees what it should and nothing less.
// Neighbours: `sample` makes the facts; `story.test` tests the steps that follow.
// Invariant: whatever one witness alone says is not enough.

import { expect, test } from "bun:test";
import type { Facts } from "./facts.ts";
import { HARDWARE } from "./hardware.ts";
import { asked, closed, facts, registered as known, ledger, status } from "./sample.ts";
import { before, type Look, type Step } from "./step.ts";

const endorsementKey = "AToAAQ";
const chip = { maker: "IBM SW TPM", specification: "2.0", keyCount: 0, endorsementKey };
const enrollment = { registrationId: "abc", deviceId: "gateway-1", endorsementKey };

function look(step: Step, now: Partial<Facts>): Look {
  const since = (_name: string, condition: boolean): string => (condition ? "7 ms" : "");
  const whole = facts({ endpoint: "tpm", ...now });
  return step.see({ facts: whole, before: before(facts()), since });
}

/** Hub and DPS after a registration, less what is left out. */
function registered(without = ""): ReturnType<typeof ledger> {
  const made = ledger();
  for (const step of ["challenge", "register", "poll", "assigned"] as const) {
    if (step !== without) made.enter(asked(step));
  }
  made.isCreated = without !== "created";
  if (without === "connect") made.enter(closed());
  return made;
}

test("local Azure is there when hub and DPS are", () => {
  expect(look(HARDWARE.azure, {})).toMatchObject({ seen: true });
  expect(look(HARDWARE.azure, { hubPort: 0 }).seen).toBe(false);
  expect(look(HARDWARE.azure, { idScope: "" }).seen).toBe(false);
});

test("a TPM is blank when it holds nothing; one that is not ends the waiting", () => {
  const blank = look(HARDWARE.chip, { chip });
  expect(blank).toMatchObject({ seen: true, text: expect.stringContaining("holds no key") });
  expect(look(HARDWARE.chip, {})).toMatchObject({ seen: false, isHopeless: false });
  const used = look(HARDWARE.chip, { chip: { ...chip, keyCount: 2 } });
  expect(used).toMatchObject({ seen: false, found: "it holds 2 keys", isHopeless: true });
});

test("enrolled is this TPM's own key, for this device", () => {
  expect(look(HARDWARE.enroll, { chip, enrollment }).seen).toBe(true);
  expect(look(HARDWARE.enroll, { chip }).seen).toBe(false);
  const others = [{ endorsementKey: "BBBB" }, { deviceId: "gateway-2" }];
  for (const other of others) {
    const one = look(HARDWARE.enroll, { chip, enrollment: { ...enrollment, ...other } });
    expect(one).toMatchObject({ seen: false, found: "another key or device" });
  }
});

test("a first start is seen when DPS, the hub and the agent agree on it", () => {
  const agent = status(known());
  const whole = look(HARDWARE.first, { agent, ledger: registered() });
  expect(whole).toMatchObject({
    seen: true,
    text: "registered after 7 ms, hub let gateway-1 in after 7 ms",
  });
  for (const without of ["challenge", "assigned", "created", "connect"]) {
    const seen = look(HARDWARE.first, { agent, ledger: registered(without) }).seen;
    expect([without, seen]).toEqual([without, false]);
  }
  const now = { agent, ledger: registered() };
  expect(look(HARDWARE.first, { ...now, isEnabled: false }).seen).toBe(false);
  expect(look(HARDWARE.first, { ...now, otherCount: 1 }).seen).toBe(false);
  expect(look(HARDWARE.first, { ...now, agent: status({ state: "linking" }) }).seen).toBe(false);
});
