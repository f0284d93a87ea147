// Sealing, tested on a modelled TPM: what each procedure leaves behind and what it refuses.
// Neighbours: `src/core/sealing.ts`; `tpm/model.ts` is the TPM, `seal.test` runs them in order.
// Invariant: signatures are compared with those of `node:crypto`.

import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { Outcome, outcomeOf, outcomeText } from "../../src/codec/outcome.ts";
import { SEALED_TEMPLATE } from "../../src/codec/template.ts";
import type { Procedure } from "../../src/core/procedure.ts";
import { Attempt, Enclose, Look } from "../../src/core/sealing.ts";
import { TpmModel } from "../tpm/model.ts";
import { chip, DEVICE_KEY, IDENTITY, SPARE } from "./enclave.ts";

const TEXT = new TextEncoder().encode("proof");
const PLAIN = Buffer.from(SEALED_TEMPLATE);
/** As Microsoft's reference server makes keys: not fixed to this TPM. */
const IMPORTED = Buffer.from(
  `00500008000b000404400020${"11".repeat(32)}0005000b0020${"22".repeat(32)}`,
  "hex",
);

function started(): TpmModel {
  const tpm = new TpmModel(chip);
  tpm.isStarted = true;
  return tpm;
}

function perform(tpm: TpmModel, procedure: Procedure): string {
  procedure.restart();
  for (;;) {
    const request = procedure.next();
    if (request === undefined) return "";
    const { rc, handle, output } = tpm.perform(request);
    const problem = procedure.onAnswer(outcomeOf(rc), outcomeText(rc), handle, output);
    if (problem !== "") return problem;
  }
}

describe("look", () => {
  test.each([
    ["nothing there", [], []],
    ["a key of ours", [[IDENTITY, PLAIN]], []],
    ["a key from DPS", [[IDENTITY, IMPORTED]], [IDENTITY]],
    ["a key from DPS, moved half-way", [[SPARE, IMPORTED]], [SPARE]],
    [
      "bytes that are no key that we know",
      [
        [SPARE, Buffer.from("0002ffff", "hex")],
        [IDENTITY, Buffer.alloc(0)],
      ],
      [SPARE, IDENTITY],
    ],
  ] as const)("%s", (_name, present, foreign) => {
    const tpm = started();
    for (const [handle, area] of present) tpm.persistent.set(handle, { area, key: DEVICE_KEY });
    const look = new Look();
    for (const _round of [1, 2]) {
      expect(perform(tpm, look)).toBe("");
      expect(look.foreign).toEqual([...foreign]);
    }
  });
});

describe("enclose", () => {
  test("makes the storage root key if need be, and leaves the key open, hidden on the way", () => {
    const tpm = started();
    for (const _round of [1, 2]) {
      const enclose = new Enclose(DEVICE_KEY);
      expect(perform(tpm, enclose)).toBe("");
      expect(tpm.isCovered).toBe(true);
      expect([...tpm.persistent.keys()]).toEqual([0x81000001]);
      expect(tpm.transient.get(enclose.kept)?.key).toEqual(DEVICE_KEY);
      tpm.sweep();
    }
  });

  test("an answer that is not two areas ends it", () => {
    const enclose = new Enclose(DEVICE_KEY);
    const tpm = started();
    enclose.restart();
    let problem = "";
    while (problem === "") {
      const request = enclose.next()!;
      const { rc, handle, output } = tpm.perform(request);
      const short = request.operation === 12 ? output.subarray(0, output.length - 1) : output;
      problem = enclose.onAnswer(outcomeOf(rc), outcomeText(rc), handle, short);
    }
    expect(problem).toBe("take the key: wrap the key: not a private and a public area");
  });
});

describe("attempt", () => {
  test("keeps a key open that signs as it should, and no other", () => {
    const expected = createHmac("sha256", DEVICE_KEY).update(TEXT).digest();
    for (const key of [DEVICE_KEY, Buffer.alloc(32, 9)]) {
      const tpm = started();
      const enclose = new Enclose(key);
      perform(tpm, enclose);
      const attempt = new Attempt(enclose.kept, TEXT, expected);
      const isSame = key === DEVICE_KEY;
      const problem = isSame ? "" : "sign with the key: HMAC: it signs otherwise";
      expect(perform(tpm, attempt)).toBe(problem);
      if (isSame) expect(attempt.kept).toBe(enclose.kept);
    }
  });

  test("a signature of another length is no proof", () => {
    const attempt = new Attempt(1, TEXT, new Uint8Array(20));
    attempt.restart();
    attempt.next();
    expect(attempt.onAnswer(Outcome.DONE, "", 0, new Uint8Array(22))).toBe(
      "sign with the key: HMAC: a signature of 20 bytes; allowed: 32",
    );
  });
});
