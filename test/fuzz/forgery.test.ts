// Tests of the command that takes forged blobs to a software TPM, and of its forger.
// Neighbours: `forgery.ts`, `forger.ts`.
// Invariant: a few forgeries; `make fuzz` has the many.

import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { splitBlob } from "../../src/codec/blob.ts";
import { Prng } from "../../src/kit/prng.ts";
import { makeBlob } from "../tpm/maker.ts";
import { forgery } from "./forger.ts";

function run(...words: readonly string[]) {
  const command = [process.execPath, join(import.meta.dir, "forgery.ts"), ...words];
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  return { exitCode, output: stdout.toString(), errors: stderr.toString() };
}

test("the TPM takes no forgery, be it refused at the credential or at the key", () => {
  const { exitCode, output, errors } = run("--count", "60", "--seed", "7");
  expect([exitCode, errors]).toEqual([0, ""]);
  expect(output).toMatch(
    /^forgeries: 60, seed 7, refused by ACTIVATE \d{2}, IMPORT \d{2}, 0 taken\n$/,
  );
});

test("what it does not understand it says", () => {
  expect(run("--count", "many")).toMatchObject({ exitCode: 2 });
  expect(run("--cuont", "1").errors).toStartWith("usage: forgery.ts [--count N] [--seed N]: ");
});

test("a forgery is well-formed and another one, in each of the five parts in turn", () => {
  const keys = {
    endorsementKey: Buffer.alloc(316, 0xf1),
    storageKey: Buffer.alloc(284, 0xf1),
    key: randomBytes(32),
  };
  const { blob } = makeBlob(keys);
  const { blob: other } = makeBlob(keys);
  const sound = splitBlob(blob);
  if (typeof sound === "string") throw new Error(sound);
  const prng = new Prng(3);
  const touched = new Map<string, number>();
  for (let count = 0; count < 300; count++) {
    const made = splitBlob(forgery(blob, other, prng));
    if (typeof made === "string") throw new Error(made);
    const names = Object.keys(sound) as (keyof typeof sound)[];
    const changed = names.filter((name) => !Buffer.from(made[name]).equals(sound[name]));
    expect(changed.length).toBeGreaterThan(0);
    for (const name of changed) touched.set(name, (touched.get(name) ?? 0) + 1);
  }
  expect([...touched.keys()].sort()).toEqual(Object.keys(sound).sort());
});
