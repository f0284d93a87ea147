// Seal, tested on a modelled TPM behind a port that is played: the order, the proof, the refusals,
// and what is left after an end at each command.
// Neighbours: `src/core/seal.ts`; `test/seal.test.ts` has the real TPM and the files.
// Invariant: what signs is looked up as the agent does: the spare place first.

import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { type Tpm, TpmOperation, type TpmRequest } from "../../src/core/effects.ts";
import { PROOF, Seal, SealState } from "../../src/core/seal.ts";
import { TpmModel } from "../tpm/model.ts";
import { chip, IDENTITY, SPARE } from "./enclave.ts";

const KEY = Buffer.alloc(32, 3);
const OLD_KEY = Buffer.alloc(32, 4);
const RC_LOST = 0x000b000a;
const RC_PASSWORD = 0x9a2;
const NOTHING = new Uint8Array(0);

/** One sealing at one model. */
class Play {
  ends = 0;
  readonly asked: string[] = [];
  readonly seal: Seal;
  /** Codes in place of what the model would do; 0 lets it do it. */
  refuse: (request: TpmRequest) => number = () => 0;
  private readonly queue: { ticket: number; request?: TpmRequest }[] = [];

  constructor(
    readonly tpm = new TpmModel(chip),
    isReplacing = false,
    signature: Uint8Array = createHmac("sha256", KEY).update(PROOF).digest(),
  ) {
    const port: Tpm = {
      open: () => void this.asked.push("open"),
      close: () => void this.asked.push("close"),
      perform: (ticket, request) => void this.queue.push({ ticket, request }),
      flushAll: (ticket) => void this.queue.push({ ticket }),
      setPassword: () => void this.asked.push("password"),
    };
    const sealable = { key: KEY, signature, isReplacing };
    this.seal = new Seal(port, sealable, () => {
      this.ends++;
    });
    this.seal.start();
  }

  /** Answers the next thing asked; false when there is none. */
  step(): boolean {
    const next = this.queue.shift();
    if (next === undefined) return false;
    const { ticket, request } = next;
    if (request === undefined) {
      this.asked.push("sweep");
      this.tpm.sweep();
      this.seal.onTpmDone(ticket, 0, 0, NOTHING);
      return true;
    }
    this.asked.push(TpmOperation[request.operation]!);
    const refused = this.refuse(request);
    const { rc, handle, output } =
      refused === 0 ? this.tpm.perform(request) : { rc: refused, handle: 0, output: NOTHING };
    this.seal.onTpmDone(ticket, rc, handle, output);
    return true;
  }

  run(): this {
    this.seal.onTpmOpened();
    for (let steps = 0; steps < 200; steps++) if (!this.step()) return this;
    throw new Error("it asks and asks");
  }
}

/** What the agent would sign with. */
function device(tpm: TpmModel): Buffer | undefined {
  return (tpm.persistent.get(SPARE) ?? tpm.persistent.get(IDENTITY))?.key;
}

const foreign = (): TpmModel => {
  const tpm = new TpmModel(chip);
  tpm.persistent.set(IDENTITY, { area: Buffer.from("0002ffff", "hex"), key: OLD_KEY });
  return tpm;
};

describe("a key", () => {
  test("is made, tried, kept, and proven where the agent will find it", () => {
    const play = new Play().run();
    expect([play.ends, play.seal.problem]).toEqual([1, ""]);
    expect(device(play.tpm)).toEqual(KEY);
    expect(play.tpm.persistent.has(SPARE)).toBe(false);
    expect([play.tpm.leftovers, play.tpm.isCovered]).toEqual([0, true]);
    const kept = ["EVICT", "EVICT", "EVICT", "EVICT", "EVICT", "FLUSH"];
    const proven = ["READ_PUBLIC", "READ_PUBLIC", "HMAC"];
    const order = ["CREATE", "LOAD", "FLUSH", "HMAC", ...kept, ...proven];
    expect(play.asked.slice(play.asked.indexOf("CREATE"))).toEqual(order);
  });

  test("takes the place of one that was sealed before", () => {
    const { tpm } = new Play().run();
    const before = tpm.persistent.get(IDENTITY);
    const play = new Play(tpm).run();
    expect([play.ends, play.seal.problem]).toEqual([1, ""]);
    expect(tpm.persistent.get(IDENTITY)).not.toBe(before);
  });

  test("that signs otherwise in the TPM is not kept", () => {
    const other = createHmac("sha256", OLD_KEY).update(PROOF).digest();
    const play = new Play(new TpmModel(chip), false, other).run();
    expect(play.ends).toBe(1);
    expect(play.seal.problem).toBe("the TPM could not sign with the key: HMAC: it signs otherwise");
    expect([device(play.tpm), play.tpm.leftovers]).toEqual([undefined, 0]);
  });

  test("that is another one once it is kept is no success", () => {
    const play = new Play();
    play.refuse = ({ operation }) => {
      if (operation !== TpmOperation.HMAC || !play.tpm.persistent.has(IDENTITY)) return 0;
      const area = play.tpm.persistent.get(IDENTITY)!.area;
      play.tpm.persistent.set(IDENTITY, { area, key: OLD_KEY });
      return 0;
    };
    play.run();
    expect([play.ends, play.seal.problem]).toEqual([
      1,
      "the TPM has kept another key than it was given",
    ]);
  });
});

