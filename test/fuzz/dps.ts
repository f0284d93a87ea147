// The command that fuzzes what the agent makes of DPS and of its own kept assignment:
//   bun test/fuzz/dps.ts [--count 1000000] [--seed N]
// Neighbours: `body` damages, `trial` plays whole registrations, `creed` says what must hold.
// Invariant: prints one line of counts and the seed; exit 0, 1 with a reproducer, 2 on usage.

import { assignmentText, parseAssignment } from "../../src/core/assignment.ts";
import { dpsProblem, readDpsAnswer } from "../../src/core/dps.ts";
import type { EndpointSettings } from "../../src/core/settings.ts";
import { Prng } from "../../src/kit/prng.ts";
import { makeBlob } from "../tpm/maker.ts";
import { mutantAnswer, textOf } from "./body.ts";
import * as creed from "./creed.ts";
import { optionsOf } from "./options.ts";
import { Trial } from "./trial.ts";

const COUNT_DEFAULT = 1_000_000;
const SHOWN_MAX = 500;
const ENDPOINT = { dpsHost: "dps.example", dpsPort: 443, idScope: "0ne1" } as EndpointSettings;

/** One input: true when it was accepted, a text is a finding. */
type Work = (prng: Prng) => boolean | string;

/** What the last input was, for the reproducer. */
let input: unknown;

/** Keys for any TPM: the parts are as random as those of a real one. */
function anyBlob(): Buffer {
  const endorsementKey = Buffer.alloc(316, 0xf1);
  const storageKey = Buffer.alloc(284, 0xf1);
  return makeBlob({ endorsementKey, storageKey, key: Buffer.alloc(32, 7), text: "hub" }).blob;
}

const blob = anyBlob();

/** Reads an answer and puts it in words. */
function readAnswer(prng: Prng): boolean | string {
  const answer = mutantAnswer(blob, prng);
  input = answer;
  const read = readDpsAnswer(answer);
  for (const isSigned of [false, true]) {
    const line = dpsProblem(answer, read, "gateway-7", ENDPOINT, isSigned);
    if (line === "" || !creed.isLine(line)) return `says ${JSON.stringify(line)}`;
  }
  if (/[^A-Za-z0-9%\-_.!~*'()]/.test(read.operation)) return `an operation: ${read.operation}`;
  const isPlace = read.hubName !== "" && read.deviceId !== "";
  if (!isPlace || read.status !== "assigned") return false;
  const told = creed.placeIn(answer.body);
  if (told?.hub === read.hubName && told.device === read.deviceId) return true;
  return `a forgery: ${read.hubName} ${read.deviceId}`;
}

/** Reads a file of ours that something has damaged. */
function readKept(prng: Prng): boolean | string {
  const kept = {
    idScope: "0ne1",
    hubName: "hub7.example",
    deviceId: "gateway-7",
    registrationId: "gateway-7",
    endorsement: "abcdefgh",
    atS: 1_800_000_000,
    isPending: prng.chance(0.5),
  };
  const text = textOf(JSON.parse(assignmentText(kept)), prng);
  input = text;
  const read = parseAssignment(text);
  if (read === undefined) return false;
  const { hubName, deviceId, isPending, atS } = read;
  // Before the first registration has ended there is no place yet.
  const isNowhere = isPending && hubName === "" && deviceId === "";
  if (!isNowhere && !(creed.isHub(hubName) && creed.isDevice(deviceId))) {
    return `a forgery: ${hubName} ${deviceId}`;
  }
  if (!Number.isFinite(atS)) return `a time of ${atS}`;
  const texts = [read.idScope, read.registrationId, read.endorsement];
  if (!texts.every(creed.isLine)) return `a text that cannot be shown`;
  return JSON.stringify(parseAssignment(assignmentText(read))) === JSON.stringify(read)
    ? true
    : "it is another one when it is read again";
}

const SUBJECTS: readonly (readonly [name: string, work: Work])[] = [
  ["answers", readAnswer],
  ["kept assignments", readKept],
  [
    "registrations",
    (prng) => {
      input = undefined;
      return new Trial(blob, prng).run();
    },
  ],
];

function outcome(work: Work, prng: Prng): boolean | string {
  try {
    return work(prng);
  } catch (error) {
    return `an exception: ${(error as Error).stack ?? error}`;
  }
}

const { count, seed } = optionsOf("dps.ts", COUNT_DEFAULT);
const prng = new Prng(seed);
const accepted = SUBJECTS.map(() => 0);
const startedMs = performance.now();
for (let done = 0; done < count; done++) {
  const index = done % SUBJECTS.length;
  const [name, work] = SUBJECTS[index]!;
  const found = outcome(work, prng);
  if (typeof found === "string") {
    console.error(`${name}: ${found}`);
    const shown = JSON.stringify(input)?.slice(0, SHOWN_MAX) ?? "a whole registration";
    console.error(`seed ${seed}, input ${done}: ${shown}`);
    process.exit(1);
  }
  if (found) accepted[index]! += 1;
}
const counts = SUBJECTS.map(([name], index) => `${accepted[index]} ${name}`).join(", ");
const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
console.log(
  `dps fuzz: ${count} inputs, seed ${seed}, accepted ${counts}, 0 failures, ${seconds} s`,
);
