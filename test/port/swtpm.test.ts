// Tests of src/port/swtpm.ts against a software TPM and against peers that misbehave.
// Neighbours: `tpmfault.test.ts` has the port above it.
// Invariant: peers listen on sockets of their own; an event from inside a call fails the test.

import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ChipEvents } from "../../src/core/effects.ts";
import { type Place, SocketChip } from "../../src/port/swtpm.ts";
import { plain, u16 } from "../tpm/client.ts";
import { Swtpm } from "../tpm/swtpm.ts";

const STARTUP = plain(0x144, u16(0));
const SUCCESS = "80010000000a00000000";

/** A chip with its events on record. */
class Witness implements ChipEvents {
  readonly heard: string[] = [];
  readonly chip: SocketChip;
  private isInside = false;
  private readonly waiting = new Set<() => void>();

  constructor(place: Place) {
    this.chip = new SocketChip(this, place);
  }

  call(work: (chip: SocketChip) => void): void {
    this.isInside = true;
    work(this.chip);
    this.isInside = false;
  }

  /** The event number `index` from the start. */
  async event(index: number): Promise<string> {
    while (this.heard.length <= index) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.waiting.add(resolve);
      await promise;
    }
    return this.heard[index]!;
  }

  onChipOpened(): void {
    this.note("opened");
  }

  onChipAnswer(response: Uint8Array): void {
    this.note(Buffer.from(response).toString("hex"));
  }

  onChipClosed(detail: string): void {
    this.note(`closed: ${detail}`);
  }

  private note(what: string): void {
    this.heard.push(this.isInside ? `inside a call: ${what}` : what);
    for (const resolve of this.waiting) resolve();
    this.waiting.clear();
  }
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A peer that does with each chunk what the test says, on a unix socket. */
async function peer(onData: (socket: Socket, chunk: Buffer) => void): Promise<Witness> {
  const folder = mkdtempSync(join(tmpdir(), "azimuth-chip-"));
  const path = join(folder, "socket");
  const server: Server = createServer((socket) => {
    socket.on("data", (chunk) => onData(socket, Buffer.from(chunk)));
    socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const witness = new Witness({ path });
  cleanups.push(() => {
    witness.chip.abandon();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  witness.call((chip) => chip.open());
  expect(await witness.event(0)).toBe("opened");
  return witness;
}

describe("a software TPM", () => {
  test.each(["unix", "tcp"] as const)("answers over %s, and again after a reopen", async (kind) => {
    const swtpm = await Swtpm[kind]();
    const witness = new Witness(swtpm.place);
    cleanups.push(() => witness.chip.abandon());
    cleanups.push(() => swtpm.stop());
    witness.call((chip) => chip.open());
    expect(await witness.event(0)).toBe("opened");
    witness.call((chip) => chip.send(STARTUP));
    expect(await witness.event(1)).toBe(SUCCESS);
    witness.call((chip) => chip.abandon());
    witness.call((chip) => chip.open());
    expect(await witness.event(2)).toBe("opened");
    witness.call((chip) => chip.send(STARTUP));
    expect(await witness.event(3)).toBe("80010000000a00000100");
    await swtpm.kill();
    expect(await witness.event(4)).toMatch(/^closed: .*(socket|:\d+): closed by the TPM$/);
    witness.call((chip) => chip.open());
    expect(await witness.event(5)).toMatch(
      /^closed: .*ECONNREFUSED: swtpm does not listen there; start it$/,
    );
    expect(witness.heard).toHaveLength(6);
  });

  test("that is not there is told of, with the place", async () => {
    const witness = new Witness({ path: "/nowhere/socket" });
    witness.call((chip) => chip.open());
    expect(await witness.event(0)).toMatch(/^closed: \/nowhere\/socket: ENOENT: swtpm does not/);
    const other = new Witness({ path: `/tmp/${"long".repeat(50)}` });
    other.call((chip) => chip.open());
    expect(await other.event(0)).toStartWith("closed: /tmp/longlong");
  });
});

describe("a response", () => {
  test("in pieces is put together", async () => {
    const witness = await peer((socket) => {
      const bytes = Buffer.from("80020000001000000000000000020000", "hex");
      const next = (at: number) => {
        if (at === bytes.length) return;
        socket.write(bytes.subarray(at, at + 1), () => setImmediate(next, at + 1));
      };
      next(0);
    });
    witness.call((chip) => chip.send(STARTUP));
    expect(await witness.event(1)).toBe("80020000001000000000000000020000");
  });

  const STRANGE = [
    ["with more behind it", `${SUCCESS}00`, "bytes that nobody asked for"],
    ["twice", SUCCESS + SUCCESS, "bytes that nobody asked for"],
    ["of something else", "485454502f312e31", "no TPM answers there"],
    ["of 4097 bytes", "800100001001", "no TPM answers there"],
    ["of no bytes", "800100000000", "no TPM answers there"],
  ] as const;
  test.each(STRANGE)("%s ends the connection", async (_name, hex, detail) => {
    const witness = await peer((socket) => void socket.write(Buffer.from(hex, "hex")));
    witness.call((chip) => chip.send(STARTUP));
    expect(await witness.event(1)).toEndWith(`socket: ${detail}`);
  });

  test("that nobody asked for ends the connection", async () => {
    const answer = Buffer.from(SUCCESS, "hex");
    const witness = await peer((socket) => {
      socket.write(answer);
      setImmediate(() => setImmediate(() => void socket.write(answer)));
    });
    witness.call((chip) => chip.send(STARTUP));
    expect(await witness.event(1)).toBe(SUCCESS);
    expect(await witness.event(2)).toEndWith("bytes that nobody asked for");
  });

  test("that comes after the connection was given up is not heard", async () => {
    const asked = Promise.withResolvers<Socket>();
    const witness = await peer((socket) => asked.resolve(socket));
    witness.call((chip) => chip.send(STARTUP));
    const socket = await asked.promise;
    witness.call((chip) => chip.abandon());
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.write(Buffer.from(SUCCESS, "hex"));
    await closed;
    expect(witness.heard).toEqual(["opened"]);
  });

  test("may be the peer's end of it", async () => {
    const witness = await peer((socket) => void socket.destroy());
    witness.call((chip) => chip.send(STARTUP));
    expect(await witness.event(1)).toMatch(/: closed by the TPM$|: ECONNRESET$/);
  });
});

test("a command that the socket does not take at once is sent all the same", async () => {
  let received = 0;
  const witness = await peer((socket, chunk) => {
    received += chunk.length;
    if (received === commands) socket.write(Buffer.from(SUCCESS, "hex"));
  });
  // As large as no command is, so that the socket has to stop in the middle.
  const commands = 8 * 1024 * 1024;
  const command = new Uint8Array(commands);
  witness.call((chip) => chip.send(command));
  command.fill(1);
  expect(await witness.event(1)).toBe(SUCCESS);
});

test("what an event throws ends the process", async () => {
  const source = `
    import { createServer } from "node:net";
    import { SocketChip } from ${JSON.stringify(join(import.meta.dir, "../../src/port/swtpm.ts"))};
    const server = createServer().listen(0, "127.0.0.1", () => {
      const chip = new SocketChip({
        onChipOpened() { throw new Error("broken"); },
        onChipAnswer() {},
        onChipClosed() {},
      }, { host: "127.0.0.1", port: server.address().port });
      chip.open();
    });`;
  const child = Bun.spawn([process.execPath, "-e", source], { stderr: "pipe" });
  expect(await child.exited).toBe(1);
  expect(await child.stderr.text()).toContain("broken");
});