describe("a key that is not from here", () => {
  test("is left alone", () => {
    const play = new Play(foreign()).run();
    expect(play.ends).toBe(1);
    expect(play.seal.problem).toStartWith("the TPM has a key at 0x81000100 that azimuth seal has");
    expect(play.seal.problem).toEndWith("--replace gives it up for good");
    expect(device(play.tpm)).toEqual(OLD_KEY);
    expect([...play.tpm.persistent.keys()]).toEqual([IDENTITY]);
  });

  test("is given up when that is asked for", () => {
    const play = new Play(foreign(), true).run();
    expect([play.ends, play.seal.problem]).toEqual([1, ""]);
    expect(device(play.tpm)).toEqual(KEY);
  });
});

describe("an end before its time", () => {
  test("after any command leaves what there was, or the new key; and sealing again works", () => {
    const commands = new Play().run().asked.length;
    expect(commands).toBeGreaterThan(20);
    for (let cut = 0; cut <= commands; cut++) {
      const play = new Play();
      play.seal.onTpmOpened();
      for (let step = 0; step < cut; step++) play.step();
      const found = device(play.tpm);
      if (found !== undefined) expect(found).toEqual(KEY);
      play.tpm.restart();
      const again = new Play(play.tpm).run();
      expect([again.ends, again.seal.problem, again.tpm.leftovers]).toEqual([1, "", 0]);
      expect(device(again.tpm)).toEqual(KEY);
      expect(again.tpm.persistent.has(SPARE)).toBe(false);
    }
  });

  test("of a new key in place of an old one: one of them signs at any moment", () => {
    const old = (): TpmModel => {
      const { tpm } = new Play().run();
      tpm.persistent.set(IDENTITY, { area: tpm.persistent.get(IDENTITY)!.area, key: OLD_KEY });
      tpm.restart();
      return tpm;
    };
    const commands = new Play(old()).run().asked.length;
    const seen = new Set<string>();
    for (let cut = 0; cut <= commands; cut++) {
      const play = new Play(old());
      play.seal.onTpmOpened();
      for (let step = 0; step < cut; step++) play.step();
      seen.add(device(play.tpm)!.toString("hex"));
    }
    expect(seen).toEqual(new Set([OLD_KEY.toString("hex"), KEY.toString("hex")]));
  });

  test("a refusal of any command is one line, and nothing of ours stays open", () => {
    const commands = new Play().run().asked.length;
    for (let at = 2; at < commands; at++) {
      const play = new Play();
      let count = 0;
      let isRefused = false;
      play.refuse = ({ operation }) => {
        isRefused = ++count === at && operation !== TpmOperation.FLUSH;
        return isRefused ? 0x184 : 0;
      };
      play.run();
      expect([play.ends, play.tpm.leftovers]).toEqual([1, 0]);
      if (play.seal.problem === "") expect(device(play.tpm)).toEqual(KEY);
      else expect(play.seal.problem).toMatch(/^the TPM could not [a-z ]+: .*: 0x184: /);
    }
  });
});

describe("a TPM", () => {
  test("that is not there", () => {
    const play = new Play();
    play.seal.onTpmClosed("/dev/tpmrm0: ENOENT: there is no TPM");
    play.seal.onTpmClosed("again");
    expect([play.ends, play.seal.problem]).toEqual([
      1,
      "the TPM could not look for keys: /dev/tpmrm0: ENOENT: there is no TPM",
    ]);
    play.seal.onTpmOpened();
    expect(play.seal.state).toBe(SealState.OVER);
  });

  test("that is lost in the middle, once the key is open", () => {
    const play = new Play();
    play.refuse = ({ operation }) => (operation === TpmOperation.EVICT ? RC_LOST : 0);
    const { tpm } = play;
    tpm.persistent.set(0x81000001, { area: Buffer.from(chip.storageRootKey, "base64"), key: KEY });
    play.run();
    play.seal.onTpmClosed("unplugged");
    expect([play.ends, play.seal.problem]).toEqual([
      1,
      "the TPM could not keep the new device key: unplugged",
    ]);
  });

  test("whose owner has a password", () => {
    const play = new Play();
    play.refuse = ({ operation }) => (operation === TpmOperation.EVICT ? RC_PASSWORD : 0);
    play.run();
    expect(play.seal.problem).toContain("wrong password");
    expect(play.seal.problem).toEndWith("; --owner-password-file names the file with it");
  });

  test("that another program has", () => {
    const play = new Play();
    play.seal.onTpmOpened();
    play.seal.onOverdue("swtpm:/s");
    play.seal.onOverdue("swtpm:/s");
    expect([play.ends, play.seal.problem]).toEqual([
      1,
      "swtpm:/s: no answer; another program has it: stop the agent, then seal",
    ]);
    play.step();
    expect(play.ends).toBe(1);
  });

  test("that has answered may take its time", () => {
    const play = new Play().run();
    play.seal.onOverdue("swtpm:/s");
    expect([play.ends, play.seal.problem]).toEqual([1, ""]);
    const slow = new Play();
    slow.seal.onTpmOpened();
    slow.step();
    slow.seal.onOverdue("swtpm:/s");
    expect(slow.ends).toBe(0);
  });
});
