// Tests of src/port/courier.ts with a TPM, a chip and a time that the test plays.
// Neighbours: `stage` plays them; `tpmfault.test.ts` does the same to the real library.
// Invariant: the table in the file's head is walked cell by cell; nothing here waits.

import { drainMicrotasks } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import { TpmOperation } from "../../src/core/effects.ts";
import { CourierState } from "../../src/port/courier.ts";
import { walkTable } from "../core/table.ts";
import { HMAC, NOTHING, PENDING, SOUND, Stage } from "./stage.ts";

const RC_RETRY = 0x922;

function inState(...steps: readonly ((stage: Stage) => void)[]): () => Stage {
  return () => {
    const stage = new Stage();
    for (const step of steps) step(stage);
    return stage;
  };
}

const open = (stage: Stage) => stage.courier.open();
const opened = (stage: Stage) => stage.opened();
const ask = (stage: Stage) => stage.ask(HMAC);

const ready = inState(open, opened);
const busy = inState(open, opened, ask);

describe("state by state", () => {
  walkTable<Stage>({
    file: "port/courier.ts",
    states: {
      CLOSED: inState(),
      OPENING: inState(open),
      RESTING: inState(open, (stage) => stage.closed()),
      READY: ready,
      BUSY: busy,
      PAUSED: inState(open, opened, ask, (stage) => stage.answer(RC_RETRY)),
    },
    stateOf: ({ courier }) => CourierState[courier.state],
    events: {
      "open()": (stage) => void stage.courier.open(),
      "close()": (stage) => void stage.courier.close(),
      "perform()": (stage) => void stage.ask(HMAC),
      "sweep()": (stage) => void stage.sweep(),
      opened: (stage) => void stage.opened(),
      answer: (stage) => void stage.answer(),
      retry: (stage) => void stage.answer(RC_RETRY),
      unsound: (stage) => void stage.answer(0, SOUND.subarray(1)),
      closed: (stage) => void stage.closed(),
      "wait over": (stage) => void stage.wait(),
    },
    look: (stage) => stage.look(),
  });
});

describe("requests", () => {
  test("go one at a time, in order", () => {
    const stage = ready();
    const order: number[] = [];
    stage.onDone = (ticket) => order.push(ticket);
    stage.ask(HMAC, HMAC, HMAC);
    stage.look();
    stage.answer();
    expect(stage.look()).toEqual(["done", "send"]);
    stage.answer(0x101);
    expect(stage.look()).toEqual(["refused 101", "send"]);
    stage.answer();
    expect(stage.look()).toEqual(["done"]);
    expect(order).toEqual([1, 2, 3]);
  });

  test("that wait when the connection ends are lost with it", () => {
    const stage = busy();
    stage.ask(HMAC, HMAC);
    stage.look();
    stage.closed();
    expect(stage.look()).toEqual(["end", "abandon", "lost", "down", "lost", "lost"]);
  });

  test("may be made from inside an answer", () => {
    const stage = busy();
    stage.onDone = (ticket) => ticket < 3 && stage.courier.perform(ticket + 1, HMAC);
    stage.look();
    stage.answer();
    stage.answer();
    stage.answer();
    expect(stage.look()).toEqual(["done", "send", "done", "send", "done"]);
  });

  test("are forgotten with close, also from inside an answer", () => {
    const stage = busy();
    stage.ask(HMAC);
    stage.onDone = () => stage.courier.close();
    stage.look();
    stage.closed();
    expect(stage.look()).toEqual(["end", "abandon", "lost", "abandon", "free"]);
    expect(stage.courier.state).toBe(CourierState.CLOSED);
  });

  test("whose command cannot be made are refused without one", () => {
    const stage = ready();
    stage.look();
    stage.native.starts.push(0x00f00001);
    stage.ask(HMAC);
    expect(stage.look()).toEqual(["refused f00001"]);
    expect(stage.courier.state).toBe(CourierState.READY);
  });
});

