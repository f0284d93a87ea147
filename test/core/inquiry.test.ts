// Inquiry, tested: what it finds out of a TPM that is played here, and what it leaves behind.
// Neighbours: `src/core/inquiry.ts`; `test/tpm.test.ts` does it with swtpm.
// Invariant: whatever a command is answered with, no transient object outlives the inquiry.

import { beforeEach, describe, expect, test } from "bun:test";
import { type Ask, Inquiry, KeyState, Origin } from "../../src/core/inquiry.ts";

const EK = 0x81010001;
const SRK = 0x81000001;
const OWNER_SET = 1;
const ENDORSEMENT_SET = 2;
/** Operations as native/azimuth.h numbers them. */
const NAMES: Readonly<Record<number, string>> = {
  0: "startup",
  1: "capability",
  2: "read",
  3: "create",
  4: "persist",
  5: "flush",
};

interface Answer {
  readonly rc: number;
  readonly handle: number;
  readonly output: Buffer;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

function list(capability: number, count: number, words: readonly number[]): Buffer {
  return Buffer.concat([Buffer.from([0]), u32(capability), u32(count), ...words.map(u32)]);
}

/** The key that a template makes: the same one each time, with a modulus of its own. */
function keyOf(template: Uint8Array): Buffer {
  const isEmpty = template.length < 256;
  const head = Buffer.from(template).subarray(2, isEmpty ? -2 : -258);
  const modulus = Buffer.alloc(256, isEmpty ? 0xe9 : 0x34);
  const body = Buffer.concat([head, Buffer.from([1, 0]), modulus]);
  const size = Buffer.from([body.length >> 8, body.length & 0xff]);
  return Buffer.concat([size, body]);
}

/** A TPM that is played. */
class Play {
  readonly persistent = new Map<number, Buffer>();
  readonly transient = new Map<number, Buffer>();
  readonly log: string[] = [];
  permanent = 0;
  /** Answers instead of the TPM. */
  rule: (name: string, index: number) => number | Buffer | undefined = () => undefined;

  answer(ask: Ask): Answer {
    const name = ask === "sweep" ? "sweep" : NAMES[ask.operation]!;
    const ruled = this.rule(name, this.log.length);
    this.log.push(name);
    if (typeof ruled === "number") return { rc: ruled, handle: 0, output: Buffer.alloc(0) };
    if (ruled !== undefined) return { rc: 0, handle: 0, output: ruled };
    if (ask === "sweep") {
      this.transient.clear();
      return { rc: 0, handle: 0, output: Buffer.alloc(0) };
    }
    const { a, b, input } = ask;
    switch (name) {
      case "startup":
        return this.given(0x100);
      case "capability":
        return this.given(0, 0, this.capability(a, b));
      case "read":
        return this.given(0, 0, Buffer.concat([this.persistent.get(a)!, Buffer.from([0, 0])]));
      case "create": {
        const handle = 0x80000000 + this.transient.size;
        this.transient.set(handle, keyOf(input));
        return this.given(0, handle, keyOf(input));
      }
      case "persist":
        this.persistent.set(b, this.transient.get(a)!);
        return this.given(0);
      default:
        return this.given(this.transient.delete(a) ? 0 : 0x18b);
    }
  }

  private given(rc: number, handle = 0, output: Buffer = Buffer.alloc(0)): Answer {
    return { rc, handle, output };
  }

