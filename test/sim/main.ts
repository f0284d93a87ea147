// The simulator from the command line; `--help` says how.
// Neighbours: `fleet` is one run; `make sim` and `make test` call this.
// Invariant: prints what it counted and the trace hash; exit 1 with the violations and the options
// that replay them, exit 2 for options that it does not take.

import { parseArgs } from "node:util";
import { type Outcome, replay, run } from "./fleet.ts";
import { herd } from "./herd.ts";

const HOURS_A_RUN = 24;

const DEFAULTS = { seed: 1, hours: 5000, devices: 10 };
const HELP = `usage: bun test/sim/main.ts [--seed N] [--hours N] [--devices N] [--verbose]
       bun test/sim/main.ts --herd N [--seed N]
  --seed N      seed of the first run; each further run adds 1 (${DEFAULTS.seed})
  --hours N     device-hours in all, in runs of up to ${HOURS_A_RUN} hours (${DEFAULTS.hours})
  --devices N   gateways of a run (${DEFAULTS.devices})
  --herd N      in place of all that: N gateways after restarts of the hub, as a table
  --verbose     also what the hub refused and what was diagnosed
`;

type Options = typeof DEFAULTS & { verbose: boolean; herd: number };

function refuse(text: string): never {
  console.error(`sim: ${text}; --help lists the options`);
  process.exit(2);
}

function options(): Options {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const known = { seed: text, hours: text, devices: text, herd: text, verbose: flag, help: flag };
  try {
    const { values } = parseArgs({ options: known });
    if (values.help) {
      process.stdout.write(HELP);
      process.exit(0);
    }
    const number = (name: keyof typeof DEFAULTS | "herd"): number => {
      const given = values[name];
      if (given === undefined) return name === "herd" ? 0 : DEFAULTS[name];
      if (!/^[1-9]\d{0,8}$/.test(given)) refuse(`--${name} takes a whole number from 1`);
      return Number(given);
    };
    return {
      seed: number("seed"),
      hours: number("hours"),
      devices: number("devices"),
      herd: number("herd"),
      verbose: values.verbose,
    };
  } catch (error) {
    return refuse((error as Error).message.split("\n")[0]!);
  }
}

function add(into: Map<string, number>, from: Map<string, number>): void {
  for (const [kind, count] of from) into.set(kind, (into.get(kind) ?? 0) + count);
}

function list(counts: Map<string, number>): string {
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([kind, count]) => `${kind} ${count}`)
    .join(", ");
}

const { seed, hours, devices, herd: many, verbose: isVerbose } = options();
if (many > 0) process.exit(herd(seed, many, console.log) ? 0 : 1);
const faults = new Map<string, number>();
const refusals = new Map<string, number>();
const diagnoses = new Map<string, number>();
const total = {
  deviceHours: 0,
  accepted: 0,
  sent: 0,
  acknowledged: 0,
  delivered: 0,
  lost: 0,
  duplicates: 0,
  connections: 0,
};
let failed: Outcome | undefined;
let hash = "";
const started = performance.now();

for (let round = 0; total.deviceHours < hours && failed === undefined; round++) {
  const left = Math.ceil((hours - total.deviceHours) / devices);
  const outcome = run(seed + round, devices, Math.min(HOURS_A_RUN, left));
  for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += outcome[key];
  add(faults, outcome.ledger.faults);
  add(refusals, outcome.ledger.refusals);
  add(diagnoses, outcome.ledger.diagnoses);
  hash = Bun.hash(hash + outcome.hash).toString(16);
  if (outcome.ledger.violations.length > 0) failed = outcome;
}

const tookS = ((performance.now() - started) / 1000).toFixed(1);
console.log(`simulated ${total.deviceHours} device-hours in ${tookS} s, first seed ${seed}`);
console.log(`faults: ${list(faults)}`);
if (isVerbose) console.log(`hub: ${list(refusals)}`);
if (isVerbose) for (const [text, count] of diagnoses) console.log(`${count} x ${text}`);
console.log(
  `messages: ${total.accepted} accepted, ${total.sent} sent, ${total.acknowledged} acknowledged, ` +
    `${total.delivered} at the hub, ${total.lost} lost, ${total.duplicates} duplicates, ` +
    `over ${total.connections} connections`,
);
console.log(`trace ${hash}`);
if (failed !== undefined) {
  console.error(`sim: seed ${failed.seed} breaks a promise; replay with ${replay(failed)}`);
  for (const violation of failed.ledger.violations) console.error(`  ${violation}`);
  process.exit(1);
}
