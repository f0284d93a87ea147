// Step: what a step of the story is: what is done, what is looked at, and what a look may show.
// Neighbours: `story` and `hardware` have the steps; `teller` plays them against a `Stage`.
// Invariant: a step looks at facts only, never at what was asked for; each line names its witness
// and how long it took.

import { desiredText, type Facts, reportedOf, reportedText } from "./facts.ts";
import { type Light, lightWord } from "./lamp.ts";

/** What a step can do to the world. */
export interface Stage {
  startAzure(): Promise<void>;
  /** Starts a blank TPM and looks into it. */
  startTpm(): Promise<void>;
  /** What is typed to enroll the TPM, in the parts that should stay together in a line. */
  readonly enrolling: readonly string[];
  enroll(): Promise<void>;
  startAgent(): void;
  /** Stops the agent as an operator would, and starts it again. */
  restartAgent(): Promise<void>;
  desire(value: unknown): Promise<void>;
  pull(): void;
  plug(): Promise<void>;
}

/** The facts that later ones are compared with, as they were before a step. */
export interface Before {
  readonly connects: number;
  readonly count: number;
  readonly repeated: number;
  /** Version of the desired properties, -1 for none. */
  readonly version: number;
  readonly lamp: Light;
  /** Requests of the device to DPS. */
  readonly asked: number;
  /** When the agent last registered, "" for never. */
  readonly registeredAt: string;
  /** Messages that the agent held and the hub had not seen. */
  readonly missing: readonly number[];
}

/** What a step looks at. */
export interface View {
  readonly facts: Facts;
  readonly before: Before;
  /** How long into the step `condition` was first true, as text; "" as long as it never was. */
  since(name: string, condition: boolean): string;
}

/** What a look showed. */
export type Look =
  | { readonly seen: true; readonly text: string; readonly detail: string }
  | {
      readonly seen: false;
      readonly expected: string;
      readonly found: string;
      /** True when waiting longer is of no use. */
      readonly isHopeless: boolean;
    };

/** One step. */
export interface Step {
  readonly title: string;
  /** The command line that it carries out, in parts that should stay together in a line. */
  typed?(stage: Stage): readonly string[];
  act(stage: Stage): void | Promise<void>;
  see(view: View): Look;
}

/** It is as it should be. */
export function seen(text: string, detail = ""): Look {
  return { seen: true, text, detail };
}

/** It is not so yet. */
export function awaited(expected: string, found: string, isHopeless = false): Look {
  return { seen: false, expected, found, isHopeless };
}

/** The state before a step. */
export function before(facts: Facts): Before {
  const { connects, count, repeated, asked } = facts.ledger;
  const missing = facts.ledger.missing(facts.agent?.queue.accepted ?? 0);
  const version = facts.twin?.desired.$version ?? -1;
  const registeredAt = facts.agent?.dps?.registeredAt ?? "";
  return { connects, count, repeated, version, lamp: facts.lamp, asked, registeredAt, missing };
}

/** What the agent says of itself. */
export function agentWords({ agent }: Facts): string {
  if (agent === undefined) return "nobody at the agent's control socket";
  const { state, queue, lastDiagnosis } = agent;
  const diagnosis = lastDiagnosis === null ? "none" : JSON.stringify(lastDiagnosis.text);
  const { waiting, inFlight } = queue;
  return `agent ${state}, ${waiting} waiting, ${inFlight} in flight, diagnosis ${diagnosis}`;
}

/** What the hub knows of the device. */
export function hubWords({ ledger }: Facts): string {
  const { isConnected, count } = ledger;
  return `device ${isConnected ? "" : "not "}connected at the hub, ${count} messages there`;
}

/** The lamp, and what its twin says. */
export function lampWords(facts: Facts): string {
  const reported = reportedText(reportedOf(facts.twin));
  const desired = desiredText(facts.twin) || "nothing";
  return `lamp ${lightWord(facts.lamp)}, desired ${desired}, reported ${reported}`;
}
