// The command that takes forged blobs of DPS to a real software TPM, the way the agent takes them:
//   bun test/fuzz/forgery.ts [--count 2000] [--seed N]
// Neighbours: `forger` makes them, the desk and flow of test/port bring them in.
// Invariant: prints one line of counts and the seed; exit 0, 1 with a reproducer, 2 on usage. After
// every forgery the TPM is empty again, and it opens the sound blob at the end.

import { createHmac } from "node:crypto";
import { flush } from "../../src/codec/request.ts";
import { Prng } from "../../src/kit/prng.ts";
import { Desk } from "../port/desk.ts";
import * as flow from "../port/flow.ts";
import { Client } from "../tpm/client.ts";
import { makeBlob } from "../tpm/maker.ts";
import { Swtpm } from "../tpm/swtpm.ts";
import { forgery } from "./forger.ts";
import { optionsOf } from "./options.ts";

const COUNT_DEFAULT = 2000;
const TEXT = "0ne1%2Fregistrations%2Fgw\n1800000000";

/** What the TPM said to a forged blob; undefined when it took it. */
async function refusal(desk: Desk, bytes: Buffer): Promise<string | undefined> {
  let handle: number;
  try {
    handle = await flow.openBlob(desk, bytes, false);
  } catch (error) {
    return (error as Error).message;
  }
  await desk.perform(flush(handle));
  return undefined;
}

/** Whether the sound blob still brings its key in. */
async function opens(desk: Desk, blob: Buffer, key: Buffer): Promise<boolean> {
  const handle = await flow.openBlob(desk, blob);
  const signature = await flow.sign(desk, handle, TEXT);
  await desk.perform(flush(handle));
  return signature.equals(createHmac("sha256", key).update(TEXT).digest());
}

async function run(desk: Desk, count: number, seed: number): Promise<string> {
  const prng = new Prng(seed);
  const { publicArea: endorsementKey } = await flow.endorsementKey(desk);
  const { publicArea: storageKey } = await flow.storageKey(desk);
  const [key, otherKey] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  const { blob } = makeBlob({ endorsementKey, storageKey, key });
  const other = makeBlob({ endorsementKey, storageKey, key: otherKey }).blob;
  const said = new Map<string, number>();
  for (let done = 0; done < count; done++) {
    const forged = forgery(blob, other, prng);
    const text = await refusal(desk, forged);
    if (text === undefined) {
      return `the TPM took it: seed ${seed}, input ${done}: ${forged.toString("hex")}`;
    }
    const step = text.slice(0, text.indexOf(":"));
    said.set(step, (said.get(step) ?? 0) + 1);
  }
  if (!(await opens(desk, blob, key))) return `after ${count} forgeries it opens no sound blob`;
  const counts = [...said].sort().map(([step, times]) => `${step} ${times}`);
  console.log(`forgeries: ${count}, seed ${seed}, refused by ${counts.join(", ")}, 0 taken`);
  return "";
}

const { count, seed } = optionsOf("forgery.ts", COUNT_DEFAULT);
const swtpm = await Swtpm.unix();
const desk = new Desk(swtpm.place, { isBare: true });
let finding = "";
try {
  await desk.open();
  await flow.start(desk);
  finding = await run(desk, count, seed);
  desk.close();
  const left = await Client.with(swtpm.place, (client) => client.leftovers());
  if (finding === "" && left.length > 0) finding = `handles left behind: ${left}`;
} finally {
  desk.close();
  await swtpm.stop();
}
if (finding !== "") console.error(finding);
// The port's timer would keep the process for as long as it was set for.
process.exit(finding === "" ? 0 : 1);
