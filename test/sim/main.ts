// The simulator from the command line: `bun test/sim/main.ts [--seed N] [--hours N] [--devices N]`.
// Neighbours: `fleet` is one run; `make sim` and `make test` call this.
// Invariant: prints what it counted and the trace hash; exit 1 with the violations and the seed
// that replays them.

import { type Outcome, run } from "./fleet.ts";

const HOURS_A_RUN = 24;

function option(name: string, fallback: number): number {
  const at = process.argv.indexOf(`--${name}`);
  if (at < 0) return fallback;
  const value = Number(process.argv[at + 1]);
  if (!Number.isFinite(value) || value <= 0) {
    console.error(`sim: --${name} takes a positive number`);
    process.exit(2);
  }
  return value;
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

const seed = option("seed", 1);
const hours = option("hours", 5000);
const devices = option("devices", 10);
const isVerbose = process.argv.includes("--verbose");
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
  console.error(`sim: seed ${failed.seed} breaks a promise; replay with --seed ${failed.seed}`);
  for (const violation of failed.ledger.violations) console.error(`  ${violation}`);
  process.exit(1);
}