describe("keys that libtss2 does not know", () => {
  test("are read before the operation that needs them", () => {
    const stage = ready();
    stage.native.starts.push(0x00f00002);
    stage.native.handle = 0x81000100;
    stage.ask(HMAC);
    const begun = () => stage.native.begun.map(({ operation, a }) => [operation, a]);
    expect(begun()).toEqual([
      [TpmOperation.HMAC, 0x81000100],
      [TpmOperation.READ_PUBLIC, 0x81000100],
    ]);
    stage.look();
    stage.answer();
    expect(stage.look()).toEqual(["send"]);
    expect(begun().at(-1)).toEqual([TpmOperation.HMAC, 0x81000100]);
    stage.answer();
    expect(stage.look()).toEqual(["done"]);
  });

  test("that are not there refuse the operation", () => {
    const stage = ready();
    stage.native.starts.push(0x00f00002);
    stage.ask(HMAC);
    stage.look();
    stage.answer(0x18b);
    expect(stage.look()).toEqual(["refused 18b"]);
  });

  test("are not read for ever", () => {
    const stage = ready();
    stage.look();
    stage.native.starts.push(...[1, 2, 3, 4, 5].flatMap(() => [0x00f00002, 0]));
    stage.ask(HMAC);
    for (let left = 4; left > 0; left--) stage.answer();
    expect(stage.look()).toEqual(["send", "send", "send", "send", "refused f00002"]);
  });
});

describe("a command that the TPM puts off", () => {
  test("is sent again after 20, 40, 80 … ms, by libtss2's count and then by ours", () => {
    const stage = busy();
    const waits: number[] = [];
    for (const rc of [PENDING, PENDING, PENDING, PENDING, RC_RETRY, 0x908, 0x90a, RC_RETRY]) {
      stage.answer(rc);
      waits.push(stage.wait());
    }
    expect(waits).toEqual([20, 40, 80, 160, 320, 640, 1280, 2560]);
    // Started again for each of the last four only.
    expect(stage.native.begun).toHaveLength(1 + 4);
    stage.look();
    stage.answer();
    expect(stage.look()).toEqual(["done"]);
  });

  test.each([0x920, 0x923])("for its memory's sake (%p) waits for seconds", (rc) => {
    const stage = busy();
    const waits: number[] = [];
    for (let left = 5; left > 0; left--) {
      stage.answer(rc);
      waits.push(stage.wait());
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 8000]);
  });

  test.each([RC_RETRY, 0x920])("is refused in the end (%p)", (rc) => {
    const stage = busy();
    stage.look();
    let totalMs = 0;
    for (;;) {
      stage.answer(rc);
      if (stage.courier.state !== CourierState.PAUSED) break;
      totalMs += stage.wait();
    }
    expect(stage.look().at(-1)).toBe(`refused ${rc.toString(16)}`);
    expect(totalMs).toBeGreaterThanOrEqual(60_000);
    expect(totalMs).toBeLessThan(70_000);
  });
});

describe("a connection", () => {
  test("is tried again after 1, 2, 4 … 60 s, and sooner after an answer", () => {
    const stage = inState(open)();
    const waits: number[] = [];
    for (let left = 8; left > 0; left--) {
      stage.closed();
      waits.push(stage.wait());
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * 1000));
    stage.opened();
    stage.closed();
    expect(stage.wait()).toBe(60_000);
    stage.opened();
    stage.ask(HMAC);
    stage.answer();
    stage.closed();
    expect(stage.wait()).toBe(1000);
  });

  test("that does not come is given up after 20 s, an answer after 120 s", () => {
    const stage = inState(open)();
    expect(stage.wait()).toBe(20_000);
    stage.wait();
    stage.opened();
    stage.ask(HMAC);
    stage.look();
    expect(stage.wait()).toBe(120_000);
    expect(stage.look()).toEqual(["end", "abandon", "silent", "down"]);
  });

  test("hears nothing of an answer that comes too late", () => {
    const stage = busy();
    stage.wait();
    stage.wait();
    stage.look();
    stage.answer();
    expect(stage.look()).toEqual([]);
    stage.opened();
    stage.answer();
    expect(stage.look()).toEqual(["init", "up"]);
  });

  test("on which libtss2 does not start is none", () => {
    const stage = inState(open)();
    stage.native.initCode = 0x00070017;
    stage.look();
    stage.opened();
    expect(stage.look()).toEqual(["init", "abandon", "down"]);
    expect(stage.courier.state).toBe(CourierState.RESTING);
  });

  test.each([0x00070007, 0x00080013, 0x00090006, 0x000a000a, 0x00070009, 0x000b0009])(
    "ends when libtss2 refuses a response (%p)",
    (rc) => {
      const stage = busy();
      stage.look();
      stage.native.hasCommand = false;
      stage.native.finishes.push(rc);
      const finish = stage.native.finish.bind(stage.native);
      stage.native.finish = (response) => {
        const code = finish(response);
        stage.native.hasCommand = false;
        return code;
      };
      stage.courier.onChipAnswer(SOUND);
      drainMicrotasks();
      const refused = `refused ${rc.toString(16)}`;
      expect(stage.look()).toEqual(["end", "abandon", refused, "down"]);
    },
  );

  test("ends when libtss2 is in no state to go on", () => {
    const stage = ready();
    stage.look();
    stage.native.starts.push(0x00070007);
    stage.ask(HMAC);
    expect(stage.look()).toEqual(["abandon", "refused 70007", "down"]);
  });

  test.each([0x18b, 0x921, 0x000b0143, 0x000c0101])("outlives a refusal (%p)", (rc) => {
    const stage = busy();
    stage.look();
    stage.answer(rc);
    expect(stage.look()).toEqual([`refused ${rc.toString(16)}`]);
    expect(stage.courier.state).toBe(CourierState.READY);
  });
});

