// Survey, tested: an inquiry at a port that is played by hand.
// Neighbours: `src/core/survey.ts`; `test/tpm.test.ts` has the real port.
// Invariant: each test ends once or never, and what came after the end is not heard.

import { beforeEach, expect, test } from "bun:test";
import { Inquiry } from "../../src/core/inquiry.ts";
import { Survey } from "../../src/core/survey.ts";

const RC_LOST = 0x000b000a;
const NOTHING = new Uint8Array(0);

let asked: string[];
let ends: number;
let inquiry: Inquiry;
let survey: Survey;

beforeEach(() => {
  asked = [];
  ends = 0;
  inquiry = new Inquiry(true, false);
  survey = new Survey(inquiry, () => {
    ends += 1;
  });
  survey.start({
    open: () => asked.push("open"),
    close: () => asked.push("close"),
    perform: (_ticket, { operation }) => asked.push(`perform ${operation}`),
    flushAll: () => asked.push("flush all"),
    setPassword: () => asked.push("password"),
  });
});

/** Properties of nothing and no handles: a TPM without memory. */
const PROPERTIES = new Uint8Array([0, 0, 0, 0, 6, 0, 0, 0, 0]);
const HANDLES = new Uint8Array([0, 0, 0, 0, 1, 0, 0, 0, 0]);

function answer(rc: number, output: Uint8Array = NOTHING): void {
  survey.onTpmDone(0, rc, 0, output);
}

/** Up to the first key that is made. */
function begin(): void {
  survey.onTpmOpened();
  answer(0);
  answer(0, PROPERTIES);
  answer(0, PROPERTIES);
  answer(0, HANDLES);
}

test("asks one thing after the other, once it is connected", () => {
  expect(asked).toEqual(["open"]);
  begin();
  expect(asked).toEqual(["open", "perform 0", "perform 1", "perform 1", "perform 1", "perform 3"]);
  answer(0x902);
  expect(asked.at(-1)).toBe("flush all");
  answer(0);
  answer(0x185);
  answer(0x185);
  expect([ends, inquiry.problem]).toEqual([1, ""]);
  survey.onTpmClosed("later");
  answer(0x101);
  expect([ends, inquiry.problem]).toEqual([1, ""]);
});

test("no connection ends it with the reason", () => {
  survey.onTpmClosed("no such thing");
  expect([ends, inquiry.problem]).toEqual([1, "no such thing"]);
});

test("a connection that is lost ends it once, with the reason that follows", () => {
  begin();
  answer(RC_LOST);
  expect(ends).toBe(1);
  expect(inquiry.problem).toContain("could not make the endorsement key: 0xb000a");
  survey.onTpmClosed("pulled out");
  expect([ends, inquiry.problem]).toEqual([1, "pulled out"]);
});

test("an overdue first answer ends it; later ones may take their time", () => {
  survey.onTpmOpened();
  survey.onOverdue("swtpm:/s");
  expect(ends).toBe(1);
  expect(inquiry.problem).toBe("swtpm:/s: no answer; another program has it, perhaps the agent");
});

test("after the first answer nothing is overdue", () => {
  begin();
  survey.onOverdue("swtpm:/s");
  expect([ends, inquiry.problem]).toEqual([0, ""]);
});

test("cancelled it waits for the command under way; cancelled again it does not", () => {
  begin();
  survey.onCancel();
  expect(ends).toBe(0);
  survey.onCancel();
  expect([ends, inquiry.problem]).toEqual([1, "interrupted"]);
});

test("cancelled once it ends with the answer", () => {
  begin();
  survey.onCancel();
  answer(0x185);
  expect([ends, inquiry.problem]).toEqual([1, "interrupted"]);
});
