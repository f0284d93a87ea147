// Story: the steps of the demonstration that every endpoint shares, and the order of them all.
// Neighbours: `step` says what a step is; `hardware` has those of the TPM; `teller` plays them.
// Invariant: each step builds on those before it, and is seen only by what came of it.

import { type Endpoint, type Reported, reportedOf, reportedText } from "./facts.ts";
import { HARDWARE } from "./hardware.ts";
import { Light, lightWord } from "./lamp.ts";
import {
  agentWords,
  awaited,
  hubWords,
  type Look,
  lampWords,
  type Step,
  seen,
  type View,
} from "./step.ts";

/** Acknowledgement codes of writable properties (IoT Plug and Play, "concepts-convention"). */
const DONE = 200;
const REFUSED = 400;
const FAILED = 500;
/** Messages that must wait in the agent before the cable is plugged again. */
const WAITING_MIN = 2;
const WRONG = "yes";

/** What the agent reports in answer to `desired`, once that was asked for in this step. */
function answerTo(view: View, desired: unknown): Reported | undefined {
  const { twin } = view.facts;
  const reported = reportedOf(twin);
  if (twin === undefined || reported?.av !== twin.desired.$version) return undefined;
  const isAsked = twin.desired.$version > view.before.version && twin.desired.LED1 === desired;
  return isAsked ? reported : undefined;
}

function seeHub({ facts, since }: View): Look {
  const { hubPort, deviceId, isEnabled, ledger } = facts;
  const took = since("ready", hubPort > 0);
  if (took !== "" && isEnabled && ledger.isCreated) {
    return seen(`ready after ${took} on localhost:${hubPort}`, `device ${deviceId} enabled`);
  }
  const device = isEnabled ? "enabled" : "not there";
  return awaited(
    `a hub that answers, with device ${deviceId} enabled`,
    hubPort > 0 ? `the hub answers, device ${deviceId} ${device}` : "no hub answers",
  );
}

function seeConnect({ facts, since }: View): Look {
  const { ledger, agent, tlsCount, otherCount, deviceId } = facts;
  const took = since("connected", ledger.isConnected);
  if (took !== "" && agent?.state === "online" && tlsCount > 0 && otherCount === 0) {
    const until = agent.endpoint.tokenExpires?.slice(11, 19) ?? "never";
    const proof = `TLS on the wire, SAS token until ${until} UTC`;
    return seen(`hub let ${deviceId} in after ${took}, agent says online`, proof);
  }
  return awaited(
    "device connected at the hub, by TLS alone, and the agent online",
    `${hubWords(facts)}, ${agentWords(facts)}, ${tlsCount} TLS and ${otherCount} other connections`,
  );
}

function seeTelemetry({ facts, before, since }: View): Look {
  const { latest, count } = facts.ledger;
  const took = since("telemetry", count > before.count);
  const message = latest.at(-1);
  if (took !== "" && message !== undefined && (facts.agent?.queue.acknowledged ?? 0) > 0) {
    const text = `hub has message ${message.sequence} after ${took}`;
    return seen(text, `QoS ${message.qos} ${message.payload}`);
  }
  const expected = "a message at the hub, acknowledged to the agent";
  return awaited(expected, `${hubWords(facts)}, ${agentWords(facts)}`);
}

function seeLamp(value: boolean): (view: View) => Look {
  const wanted = value ? Light.LIT : Light.DARK;
  return (view) => {
    const { facts } = view;
    const shows = view.since("shown", facts.lamp === wanted);
    const answer = answerTo(view, value);
    if (facts.lamp === wanted && answer?.ac === DONE && answer.value === value) {
      const text = `lamp ${lightWord(wanted)} after ${shows}`;
      return seen(text, `reported ${reportedText(answer)}`);
    }
    const isHopeless = answer?.ac === FAILED;
    return awaited(`lamp ${lightWord(wanted)}, reported with ac 200`, lampWords(facts), isHopeless);
  };
}

function seeCut({ facts, since }: View): Look {
  const { agent, ledger, isPlugged, deviceId } = facts;
  const lost = since("lost", !ledger.isConnected);
  const waiting = agent?.queue.waiting ?? 0;
  const took = since("queued", waiting >= WAITING_MIN);
  const diagnosis = agent?.lastDiagnosis ?? null;
  const isDown = agent?.connected === false && diagnosis !== null;
  if (!isPlugged && lost !== "" && took !== "" && isDown) {
    const text = `hub lost ${deviceId} after ${lost}, ${waiting} messages wait after ${took}`;
    return seen(text, `diagnosis ${JSON.stringify(diagnosis.text)}`);
  }
  const expected = `device gone from the hub, ${WAITING_MIN} messages waiting, a diagnosis`;
  return awaited(expected, `${hubWords(facts)}, ${agentWords(facts)}`);
}