  private capability(capability: number, first: number): Buffer {
    if (capability === 1) return list(1, this.persistent.size, [...this.persistent.keys()]);
    return first === 0x100 ? list(6, 1, [0x105, 0x49424d00]) : list(6, 1, [0x200, this.permanent]);
  }
}

/** Keys as templates of 256 zero bytes and of an empty unique make them. */
const TCG = keyOf(templateOf("00030", 256));
const EMPTY = keyOf(templateOf("00030", 0));
const STORAGE = keyOf(templateOf("storage", 256));

/** Only the head counts to what is played; that of an endorsement key is the real one. */
function templateOf(kind: string, uniqueBytes: number): Buffer {
  const head =
    kind === "storage"
      ? "0001000b000304720000"
      : "0001000b000300b20020837197674484b3f81a90cc8d46a5d724" + "fd52d76e06520b64f2a1da1b331469aa";
  const parameters = `00060080004300100800000000000${uniqueBytes === 0 ? "000" : "100"}`;
  const body = Buffer.from(head + parameters + "00".repeat(uniqueBytes), "hex");
  return Buffer.concat([Buffer.from([body.length >> 8, body.length & 0xff]), body]);
}

let play: Play;
beforeEach(() => {
  play = new Play();
});

/** Asks to the end. */
function inquire(isCreating = false, each: (inquiry: Inquiry) => void = () => {}): Inquiry {
  const inquiry = new Inquiry(true, isCreating);
  for (;;) {
    const ask = inquiry.next();
    if (ask === undefined) return inquiry;
    const { rc, handle, output } = play.answer(ask);
    each(inquiry);
    inquiry.onAnswer(rc, handle, output);
    if (play.log.length > 50) throw new Error("no end");
  }
}

function prepare(endorsement: Buffer): void {
  play.persistent.set(SRK, STORAGE).set(EK, endorsement);
}

describe("what is found", () => {
  test("of a blank TPM: the keys that would be made, and nothing is kept", () => {
    const { problem, findings } = inquire();
    expect(problem).toBe("");
    expect(findings.endorsement).toEqual({
      state: KeyState.COMPUTED,
      publicArea: TCG,
      reason: "",
    });
    expect(findings.storage).toEqual({
      state: KeyState.COMPUTED,
      publicArea: STORAGE,
      reason: "",
    });
    expect(findings.origin).toBe(Origin.TCG);
    expect(findings.handles).toEqual([]);
    expect(findings.properties.get(0x105)).toBe(0x49424d00);
    expect(play.persistent.size + play.transient.size).toBe(0);
    expect(play.log.join(" ")).toBe(
      "startup capability capability capability create flush create flush",
    );
  });

  test.each([
    ["the TCG's template", TCG, Origin.TCG, 1],
    ["an empty unique", EMPTY, Origin.EMPTY, 2],
    ["another seed", Buffer.concat([TCG.subarray(0, -1), Buffer.from([1])]), Origin.OTHER, 2],
    ["another kind of key", Buffer.from("0004002300b0", "hex"), Origin.OTHER, 0],
  ])("of a key by %s: where it comes from", (_name, key, origin, made) => {
    prepare(key);
    const { problem, findings } = inquire();
    expect(problem).toBe("");
    expect(findings).toMatchObject({ origin, originReason: "", handles: [SRK, EK] });
    expect(findings.endorsement).toEqual({
      state: KeyState.PERSISTENT,
      publicArea: new Uint8Array(key),
      reason: "",
    });
    expect(findings.storage.state).toBe(KeyState.PERSISTENT);
    expect(play.log.filter((name) => name === "create")).toHaveLength(made);
    expect(play.transient.size).toBe(0);
  });

  test("with passwords set: no key is made", () => {
    play.permanent = OWNER_SET | ENDORSEMENT_SET;
    const blank = inquire().findings;
    expect(blank.endorsement).toMatchObject({
      state: KeyState.UNKNOWN,
      reason: "the endorsement password is set",
    });
    expect(blank.storage).toMatchObject({
      state: KeyState.UNKNOWN,
      reason: "the owner password is set",
    });
    prepare(TCG);
    const { endorsement, origin, originReason } = inquire().findings;
    expect(endorsement.state).toBe(KeyState.PERSISTENT);
    expect([origin, originReason]).toEqual([Origin.UNKNOWN, "the endorsement password is set"]);
    expect(play.log).not.toContain("create");
  });

  test("when a hierarchy is disabled: all else", () => {
    play.rule = (name) => (name === "create" ? 0x185 : undefined);
    const { problem, findings } = inquire();
    expect(problem).toBe("");
    expect(findings.endorsement.state).toBe(KeyState.UNKNOWN);
    expect(findings.endorsement.reason).toStartWith("0x185: ");
    prepare(TCG);
    expect(inquire().findings.originReason).toStartWith("0x185: ");
  });
});

describe("creating", () => {
  test("keeps both keys", () => {
    const { problem, findings } = inquire(true);
    expect(problem).toBe("");
    expect(findings.endorsement.state).toBe(KeyState.CREATED);
    expect(findings.storage.state).toBe(KeyState.CREATED);
    expect(findings.handles).toEqual([SRK, EK]);
    expect(play.persistent).toEqual(
      new Map([
        [EK, TCG],
        [SRK, STORAGE],
      ]),
    );
    expect(play.transient.size).toBe(0);
  });

  test("leaves a key that is there alone", () => {
    play.persistent.set(EK, EMPTY);
    const { findings } = inquire(true);
    expect(findings.endorsement.state).toBe(KeyState.PERSISTENT);
    expect(findings.origin).toBe(Origin.EMPTY);
    expect(findings.storage.state).toBe(KeyState.CREATED);
    expect(play.persistent.get(EK)).toBe(EMPTY);
    expect(play.transient.size).toBe(0);
  });

  test("is refused before anything is made where the owner password is set", () => {
    play.permanent = OWNER_SET;
    expect(inquire(true).problem).toBe(
      "no endorsement key at 0x81010001, and to keep one takes the owner password, " +
        "which is not known here",
    );
    expect(play.log).not.toContain("create");
    prepare(TCG);
    expect(inquire(true).problem).toBe("");
  });
});

describe("trouble", () => {
  test.each([
    [0x101, "in failure mode; only a restart of the gateway ends that, or a new TPM"],
    [0x921, "wait for its recovery time"],
    [0x922, "was not ready; try again later"],
    [0x130, "must be restarted"],
    [0x000b000a, "no connection"],
  ])("answer %p at any command ends it and leaves nothing", (rc, words) => {
    const commands = 10;
    for (let at = 0; at < commands; at++) {
      play = new Play();
      let isOver = false;
      play.rule = (name, index) => {
        if (index === at) isOver = true;
        // After the failure the object can still be freed, but for a lost connection.
        return index === at && name !== "flush" ? rc : undefined;
      };
      const { problem } = inquire(true);
      expect(isOver).toBe(true);
      if (play.log[at] === "flush") continue;
      expect(problem).toStartWith("could not ");
      expect(problem).toContain(words);
      if (rc !== 0x000b000a) expect(play.transient.size).toBe(0);
    }
  });

  test("a flush that is refused ends it, once", () => {
    play.rule = (name) => (name === "flush" ? 0x101 : undefined);
    expect(inquire().problem).toStartWith("could not free the endorsement key: 0x101");
    expect(play.log.filter((name) => name === "flush")).toHaveLength(1);
  });

  test("cancelled at any command it frees what it made", () => {
    inquire(true);
    const commands = play.log.length;
    for (let at = 0; at < commands; at++) {
      play = new Play();
      const { problem } = inquire(true, (inquiry) => {
        if (play.log.length === at + 1) inquiry.cancel();
      });
      expect(problem).toBe("interrupted");
      expect(play.transient.size).toBe(0);
    }
  });

  test("no room: what others left is freed, once", () => {
    let isFull = true;
    play.rule = (name) => {
      if (name === "sweep") isFull = false;
      return name === "create" && isFull ? 0x902 : undefined;
    };
    expect(inquire().problem).toBe("");
    expect(play.log.filter((name) => name === "sweep")).toHaveLength(1);
    play = new Play();
    play.rule = (name) => (name === "create" ? 0x902 : undefined);
    expect(inquire().problem).toStartWith("could not make the endorsement key: 0x902");
    expect(play.log.filter((name) => name === "sweep")).toHaveLength(1);
  });

  test.each([
    [1, "could not read its properties: not a list of properties"],
    [2, "could not read its properties: not a list of properties"],
    [3, "could not list its persistent handles: not a list of handles"],
    [4, "could not read the endorsement key: not a public area"],
  ])("nonsense for command %p is said to be that", (at, problem) => {
    prepare(TCG);
    play.rule = (_name, index) => (index === at ? Buffer.from([0, 0, 0]) : undefined);
    expect(inquire().problem).toBe(problem);
  });

  test("no connection: the detail", () => {
    const inquiry = new Inquiry(true, false);
    inquiry.onClosed("/s: closed by the TPM");
    expect(inquiry.next()).toBeUndefined();
    expect(inquiry.problem).toBe("/s: closed by the TPM");
  });

  test("a device of the kernel is not started", () => {
    const inquiry = new Inquiry(false, false);
    expect(play.answer(inquiry.next()!).rc).toBe(0);
    expect(play.log).toEqual(["capability"]);
  });
});
