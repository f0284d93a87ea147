// Vault, tested: its table cell by cell, restarts, and that nothing is left in the TPM.
// Neighbours: `src/core/vault.ts`; `procedure` has the real procedures, here is a small one.
// Invariant: answers are given one by one, by the ticket that was asked with.

import { describe, expect, test } from "bun:test";
import { Outcome } from "../../src/codec/outcome.ts";
import { flush, readPublic, startPolicy, TpmOperation } from "../../src/codec/request.ts";
import { type TpmRequest, Verb } from "../../src/core/effects.ts";
import { Procedure, type Step } from "../../src/core/procedure.ts";
import { Vault, VaultState } from "../../src/core/vault.ts";
import { walkTable } from "./table.ts";
import { World } from "./world.ts";

const RC_LOST = 0x000b000a;
const RC_REFUSED = 0x1df;
const RC_FULL = 0x903;
const NOTHING = new Uint8Array(0);

/** Makes a session, reads twice, and keeps what it is told to. */
class Errand extends Procedure {
  readonly what = "run an errand";
  override readonly canRestart: boolean;

  constructor(
    canRestart = true,
    private readonly isKept = false,
  ) {
    super();
    this.canRestart = canRestart;
  }

  protected plan(): readonly Step[] {
    const take = (handle: number): undefined => {
      if (this.isKept) this.kept = handle;
    };
    const read: Step = { what: "read", ask: () => readPublic(0x81000001) };
    return [{ what: "start", ask: () => startPolicy(), take }, read, read];
  }
}

class Bench {
  readonly world = new World();
  readonly vault = new Vault(this.world.effects, this.world.counters);
  /** What was asked last, and its ticket. */
  last: TpmRequest | undefined;
  ticket = 0;
  /** All operations asked for; -1 for a sweep. */
  readonly asked: number[] = [];
  private made = 0x03000000;

  see(): void {
    const { effects } = this.world;
    for (let slot = 0; slot < effects.count; slot++) {
      const verb = effects.verbs[slot];
      const ticket = effects.numbers[slot]!;
      if ((verb !== Verb.PERFORM && verb !== Verb.SWEEP) || ticket <= this.ticket) continue;
      this.ticket = ticket;
      this.last = verb === Verb.PERFORM ? (effects.things[slot] as TpmRequest) : undefined;
      this.asked.push(this.last?.operation ?? -1);
    }
  }

  done(rc = 0): boolean {
    this.see();
    const isMaker = this.last?.operation === TpmOperation.START_POLICY;
    const handle = rc === 0 && isMaker ? this.made++ : 0;
    const isOver = this.vault.onDone(this.ticket, rc, handle, NOTHING);
    this.see();
    return isOver;
  }

  open(): this {
    this.vault.onOpened();
    this.see();
    return this;
  }

  /** Open, started and swept. */
  idle(): this {
    this.open();
    this.done();
    this.done();
    return this;
  }

  run(errand = new Errand()): this {
    this.vault.run(errand);
    this.see();
    return this;
  }

  /** With a session made and the next step asked for. */
  working(errand = new Errand()): this {
    this.idle().run(errand);
    this.done();
    return this;
  }
}

const ended = (isOver: boolean): string => (isOver ? "end" : "");
const after = (bench: Bench, act: (bench: Bench) => void): Bench => {
  act(bench);
  return bench;
};

walkTable<Bench>({
  file: "core/vault.ts",
  states: {
    CLOSED: () => new Bench(),
    STARTING: () => new Bench().open(),
    SWEEPING: () => after(new Bench().open(), (bench) => void bench.done()),
    IDLE: () => new Bench().idle(),
    WORKING: () => new Bench().working(),
    CLEANING: () => after(new Bench().working(), (bench) => void bench.done(RC_REFUSED)),
  },
  stateOf: ({ vault }) => VaultState[vault.state]!,
  events: {
    run: (bench) => void bench.run(),
    opened: ({ vault }) => void vault.onOpened(),
    closed: ({ vault }) => ended(vault.onClosed("gone")),
    done: (bench) => ended(bench.done()),
    failed: (bench) => ended(bench.done(RC_REFUSED)),
    lost: (bench) => ended(bench.done(RC_LOST)),
    abandon: ({ vault }) => void vault.abandon(),
  },
  look: ({ world }) => world.look(),
});

