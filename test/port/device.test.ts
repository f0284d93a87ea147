// Tests of src/port/device.ts with a kernel that the test plays, and with real files.
// Neighbours: `courier.test.ts` has the port above it.
// Invariant: the played kernel has the manners that Linux was measured to have: a write comes back
// when the TPM has answered, one response waits to be read, an unread one refuses a write.

import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeviceChip, type Files } from "../../src/port/device.ts";
import { plain, u16 } from "../tpm/client.ts";

const COMMAND = plain(0x144, u16(0));
const ANSWER = Buffer.from("80010000000a00000000", "hex");

/** Calls of node:fs as they come, each answered when the test says so. */
class Kernel {
  readonly calls: string[] = [];
  openError: NodeJS.ErrnoException | null = null;
  writeError: NodeJS.ErrnoException | null = null;
  response: Uint8Array | NodeJS.ErrnoException = ANSWER;
  writtenBytes = -1;
  isDisk = false;
  /** Bytes of the last command when the pool gets to it, not when it was asked to. */
  command = "";
  private files = 2;
  private readonly pending: (() => void)[] = [];

  readonly fs = {
    open: (path: string, flags: string, done: (error: unknown, file: number) => void) => {
      this.calls.push(`open ${path} ${flags}`);
      this.pending.push(() => {
        this.files += 1;
        done(this.openError, this.files);
      });
    },
    fstatSync: () => ({ isFile: () => false, isBlockDevice: () => this.isDisk }),
    write: (file: number, bytes: Uint8Array, done: (error: unknown, count: number) => void) => {
      this.calls.push(`write ${file}`);
      this.pending.push(() => {
        this.command = Buffer.from(bytes).toString("hex");
        done(this.writeError, this.writtenBytes < 0 ? bytes.length : this.writtenBytes);
      });
    },
    readSync: (file: number, buffer: Uint8Array) => {
      this.calls.push(`read ${file}`);
      if (this.response instanceof Error) throw this.response;
      buffer.set(this.response);
      return this.response.length;
    },
    close: (file: number, done: () => void) => {
      this.calls.push(`close ${file}`);
      this.pending.push(done);
    },
  } as unknown as Files;

  /** The pool comes back from its oldest call. */
  step(): void {
    this.pending.shift()!();
  }
}

