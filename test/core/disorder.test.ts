// Disorder: the turn in a world that does anything at any time, by chance from a seed.
// Neighbours: `rig` is that world, `turn.test.ts` has the cases with names; `sim` adds a real hub.
// Invariant: a seed gives the same disorder for ever, so that a failure names its seed.

import { expect, test } from "bun:test";
import { AgentState } from "../../src/core/agent.ts";
import type { Cause } from "../../src/core/effects.ts";
import { Fate } from "../../src/core/tally.ts";
import { TwinState } from "../../src/core/twin.ts";
import { Prng } from "../../src/kit/prng.ts";
import {
  connack,
  KEY,
  lamp,
  packet,
  pingresp,
  puback,
  publish,
  Rig,
  SIGNATURE,
  settings,
  suback,
} from "../rig.ts";

const BOUND = "devices/dev1/messages/devicebound/";
const ENDLESS = Number.POSITIVE_INFINITY;

/** Something that the world may do, by chance. */
function disturb(rig: Rig, prng: Prng): void {
  const { turn } = rig;
  const version = turn.agent.machines.traffic.twin.version;
  const rid = prng.between(1, 12);
  const deeds: readonly (() => void)[] = [
    () => turn.onOpened(),
    () => turn.onSecured(),
    () => rig.secure(),
    () => turn.onData(connack(prng.chance(0.8) ? 0 : prng.below(6), false)),
    () => rig.close(prng.between(1, 14) as Cause, "words"),
    () => turn.onData(suback(prng.below(3) + 1, prng.chance(0.9) ? [0, 0] : [0x80, 0])),
    () => turn.onData(puback(prng.between(1, 60))),
    () => turn.onData(pingresp()),
    () => rig.push({ LED1: prng.chance(0.5) }, version + prng.between(0, 2)),
    () => turn.onData(publish(`$iothub/twin/res/204/?$rid=${rid}&$version=3`, "")),
    () => turn.onData(publish(`$iothub/twin/res/429/?$rid=${rid}`, "{}")),
    () =>
      turn.onData(
        publish(`$iothub/twin/res/200/?$rid=${rid}`, `{"desired":{"$version":${version + 1}}}`),
      ),
    () => turn.onData(publish(BOUND, "x", prng.between(1, 9))),
    () => turn.onData(publish("$iothub/methods/POST/m/?$rid=1", "{}")),
    () => turn.onData(packet(prng.below(256), [0, prng.below(4), prng.below(256)])),
    () => turn.onSigned(SIGNATURE),
    () => turn.onSignFailed("locked"),
    () => rig.probed({ dateS: rig.wallS + prng.between(-1000, 1000), status: 401 }),
    () => turn.onCommand(prng.below(8), ["connect"]),
    () => turn.onCommand(prng.below(8), ["disconnect"]),
    () => turn.onCommand(prng.below(8), ["led", "LED1", prng.chance(0.5) ? "on" : "auto"]),
    () => turn.onCommand(prng.below(8), ["status", "--json"]),
    () => turn.onSettings(settings({ data: { autoOnStartup: prng.chance(0.7) } })),
    () => turn.onSettings(settings({ lamps: [lamp("LED1"), lamp("LED2")].slice(prng.below(3)) })),
    () => rig.accept("m", "n"),
    () => turn.onWritable(),
    () => void Object.assign(rig, { socketRoom: prng.chance(0.5) ? prng.below(300) : ENDLESS }),
    () => void Object.assign(rig, { pinFault: prng.chance(0.3) ? "LED1: gone" : "" }),
    () => void Object.assign(rig, { wallS: rig.wallS + prng.between(-100_000, 100_000) }),
    () => rig.pass(prng.below(2 ** prng.between(1, 19))),
  ];
  deeds[prng.below(deeds.length)]!();
}

/** What a good hub would do next. */
function help(rig: Rig): void {
  const { agent } = rig.turn;
  const waiting = rig.sent();
  if (agent.state === AgentState.SIGNING) return rig.turn.onSigned(SIGNATURE);
  if (agent.state === AgentState.LINKING) {
    rig.secure();
    return rig.turn.onData(connack());
  }
  for (const { type, topic, identifier } of waiting) {
    const rid = topic.split("$rid=")[1];
    const document = '{"desired":{"LED1":true,"$version":3}}';
    if (type === 8) rig.turn.onData(suback(identifier));
    else if (type === 12) rig.turn.onData(pingresp());
    else if (topic.includes("/GET/")) {
      rig.turn.onData(publish(`$iothub/twin/res/200/?$rid=${rid}`, document));
    } else if (topic.includes("/PATCH/")) {
      rig.turn.onData(publish(`$iothub/twin/res/204/?$rid=${rid}&$version=9`, ""));
    } else if (type === 3 && identifier > 0) rig.turn.onData(puback(identifier));
  }
}

