// Procedure, tested on a modelled TPM: what each leaves behind, and after a cut at any command.
// Neighbours: `src/core/procedure.ts`; `tpm/model.ts` is the TPM.
// Invariant: the keys are those that the blobs held; a second opinion is `azure/chip.ts`.

import { describe, expect, test } from "bun:test";
import { splitBlob } from "../../src/codec/blob.ts";
import { Outcome, outcomeOf, outcomeText } from "../../src/codec/outcome.ts";
import {
  Activate,
  Identify,
  KeepIdentity,
  KeepSpare,
  type Procedure,
  Sign,
  SignAsDevice,
} from "../../src/core/procedure.ts";
import { TpmModel } from "../tpm/model.ts";
import { blobOf, chip, DEVICE_KEY, IDENTITY, SPARE, signatureOf } from "./enclave.ts";

const TEXT = new TextEncoder().encode("text\n1700000000");
const OLD_KEY = Buffer.alloc(32, 9);

function started(): TpmModel {
  const tpm = new TpmModel(chip);
  tpm.isStarted = true;
  return tpm;
}

/** Performs a procedure, at most `commands` of them; its problem, "" for none. */
function perform(tpm: TpmModel, procedure: Procedure, commands = 100): string {
  procedure.restart();
  for (let left = commands; left > 0; left--) {
    const request = procedure.next();
    if (request === undefined) return "";
    const { rc, handle, output } = tpm.perform(request);
    const problem = procedure.onAnswer(outcomeOf(rc), outcomeText(rc), handle, output);
    if (problem !== "") return problem;
  }
  return "cut";
}

function activated(tpm: TpmModel, key: Buffer, isHidden = true): number {
  const blob = splitBlob(Buffer.from(blobOf(key), "base64"));
  if (typeof blob === "string") throw new Error(blob);
  const activate = new Activate(blob, isHidden);
  expect(perform(tpm, new Identify())).toBe("");
  expect(perform(tpm, activate)).toBe("");
  expect(activate.kept).toBeGreaterThanOrEqual(0x80000000);
  return activate.kept;
}

function signature(tpm: TpmModel): string {
  const sign = new SignAsDevice(0, TEXT);
  const problem = perform(tpm, sign);
  if (problem !== "") return problem;
  return sign.isAbsent ? "absent" : Buffer.from(sign.signature).toString("base64");
}

const signedBy = (key: Buffer): string => signatureOf(key, new TextDecoder().decode(TEXT));

describe("identify", () => {
  test("makes both keys on a blank TPM, keeps them, and finds them the next time", () => {
    const tpm = started();
    for (const made of ["endorsement key and storage root key", ""]) {
      const identify = new Identify();
      expect(perform(tpm, identify)).toBe("");
      expect(identify.made).toBe(made);
      expect(Buffer.from(identify.endorsementKey).toString("base64")).toBe(chip.endorsementKey);
      expect(Buffer.from(identify.storageKey).toString("base64")).toBe(chip.storageRootKey);
      expect([...tpm.persistent.keys()].sort()).toEqual([0x81000001, 0x81010001]);
      expect(tpm.leftovers).toBe(0);
    }
  });

  test("makes a key in four commands, and takes what the making told", () => {
    const tpm = started();
    // One look more than commands: that there is no other.
    expect(perform(tpm, new Identify(), 9)).toBe("");
  });

  test("takes no key of another kind", () => {
    const tpm = started();
    const area = Buffer.from("0012000800" + "0b00000442000000050" + "00b0000", "hex");
    tpm.persistent.set(0x81010001, { area, key: Buffer.alloc(0) });
    expect(perform(tpm, new Identify())).toStartWith("read its keys: read the endorsement key: ");
  });

  test("cut anywhere and begun again, it comes to the same keys", () => {
    for (let commands = 1; commands < 10; commands++) {
      const tpm = started();
      perform(tpm, new Identify(), commands);
      tpm.sweep();
      const identify = new Identify();
      expect(perform(tpm, identify)).toBe("");
      expect(Buffer.from(identify.endorsementKey).toString("base64")).toBe(chip.endorsementKey);
    }
  });
});