function seeHeal({ facts, before, since }: View): Look {
  const { agent, ledger } = facts;
  const back = since("back", ledger.connects > before.connects);
  const accepted = agent?.queue.accepted ?? 0;
  const missing = ledger.missing(accepted);
  const isDrained = agent?.queue.waiting === 0 && agent.queue.inFlight === 0;
  if (back !== "" && isDrained && agent.state === "online" && missing.length === 0) {
    const queued = before.missing.length;
    const twice = ledger.repeated - before.repeated;
    const came = queued === 1 ? "the queued message" : `all ${queued} queued messages`;
    const text = `back by itself after ${back}, ${came} came`;
    return seen(text, `0 of ${accepted} lost, ${twice} twice`);
  }
  const expected = "agent online by itself, every accepted message at the hub";
  const gaps = missing.length === 0 ? "none" : missing.join(" ");
  const found = `${agentWords(facts)}, ${hubWords(facts)}, missing: ${gaps}`;
  return awaited(expected, found);
}

function seeRefusal(view: View): Look {
  const { facts, before } = view;
  const answer = answerTo(view, WRONG);
  const took = view.since("refused", answer?.ac === REFUSED);
  const isSame = facts.lamp === before.lamp && answer?.value === (facts.lamp === Light.LIT);
  if (took !== "" && isSame) {
    const text = `refused after ${took}, lamp stays ${lightWord(facts.lamp)}`;
    return seen(text, `reported ${reportedText(answer)}`);
  }
  const expected = `lamp ${lightWord(before.lamp)} as before, reported with ac 400`;
  return awaited(expected, lampWords(facts));
}

function seeRestart({ facts, before, since }: View): Look {
  const { agent, ledger, deviceId, endpoint } = facts;
  const back = since("back", ledger.connects > before.connects);
  const asked = ledger.asked - before.asked;
  const registeredAt = agent?.dps?.registeredAt ?? "";
  const isSame = asked === 0 && registeredAt === before.registeredAt;
  // One connect is all that the agent of this start has counted.
  if (back !== "" && agent?.state === "online" && agent.counters.connects === 1 && isSame) {
    const text = `hub let ${deviceId} in after ${back}`;
    if (endpoint !== "tpm") return seen(text);
    const key = `key of the registration at ${registeredAt.slice(11, 19)} UTC`;
    return seen(`${text}, DPS was not asked`, key);
  }
  const expected = "agent online at the hub once more, nothing asked of DPS";
  const found = `${hubWords(facts)}, ${agentWords(facts)}, ${asked} requests at DPS`;
  return awaited(expected, found, asked > 0);
}

function desire(value: unknown, see: (view: View) => Look): Step {
  const title = `desired LED1=${JSON.stringify(value)}`;
  return { title, act: (stage) => stage.desire(value), see };
}

/** The steps by name; `on`, `off`, `wrong`, `plug` and `restart` serve as commands, too. */
export const STEPS = {
  azure: { title: "local Azure starts", act: (stage) => stage.startAzure(), see: seeHub },
  agent: { title: "agent starts", act: (stage) => stage.startAgent(), see: seeConnect },
  telemetry: { title: "telemetry", act: () => {}, see: seeTelemetry },
  on: desire(true, seeLamp(true)),
  off: desire(false, seeLamp(false)),
  pull: { title: "cable pulled", act: (stage) => stage.pull(), see: seeCut },
  plug: { title: "cable plugged", act: (stage) => stage.plug(), see: seeHeal },
  wrong: desire(WRONG, seeRefusal),
  restart: {
    title: "second start",
    act: (stage) => stage.restartAgent(),
    see: seeRestart,
  },
} satisfies Record<string, Step>;

/** How it goes on, once the agent is online. */
const USE = [
  STEPS.telemetry,
  STEPS.on,
  STEPS.off,
  STEPS.pull,
  STEPS.plug,
  STEPS.wrong,
] as const satisfies readonly Step[];

/** The story of each endpoint, in order. */
export const STORIES: Readonly<Record<Endpoint, readonly Step[]>> = {
  tpm: [HARDWARE.azure, HARDWARE.chip, HARDWARE.enroll, HARDWARE.first, ...USE, STEPS.restart],
  sas: [STEPS.azure, STEPS.agent, ...USE],
};