describe("a sweep", () => {
  const listed = (...handles: readonly number[]) => {
    const bytes = Buffer.alloc(9 + 4 * handles.length);
    bytes.writeUInt32BE(1, 1);
    bytes.writeUInt32BE(handles.length, 5);
    handles.forEach((handle, index) => void bytes.writeUInt32BE(handle, 9 + 4 * index));
    return bytes;
  };

  test("flushes what each range lists, also when some of it has gone", () => {
    const stage = ready();
    stage.look();
    stage.sweep();
    for (const handles of [[0x80000000, 0x80000001], [0x02000000], []]) {
      stage.native.output = listed(...handles);
      stage.answer();
    }
    stage.answer();
    stage.answer(0x1cb);
    stage.answer();
    expect(stage.look()).toEqual([...Array(6).fill("send"), "done"]);
    const flushed = stage.native.begun.filter(({ operation }) => operation === TpmOperation.FLUSH);
    expect(flushed.map(({ a }) => a)).toEqual([0x80000000, 0x80000001, 0x02000000]);
    const asked = stage.native.begun.filter(({ operation }) => operation !== TpmOperation.FLUSH);
    expect(asked.map(({ a, b, c }) => [a, b, c])).toEqual([
      [1, 0x80000000, 254],
      [1, 0x02000000, 254],
      [1, 0x03000000, 254],
    ]);
  });

  test("takes a cut list for what is whole of it", () => {
    const stage = ready();
    stage.sweep();
    stage.native.output = listed(0x80000000).subarray(0, 11);
    stage.answer();
    stage.native.output = NOTHING;
    stage.answer();
    stage.answer();
    expect(stage.look().at(-1)).toBe("done");
  });

  test("ends with the code of a list that is refused", () => {
    const stage = ready();
    stage.look();
    stage.sweep();
    stage.answer(0x100);
    expect(stage.look()).toEqual(["send", "refused 100"]);
  });

  test("of a managed chip is a new connection", () => {
    const stage = ready();
    stage.isManaged = true;
    stage.look();
    stage.sweep();
    stage.ask(HMAC);
    expect(stage.look()).toEqual(["abandon", "connect"]);
    stage.opened();
    expect(stage.look()).toEqual(["init", "done", "send"]);
  });

  test("of a managed chip that does not come back is lost", () => {
    const stage = ready();
    stage.isManaged = true;
    stage.look();
    stage.sweep();
    stage.ask(HMAC);
    stage.closed();
    expect(stage.look()).toEqual(["abandon", "connect", "abandon", "lost", "down", "lost"]);
  });
});

test("a password is at most 64 bytes long and for a hierarchy that has one", () => {
  const stage = new Stage();
  stage.courier.setPassword(1, new Uint8Array(64));
  expect(stage.look()).toEqual(["password 1 64"]);
  expect(() => stage.courier.setPassword(1, new Uint8Array(65))).toThrow("at most 64 bytes");
  expect(() => stage.courier.setPassword(2, NOTHING)).toThrow("owner or endorsement");
});