function failure(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: words`), { code });
}

class Rig {
  readonly heard: string[] = [];
  readonly kernel = new Kernel();
  readonly chip: DeviceChip;

  constructor() {
    const events = {
      onChipOpened: () => void this.heard.push("opened"),
      onChipAnswer: (response: Uint8Array) =>
        void this.heard.push(Buffer.from(response).toString("hex")),
      onChipClosed: (detail: string) => void this.heard.push(detail),
    };
    this.chip = new DeviceChip(events, "/dev/tpmrm0", this.kernel.fs);
  }

  opened(): this {
    this.chip.open();
    this.kernel.step();
    return this;
  }
}

describe("a command", () => {
  test("is written by the pool, and its response read when that is back", () => {
    const { chip, kernel, heard } = new Rig().opened();
    const command = Uint8Array.from(COMMAND);
    chip.send(command);
    command.fill(0);
    expect(kernel.calls).toEqual(["open /dev/tpmrm0 r+", "write 3"]);
    kernel.step();
    expect(kernel.command).toBe(COMMAND.toString("hex"));
    expect(kernel.calls.slice(2)).toEqual(["read 3"]);
    expect(heard).toEqual(["opened", ANSWER.toString("hex")]);
  });

  test.each(["EPIPE", "EIO", "EBUSY", "EINVAL"])("refused with %s ends the connection", (code) => {
    const { chip, kernel, heard } = new Rig().opened();
    kernel.writeError = failure(code);
    chip.send(COMMAND);
    kernel.step();
    expect(heard[1]).toStartWith(`/dev/tpmrm0: ${code}`);
    expect(kernel.calls.at(-1)).toBe("close 3");
  });

  test("cut by the kernel ends the connection", () => {
    const { chip, kernel, heard } = new Rig().opened();
    kernel.writtenBytes = 11;
    chip.send(COMMAND);
    kernel.step();
    expect(heard[1]).toBe("/dev/tpmrm0: a command was cut");
  });

  test("without a response ends the connection", () => {
    for (const response of [new Uint8Array(0), failure("ENODEV")]) {
      const { chip, kernel, heard } = new Rig().opened();
      kernel.response = response;
      chip.send(COMMAND);
      kernel.step();
      expect(heard[1]).toMatch(/^\/dev\/tpmrm0: (no answer to read|ENODEV: there is no TPM; )/);
      expect(kernel.calls.at(-1)).toBe("close 3");
    }
  });
});

describe("an open", () => {
  test.each([
    ["ENOENT", "there is no TPM; enable it in the firmware, or load its driver"],
    ["EACCES", "not allowed; be root, or in the file's group (tss: udev rule of tpm-udev)"],
    ["EBUSY", "in use by another program; /dev/tpmrm0 can be shared, /dev/tpm0 cannot"],
  ])("refused with %s says what to do", (code, advice) => {
    const { chip, kernel, heard } = new Rig();
    kernel.openError = failure(code);
    chip.open();
    kernel.step();
    expect(heard).toEqual([`/dev/tpmrm0: ${code}: ${advice}`]);
    expect(kernel.calls).toHaveLength(1);
  });

  test("of a disk is closed again and not written to", () => {
    const { chip, kernel, heard } = new Rig();
    kernel.isDisk = true;
    chip.open();
    kernel.step();
    chip.send(COMMAND);
    expect(heard).toEqual([
      "/dev/tpmrm0: no TPM but a file or a disk, left as it is; allowed: a device like /dev/tpmrm0",
    ]);
    expect(kernel.calls).toEqual(["open /dev/tpmrm0 r+", "close 3"]);
  });

  test("that was given up before it came closes its file", () => {
    const { chip, kernel, heard } = new Rig();
    chip.open();
    chip.abandon();
    kernel.step();
    expect(kernel.calls).toEqual(["open /dev/tpmrm0 r+", "close 3"]);
    expect(heard).toEqual([]);
  });
});

describe("a connection given up", () => {
  test("while idle is closed at once, by the pool", () => {
    const { chip, kernel, heard } = new Rig().opened();
    chip.abandon();
    expect(kernel.calls).toEqual(["open /dev/tpmrm0 r+", "close 3"]);
    expect(heard).toEqual(["opened"]);
  });

  test("during a command stays open until that is back, and its answer is not read", async () => {
    const { chip, kernel, heard } = new Rig().opened();
    chip.send(COMMAND);
    chip.abandon();
    expect(kernel.calls).toEqual(["open /dev/tpmrm0 r+", "write 3"]);
    chip.open();
    expect(heard).toEqual(["opened"]);
    await Bun.sleep(0);
    expect(heard[1]).toBe("/dev/tpmrm0: the TPM still works on an earlier command");
    kernel.step();
    expect(kernel.calls).toEqual(["open /dev/tpmrm0 r+", "write 3", "close 3"]);
    chip.open();
    kernel.step();
    kernel.step();
    expect(heard.slice(2)).toEqual(["opened"]);
    chip.send(COMMAND);
    kernel.step();
    expect(kernel.calls.slice(4)).toEqual(["write 4", "read 4"]);
  });
});

describe("with real files", () => {
  const folder = mkdtempSync(join(tmpdir(), "azimuth-device-"));
  const chips: DeviceChip[] = [];
  afterEach(() => {
    for (const chip of chips.splice(0)) chip.abandon();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function chipAt(path: string): {
    chip: DeviceChip;
    heard: string[];
    next: () => Promise<string>;
  } {
    const heard: string[] = [];
    let wake: () => void = () => {};
    const note = (what: string) => {
      heard.push(what);
      wake();
    };
    const chip = new DeviceChip(
      {
        onChipOpened: () => note("opened"),
        onChipAnswer: (response) => note(Buffer.from(response).toString("hex")),
        onChipClosed: (detail) => note(detail),
      },
      path,
    );
    chips.push(chip);
    let seen = 0;
    const next = async () => {
      while (heard.length <= seen) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      seen += 1;
      return heard[seen - 1]!;
    };
    return { chip, heard, next };
  }

  test("a missing one is told of", async () => {
    const { chip, next } = chipAt(join(folder, "none"));
    chip.open();
    expect(await next()).toContain("none: ENOENT: there is no TPM");
  });

  test("a plain file is not a TPM, and stays as it is", async () => {
    const path = join(folder, "precious");
    writeFileSync(path, "precious");
    const { chip, next } = chipAt(path);
    chip.open();
    expect(await next()).toBe(
      `${path}: no TPM but a file or a disk, left as it is; allowed: a device like /dev/tpmrm0`,
    );
    chip.send(COMMAND);
    expect(readFileSync(path, "utf8")).toBe("precious");
  });

  test("bytes go out and come in", async () => {
    // A pipe opened both ways gives back what was written to it, and so does as a device.
    const path = join(folder, "pipe");
    expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
    const { chip, next } = chipAt(path);
    chip.open();
    expect(await next()).toBe("opened");
    for (let left = 3; left > 0; left--) {
      chip.send(COMMAND);
      expect(await next()).toBe(COMMAND.toString("hex"));
    }
  });
});
