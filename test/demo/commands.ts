// Commands: what a person can have done after the story, one word each.
// Neighbours: `show` and `talk` bring the words and show the answers; `world` does the deeds.
// Invariant: every command is answered, with what was seen where something can be seen; none of
// them throws.

import { WORDS, wordOf } from "./keys.ts";
import type { Note } from "./screen.ts";
import type { Look, Step, View } from "./step.ts";
import { STEPS } from "./story.ts";
import { outcomeNotes, play } from "./teller.ts";
import type { World } from "./world.ts";

/** How long a command waits to see what it did. */
const DEADLINE_MS = 15_000;
const LOG_LINES = 7;

const HELP = [
  "on, off         set desired LED1 at the hub and look at the lamp (also 1 and 0)",
  'wrong           set desired LED1 to "yes", which the agent refuses',
  "pull, plug      pull the cable between agent and hub, plug it again",
  "restart         stop the agent and start it again",
  "status, log     what the agent says of itself, its last log lines",
  "connect, disconnect   as azimuth connect and azimuth disconnect do",
  "help, quit      this, and the end (also ? and q, Ctrl-C, Ctrl-D)",
  "The beginning of a word will do; Tab completes it.",
];

/** A cut that need not be waited for until messages queue up. */
const PULL: Step = { title: "cable pulled", act: (stage) => stage.pull(), see: seeLoss };

function seeLoss({ facts, since }: View): Look {
  const took = since("lost", !facts.ledger.isConnected);
  if (took !== "") {
    return { seen: true, text: `hub has lost ${facts.deviceId} after ${took}`, detail: "" };
  }
  const found = "device connected at the hub";
  return { seen: false, expected: "device gone from the hub", found, isHopeless: false };
}

/** Carries out commands, one after the other. */
export class Commands {
  private last: Promise<void> = Promise.resolve();

  /** @param say takes each line of the answers */
  constructor(
    private readonly world: World,
    private readonly say: (note: Note) => void,
  ) {}

  /** Carries out `line` after those before it; resolves when it is answered. */
  run(line: string): Promise<void> {
    this.last = this.last.then(async () => {
      this.say({ mark: ">", text: wordOf(line) ?? line, detail: "" });
      try {
        await this.carryOut(line);
      } catch (error) {
        this.answer(error instanceof Error ? error.message : String(error), "FAIL");
      }
    });
    return this.last;
  }

  private async carryOut(line: string): Promise<void> {
    const { world } = this;
    const word = wordOf(line);
    switch (word) {
      case undefined:
        return this.answer(`not understood; there are: ${WORDS.join(" ")}`);
      case "on":
      case "off":
      case "wrong":
        return this.desire(STEPS[word]);
      case "pull":
        if (!world.facts.isPlugged) return this.answer("the cable is pulled already");
        return this.play(PULL);
      case "plug":
        return this.plug();
      case "restart":
        return this.restart();
      case "status":
      case "connect":
      case "disconnect": {
        const { ok, text } = await world.ask([word]);
        return this.answer(text, ok ? "" : "FAIL");
      }
      case "log":
        return this.answer(world.log(LOG_LINES).map(shortened).join("\n"));
      case "help":
        return this.answer(HELP.join("\n"));
      case "quit":
        return;
    }
  }

  private async desire(step: Step): Promise<void> {
    await this.world.refresh();
    if (this.world.facts.agent?.connected === true) return this.play(step);
    await step.act(this.world);
    const text = `the hub holds ${step.title}; the agent is not connected, it gets it when it is`;
    this.answer(text);
  }

  private async plug(): Promise<void> {
    const { world } = this;
    if (world.facts.isPlugged) return this.answer("the cable is plugged already");
    await world.refresh();
    const { state } = world.facts.agent ?? {};
    if (state !== "held" && state !== "idle") return this.play(STEPS.plug);
    await world.plug();
    this.answer(`cable plugged; the agent is ${state} and waits for connect`);
  }

  private async restart(): Promise<void> {
    const { world } = this;
    if (world.facts.isPlugged) return this.play(STEPS.restart);
    await world.restartAgent();
    this.answer("agent started again; the cable is pulled, it connects when that is plugged");
  }

  private async play(step: Step): Promise<void> {
    const outcome = await play(step, this.world, DEADLINE_MS);
    for (const note of outcomeNotes(outcome)) this.say(note);
  }

  private answer(text: string, mark = ""): void {
    text.split("\n").forEach((line, row) => {
      this.say({ mark: row === 0 ? mark : "", text: line, detail: "" });
    });
  }
}

/** A log line without its date and fractions of a second. */
function shortened(line: string): string {
  return line.replace(/^\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)(\.\d+)?Z/, "$1");
}
