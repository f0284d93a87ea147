// The scenes of the simulator from the command line; `--help` says how.
// Neighbours: `backlog` and `metered` are the scenes; `make sim SCENE=…` calls this.
// Invariant: prints what was counted, a line a play; exit 1 when a promise was broken, exit 2 for
// options that it does not take.

import { parseArgs } from "node:util";
import { type BacklogOutcome, type BacklogSetup, playBacklog } from "./backlog.ts";
import { type MeteredOutcome, playMetered } from "./metered.ts";

const LIVE_MS_MAX = 2_000;
const SIZES = { backlog: 100_000, metered: 72 } as const;
const HELP = `usage: bun test/sim/scene.ts backlog|metered [--seed N] [--size N]
  --seed N   seed of the play (1)
  --size N   backlog: messages that wait (${SIZES.backlog}); metered: hours (${SIZES.metered})
`;

interface Options {
  readonly scene: keyof typeof SIZES;
  readonly seed: number;
  readonly size: number;
}

/** A play of the backlog, and whether live messages are fewer than what the hub takes. */
const PLAYS: readonly (readonly [text: string, isPrompt: boolean, Partial<BacklogSetup>])[] = [
  ["1 live message a second", true, {}],
  ["60 live messages a second", true, { livePerS: 60 }],
  ["150 live messages a second, 5 min", false, { livePerS: 150, limitS: 300 }],
  ["1 sync of 100 takes 2 s", true, { slowChance: 0.01 }],
  ["closes with 429002 above 50 a second", true, { overloadPerS: 50 }],
];

function refuse(text: string): never {
  console.error(`sim: ${text}; --help lists the options`);
  process.exit(2);
}

function options(): Options {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  try {
    const known = { seed: text, size: text, help: flag };
    const { values, positionals } = parseArgs({ options: known, allowPositionals: true });
    if (values.help) {
      process.stdout.write(HELP);
      process.exit(0);
    }
    const scene = positionals[0];
    if (positionals.length !== 1 || (scene !== "backlog" && scene !== "metered")) {
      return refuse("one scene is played: backlog or metered");
    }
    const number = (name: "seed" | "size", fallback: number): number => {
      const given = values[name] ?? String(fallback);
      if (!/^[1-9]\d{0,6}$/.test(given)) refuse(`--${name} takes a whole number from 1`);
      return Number(given);
    };
    return { scene, seed: number("seed", 1), size: number("size", SIZES[scene]) };
  } catch (error) {
    return refuse((error as Error).message.split("\n")[0]!);
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

function backlogLine(outcome: BacklogOutcome): string {
  const { live, urgent } = outcome;
  const end = outcome.isDrained ? "drained in" : "not drained in";
  return (
    `${end} ${outcome.drainS.toFixed(0)} s ` +
    `(${outcome.perS.toFixed(1)} a second, ` +
    `${outcome.sharePercent.toFixed(1)} % of it the queue), ` +
    `${outcome.accepted} accepted, ${outcome.lost} lost, ${outcome.duplicates} twice; ` +
    `${live.count} live: longest ${seconds(live.longestMs)} ` +
    `(${seconds(live.connectedMs)} while connected), ${live.late} over 2 s; ` +
    `${urgent.count} urgent: longest ${seconds(urgent.longestMs)}; ` +
    `${outcome.connections} connections, ${outcome.throttled} closed with 429002`
  );
}

function meteredLine(outcome: MeteredOutcome): string {
  const { alarms } = outcome;
  return (
    `${outcome.windows} windows, ${outcome.connections} connections, ` +
    `${outcome.linkMinutes.toFixed(1)} min of link; ${outcome.accepted} accepted, ` +
    `${outcome.lost} lost, ${outcome.duplicates} twice; ${alarms.count} alarms: ` +
    `median ${seconds(alarms.medianMs)}, longest ${seconds(alarms.longestMs)}; ` +
    `${outcome.hangups} hung up, ${outcome.early} with something to say; ` +
    `${outcome.jumps} clock jumps, ${outcome.cuts} links cut, ` +
    `${outcome.outages} networks down, ${outcome.powerCuts} power cuts`
  );
}

function backlog(seed: number, messages: number): string[] {
  return PLAYS.flatMap(([text, isPrompt, parts]) => {
    const outcome = playBacklog({ seed, messages, ...parts });
    console.log(`${text}: ${backlogLine(outcome)}`);
    const broken = [...outcome.violations];
    const isSlow = outcome.live.longestMs > LIVE_MS_MAX;
    if (isPrompt && isSlow) broken.push(`a live message waited ${outcome.live.longestMs} ms`);
    return broken.map((each) => `${text}: ${each}`);
  });
}

function metered(seed: number, hours: number): string[] {
  return [false, true].flatMap((isTroubled) => {
    const outcome = playMetered({ seed, hours, isTroubled });
    const text = isTroubled ? "troubled" : "calm";
    console.log(`${hours} h, ${text}: ${meteredLine(outcome)}`);
    const broken = [...outcome.violations];
    if (outcome.early > 0) broken.push(`hung up ${outcome.early} times with something to say`);
    return broken.map((each) => `${text}: ${each}`);
  });
}

const { scene, seed, size } = options();
const broken = scene === "backlog" ? backlog(seed, size) : metered(seed, size);
if (broken.length > 0) {
  console.error(
    `sim: ${scene} breaks a promise; replay with ${scene} --seed ${seed} --size ${size}`,
  );
  for (const each of broken) console.error(`  ${each}`);
  process.exit(1);
}
