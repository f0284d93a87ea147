// Tests of errand: a pipe of commands, its failures, and its end by force.
// Neighbours: errand.ts.
// Invariant: the commands are shells of the test, and have ended before it does.

import { expect, test } from "bun:test";
import { type Command, Errand } from "./errand.ts";

function shell(name: string, script: string): Command {
  return { name, words: ["/bin/sh", "-c", script] };
}

test("each command reads what the one before it wrote", async () => {
  const errand = new Errand({ ...process.env, GREETING: "good day" });
  const pipe = [shell("one", 'echo "$GREETING"; echo noise >&2'), shell("two", "tr a-z A-Z")];
  expect(await errand.run(pipe)).toBe("GOOD DAY\n");
});

test("the first that fails is an error with its last words, and no other is run", async () => {
  const errand = new Errand(process.env);
  const failing = shell("azimuth tpm", "echo first >&2; echo no TPM there >&2; exit 1");
  const pipe = [failing, shell("two", "exit 7")];
  await expect(errand.run(pipe)).rejects.toThrow("azimuth tpm ended with 1: no TPM there");
  await expect(errand.run([shell("two", "exit 7")])).rejects.toThrow(
    "two ended with 7: without a word",
  );
});

test("a command that does not end is ended by force", async () => {
  const errand = new Errand(process.env);
  const ended = errand.run([shell("long", "exec sleep 600")]);
  errand.stopNow();
  await expect(ended).rejects.toThrow("long ended with 137");
});
