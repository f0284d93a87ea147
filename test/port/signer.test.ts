// Tests of src/port/signer.ts against published vectors of HMAC-SHA256.
// Neighbours: the credential machine asks for signatures of SAS texts.
// Invariant: one answer for each question, never from inside the call, and no key in it.

import { expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { derivedKey, KeySigner } from "../../src/port/signer.ts";

/** A signer and its answers. */
function signer(key: string): { signer: KeySigner; answers: string[] } {
  const answers: string[] = [];
  const events = {
    onSigned: (signature: string) => void answers.push(signature),
    onSignFailed: (detail: string) => void answers.push(`failed: ${detail}`),
  };
  return { signer: new KeySigner(events, key), answers };
}

/** RFC 4231, 4.3: key "Jefe", the answer in hexadecimal there. */
const JEFE = Buffer.from("Jefe").toString("base64");
const JEFE_ANSWER = Buffer.from(
  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  "hex",
).toString("base64");

test("RFC 4231, test case 2", async () => {
  const { signer: under, answers } = signer(JEFE);
  under.sign("what do ya want for nothing?");
  expect(answers).toEqual([]);
  await Bun.sleep(0);
  expect(answers).toEqual([JEFE_ANSWER]);
});

test("signs the UTF-8 bytes of the text", async () => {
  const key = Buffer.from(Array.from({ length: 64 }, (_, index) => index)).toString("base64");
  const { signer: under, answers } = signer(key);
  under.sign("hub/devices/gerät\n1700000000");
  await Bun.sleep(0);
  const expected = createHmac("sha256", Buffer.from(key, "base64"))
    .update(Buffer.from("hub/devices/gerät\n1700000000", "utf8"))
    .digest("base64");
  expect(answers).toEqual([expected]);
});

test("answers keep the order of the questions", async () => {
  const { signer: under, answers } = signer(JEFE);
  for (const text of ["what do ya want for nothing?", "x", "what do ya want for nothing?"]) {
    under.sign(text);
  }
  await Bun.sleep(0);
  expect(answers).toHaveLength(3);
  expect(answers[0]).toBe(JEFE_ANSWER);
  expect(answers[1]).not.toBe(JEFE_ANSWER);
  expect(answers[2]).toBe(JEFE_ANSWER);
});

test.each(["", "not base64!", "SmVmZ", "SmVmZQ", "SmVmZR=="])(
  "the key %p is refused, without showing it",
  async (key) => {
    const { signer: under, answers } = signer(key);
    under.sign("text");
    expect(answers).toEqual([]);
    await Bun.sleep(0);
    expect(answers).toEqual(["failed: the device key is empty or not base64"]);
  },
);

test("the key of a device of a group is the one of Microsoft's example", () => {
  // azure-docs, iot-dps, how-to-legacy-device-symm-key.
  const group =
    "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8" + "e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
  const id = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
  expect(derivedKey(group, id)).toBe("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
  for (const damaged of ["", "not base64!", group.slice(1)])
    expect(derivedKey(damaged, id)).toBe("");
});