describe("a procedure", () => {
  test("that goes well ends with nothing open and no problem", () => {
    const bench = new Bench().working();
    expect([bench.done(), bench.done()]).toEqual([false, false]);
    expect(bench.last).toEqual(flush(0x03000000));
    expect(bench.done()).toBe(true);
    expect([bench.vault.outcome, bench.vault.kind, bench.vault.isFree]).toEqual(["", 0, true]);
  });

  test("that is refused ends with its words, and with nothing open", () => {
    const bench = new Bench().working();
    bench.done(RC_REFUSED);
    expect(bench.last).toEqual(flush(0x03000000));
    expect(bench.done()).toBe(true);
    expect(bench.vault.outcome).toStartWith("run an errand: read: 0x1df: integrity check failed");
    expect(bench.vault.kind).toBe(Outcome.REFUSED);
  });

  test("waits for the TPM, begins by itself, and goes on over a lost connection", () => {
    const bench = new Bench().run();
    bench.idle();
    expect(bench.vault.state).toBe(VaultState.WORKING);
    bench.done();
    expect(bench.vault.onClosed("gone")).toBe(false);
    bench.idle();
    for (const over of [false, false, false, true]) expect(bench.done()).toBe(over);
    expect(bench.vault.outcome).toBe("");
  });

  test("that waits is told when there is no connection to be had", () => {
    const bench = new Bench().run();
    expect(bench.vault.onClosed("ENOENT: there is no TPM")).toBe(true);
    expect(bench.vault.outcome).toBe("run an errand: ENOENT: there is no TPM");
    expect(bench.vault.fault).toBe("ENOENT: there is no TPM");
  });

  test("starts again on a swept TPM when there was no room, three times", () => {
    const bench = new Bench().idle().run();
    for (let round = 0; round < 3; round++) {
      expect(bench.done(RC_FULL)).toBe(false);
      expect(bench.last?.operation).toBe(TpmOperation.STARTUP);
      bench.done();
      expect(bench.asked.at(-1)).toBe(-1);
      bench.done();
    }
    expect(bench.done(RC_FULL)).toBe(true);
    expect(bench.vault.outcome).toContain("0x903: no room for another session");
  });

  test("that cannot restart ends when its objects are gone", () => {
    for (const act of [
      (bench: Bench) => bench.done(0x910),
      (bench: Bench) => bench.vault.onClosed("gone"),
    ]) {
      const bench = new Bench().working(new Errand(false));
      if (!act(bench)) expect(bench.done()).toBe(true);
      expect(bench.vault.outcome).toStartWith("run an errand: ");
    }
    const late = new Bench().run(new Errand(false)).open();
    late.done();
    expect(late.done()).toBe(true);
    expect(late.vault.outcome).toBe("run an errand: the TPM was restarted");
  });

  test("keeps what it says, until the next one ends or all is abandoned", () => {
    for (const isNext of [true, false]) {
      const bench = new Bench().working(new Errand(true, true));
      for (const over of [false, true]) expect(bench.done()).toBe(over);
      expect(bench.asked).not.toContain(TpmOperation.FLUSH);
      if (isNext) {
        bench.run();
        for (let at = 0; at < 4; at++) bench.done();
        expect(bench.asked.filter((one) => one === TpmOperation.FLUSH)).toHaveLength(2);
      } else {
        bench.vault.abandon();
        bench.see();
        expect(bench.asked.at(-1)).toBe(-1);
      }
    }
  });

  test("that was abandoned is not answered any more, and the next waits for the sweep", () => {
    const bench = new Bench().working();
    const old = bench.ticket;
    bench.vault.abandon();
    bench.run();
    expect(bench.vault.onDone(old, 0, 0, NOTHING)).toBe(false);
    expect(bench.world.counters.stray).toBe(1);
    bench.done();
    expect(bench.vault.state).toBe(VaultState.WORKING);
  });

  test("is one at a time", () => {
    const bench = new Bench().run();
    expect(() => bench.vault.run(new Errand())).toThrow("one procedure at a time");
  });
});
