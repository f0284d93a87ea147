// Tests of src/codec/sas.ts: what is signed, tokens written and read.
// Neighbours: base64.test.ts; the HMAC itself belongs to the signer port.
// Invariant: expected texts are written out; no message repeats a part of a signature.

import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { parseToken, signedText, token } from "../../src/codec/sas.ts";

const RESOURCE = "hub.azure-devices.net/devices/d1";
const SIGNATURE = `${"+/".repeat(21)}8=`;
const SIG = `${"%2B%2F".repeat(21)}8%3D`;
const SR = "hub.azure-devices.net%2Fdevices%2Fd1";

describe("written", () => {
  test("what is signed: the encoded resource, a line feed, the expiry", () => {
    expect(signedText(RESOURCE, 1_795_420_568)).toBe(`${SR}\n1795420568`);
  });

  test("a device's token and a policy's", () => {
    expect(token(RESOURCE, SIGNATURE, 1_795_420_568)).toBe(
      `SharedAccessSignature sr=${SR}&sig=${SIG}&se=1795420568`,
    );
    expect(token("0ne/registrations/r 1", SIGNATURE, 5, "registration")).toBe(
      `SharedAccessSignature sr=0ne%2Fregistrations%2Fr%201&sig=${SIG}&se=5&skn=registration`,
    );
  });

  test("odd ids are encoded in upper case, as encodeURIComponent does", () => {
    expect(signedText("h/devices/a%b#c+=@$'()*!", 1)).toBe(
      "h%2Fdevices%2Fa%25b%23c%2B%3D%40%24'()*!\n1",
    );
  });

  test("what is signed is what is sent", () => {
    const key = Buffer.from("a device key of no value");
    const signature = createHmac("sha256", key).update(signedText(RESOURCE, 99)).digest("base64");
    const fields = new URLSearchParams(token(RESOURCE, signature, 99).split(" ")[1]);
    const sr = /sr=([^&]*)/.exec(token(RESOURCE, signature, 99))?.[1];
    const again = createHmac("sha256", key)
      .update(`${sr}\n${fields.get("se")}`)
      .digest("base64");
    expect(fields.get("sig")).toBe(again);
  });

  test.each([-1, 1.5, Number.NaN])("an expiry of %p is a caller's mistake", (expiryS) => {
    expect(() => signedText(RESOURCE, expiryS)).toThrow("expiry");
    expect(() => token(RESOURCE, SIGNATURE, expiryS)).toThrow("expiry");
  });
});

describe("read", () => {
  test("fields in any order, the resource encoded or not", () => {
    const expected = { resource: RESOURCE, expiryS: 7, policy: "" };
    expect(parseToken(`SharedAccessSignature sr=${SR}&sig=${SIG}&se=7`)).toEqual(expected);
    expect(parseToken(`SharedAccessSignature se=7&sig=${SIG}&sr=${RESOURCE}`)).toEqual(expected);
    expect(parseToken(`SharedAccessSignature skn=p%201&se=0&sig=${SIG}&sr=x`)).toEqual({
      resource: "x",
      expiryS: 0,
      policy: "p 1",
    });
  });

  test.each([
    ["", "does not begin"],
    [`SharedAccessSignatur sr=${SR}&sig=${SIG}&se=7`, "does not begin"],
    [`sharedaccesssignature sr=${SR}&sig=${SIG}&se=7`, "does not begin"],
    ["SharedAccessSignature ", "field other"],
    [`SharedAccessSignature sr=${SR}&sig=${SIG}&se=7&x=1`, "field other"],
    [`SharedAccessSignature sr=${SR}&sig=${SIG}&se=7&se=8`, "se twice"],
    [`SharedAccessSignature sr=%zz&sig=${SIG}&se=7`, "sr has a bad percent escape"],
    [`SharedAccessSignature sr=&sig=${SIG}&se=7`, "sr is empty"],
    [`SharedAccessSignature sr=${SR}&sig=${SIG}`, "lacks"],
    [`SharedAccessSignature sr=${SR}&se=7`, "lacks"],
    [`SharedAccessSignature sig=${SIG}&se=7`, "lacks"],
    [`SharedAccessSignature sr=${SR}&sig=Zm9v&se=7`, "sig is not"],
    [`SharedAccessSignature sr=${SR}&sig=${SIG}x&se=7`, "sig is not"],
    [`SharedAccessSignature sr=${SR}&sig=${SIG}&se=07`, "se is no number"],
    [`SharedAccessSignature sr=${SR}&sig=${SIG}&se=7.5`, "se is no number"],
    [`SharedAccessSignature sr=${SR}&sig=${SIG}&se=1e3`, "se is no number"],
  ])("%s", (text, problem) => {
    const result = parseToken(text);
    expect(result).toHaveProperty("problem");
    expect((result as { problem: string }).problem).toContain(problem);
    expect(JSON.stringify(result)).not.toMatch(/%2B|\+\/|Zm9v|\n/);
  });
});