describe("activate", () => {
  test("opens a blob, hidden on the bus or not, and leaves the key alone open", () => {
    for (const isHidden of [true, false]) {
      const tpm = started();
      const handle = activated(tpm, DEVICE_KEY, isHidden);
      expect([...tpm.transient.keys()]).toEqual([handle]);
      expect(tpm.sessions.size).toBe(isHidden ? 1 : 0);
      const sign = new Sign(handle, TEXT);
      expect(perform(tpm, sign)).toBe("");
      expect(Buffer.from(sign.signature).toString("base64")).toBe(signedBy(DEVICE_KEY));
    }
  });

  test("says so when a blob is for another TPM", () => {
    const tpm = started();
    perform(tpm, new Identify());
    const blob = splitBlob(Buffer.from(blobOf(DEVICE_KEY, chip.cleared()), "base64"));
    if (typeof blob === "string") throw new Error(blob);
    expect(perform(tpm, new Activate(blob, true))).toBe(
      "activate the key from DPS: import the key: 0x1df: " +
        "integrity check failed: made for another TPM or key, or damaged (parameter 1)",
    );
  });
});

describe("sign", () => {
  test("as the device: with the spare where there is one, else with the identity, else not", () => {
    const tpm = started();
    expect(signature(tpm)).toBe("absent");
    tpm.persistent.set(IDENTITY, { area: Buffer.alloc(2), key: OLD_KEY });
    expect(signature(tpm)).toBe(signedBy(OLD_KEY));
    tpm.persistent.set(SPARE, { area: Buffer.alloc(2), key: DEVICE_KEY });
    expect(signature(tpm)).toBe(signedBy(DEVICE_KEY));
  });

  test("as the device, where it was found before, which is one command", () => {
    const tpm = started();
    tpm.persistent.set(IDENTITY, { area: Buffer.alloc(2), key: DEVICE_KEY });
    const first = new SignAsDevice(0, TEXT);
    perform(tpm, first);
    expect(first.place).toBe(IDENTITY);
    expect(perform(tpm, new SignAsDevice(first.place, TEXT), 2)).toBe("");
    tpm.persistent.delete(IDENTITY);
    const gone = new SignAsDevice(first.place, TEXT);
    expect([perform(tpm, gone), gone.isAbsent]).toEqual(["", true]);
  });

  test("a signature of another length is refused", () => {
    const sign = new Sign(1, TEXT);
    sign.restart();
    sign.next();
    const problem = sign.onAnswer(Outcome.DONE, "", 0, new Uint8Array(22));
    expect(problem).toBe("sign: HMAC: a signature of 20 bytes; allowed: 32");
  });
});

describe("the swap", () => {
  test("ends with the new key in its place and the spare place empty", () => {
    const tpm = started();
    tpm.persistent.set(IDENTITY, { area: Buffer.alloc(2), key: OLD_KEY });
    const handle = activated(tpm, DEVICE_KEY);
    expect(perform(tpm, new KeepSpare(handle))).toBe("");
    expect(perform(tpm, new KeepIdentity(handle))).toBe("");
    expect(tpm.persistent.get(IDENTITY)?.key).toEqual(DEVICE_KEY);
    expect(tpm.persistent.has(SPARE)).toBe(false);
  });

  test("cut after any command leaves a key that signs: the old one or the new one", () => {
    const seen: string[] = [];
    for (const spareBefore of [false, true]) {
      for (let commands = 0; commands <= 5; commands++) {
        const tpm = started();
        tpm.persistent.set(IDENTITY, { area: Buffer.alloc(2), key: OLD_KEY });
        if (spareBefore) tpm.persistent.set(SPARE, { area: Buffer.alloc(2), key: OLD_KEY });
        const handle = activated(tpm, DEVICE_KEY);
        const first = Math.min(commands, 2);
        perform(tpm, new KeepSpare(handle), first);
        perform(tpm, new KeepIdentity(handle), commands - first);
        tpm.restart();
        tpm.isStarted = true;
        seen.push(signature(tpm) === signedBy(DEVICE_KEY) ? "new" : "old");
        expect([signedBy(OLD_KEY), signedBy(DEVICE_KEY)]).toContain(signature(tpm));
      }
    }
    const once = ["old", "old", "new", "new", "new", "new"];
    expect(seen).toEqual([...once, ...once]);
  });
});