test("whatever happens in whatever order: no defect, no spin, no secret, and an end", () => {
  const states = new Set<AgentState>();
  const twins = new Set<TwinState>();
  for (let seed = 0; seed < 300; seed++) {
    const prng = new Prng(seed);
    const rig = new Rig(settings({ telemetry: { intervalS: 60 } }), seed);
    const { agent } = rig.turn;
    rig.turn.start();
    for (let at = 0; at < 150; at++) {
      if (prng.chance(0.5)) help(rig);
      else disturb(rig, prng);
      states.add(agent.state);
      twins.add(agent.machines.traffic.twin.state);
      expect(rig.alarmMs).toBe(agent.nextMs);
      // What is due is done: after a few rings the next alarm lies ahead.
      for (let rings = 0; rig.alarmMs <= rig.nowMs; rings++) {
        expect(rings).toBeLessThan(5);
        rig.turn.onAlarm();
      }
    }
    rig.turn.stop();
    states.add(agent.state);
    rig.pass(60_000);
    const calls = rig.take(true);
    expect(calls.filter((call) => call.startsWith("exit "))).toEqual(["exit 0"]);
    for (const secret of [KEY, SIGNATURE, "sig="]) {
      expect(calls.filter((call) => call.includes(secret))).toEqual([]);
    }
  }
  // PROVISIONING is for those who have a TPM, PAUSING for those who have a schedule.
  expect(states.size).toBe(Object.keys(AgentState).length / 2 - 2);
  expect(twins.size).toBe(Object.keys(TwinState).length / 2);
});

test("every client is answered exactly once", () => {
  for (let seed = 0; seed < 200; seed++) {
    const prng = new Prng(seed);
    const rig = new Rig(settings({}), seed);
    rig.turn.start();
    let client = 0;
    for (let at = 0; at < 80; at++) {
      const deed = prng.below(5);
      if (deed === 0) rig.turn.onCommand(client++, ["connect"]);
      else if (deed === 1) rig.turn.onCommand(client++, ["disconnect"]);
      else if (deed === 2) help(rig);
      else if (deed === 3) rig.pass(prng.below(30_000));
      else rig.close(prng.between(1, 14) as Cause);
    }
    rig.turn.stop();
    rig.pass(60_000);
    const told = rig.take().filter((call) => call.startsWith("reply "));
    const clients = told.map((call) => Number(call.split(" ")[1])).sort((a, b) => a - b);
    expect(clients).toEqual(Array.from({ length: client }, (_, number) => number));
  }
});

test("left alone with a good hub afterwards, all is delivered and in step", () => {
  for (let seed = 1000; seed < 1200; seed++) {
    const prng = new Prng(seed);
    const rig = new Rig(settings({}), seed);
    const { agent } = rig.turn;
    rig.turn.start();
    for (let at = 0; at < 100; at++) {
      if (prng.chance(0.5)) help(rig);
      else disturb(rig, prng);
    }
    Object.assign(rig, { socketRoom: ENDLESS, pinFault: "" });
    rig.turn.onCommand(9, ["disconnect"]);
    rig.pass(20_000);
    expect(agent.state).toBe(AgentState.HELD);
    rig.turn.onSettings(settings({ lamps: [lamp("LED1"), lamp("LED2")] }));
    rig.turn.onCommand(9, ["connect"]);
    if (agent.state === AgentState.SIGNING) rig.turn.onSigned(SIGNATURE);
    rig.sent();
    rig.secure();
    rig.turn.onData(connack(0, true));
    for (let at = 0; at < 300; at++) {
      help(rig);
      rig.settle();
    }
    const { outbox, traffic, lamps } = agent.machines;
    expect(agent.state).toBe(AgentState.ONLINE);
    expect(outbox.isEmpty).toBe(true);
    expect(rig.tally(Fate.ACKNOWLEDGED)).toBe(rig.tally(Fate.ACCEPTED));
    expect(traffic.twin.version).toBe(3);
    for (const one of lamps.all) expect([one.lit, one.fault]).toEqual([one.wanted, ""]);
    expect(lamps.takeReport()).toBe("");
  }
});
