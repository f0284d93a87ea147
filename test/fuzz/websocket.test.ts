// Tests of the command that fuzzes the readers of WebSocket frames; and these readers beside
// Bun's own WebSocket client.
// Neighbours: `websocket.ts` and what it uses.
// Invariant: a few thousand inputs; `make fuzz` has the millions.

import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { createServer } from "node:net";
import { join } from "node:path";
import { acceptText } from "../../src/codec/upgrade.ts";
import { FrameReader, FrameResult } from "../../src/codec/websocket.ts";
import { Prng } from "../../src/kit/prng.ts";
import { frame, legalFrames } from "./frames.ts";
import { mutant } from "./mutant.ts";

function run(...words: readonly string[]) {
  const command = [process.execPath, join(import.meta.dir, "websocket.ts"), ...words];
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  return { exitCode, output: stdout.toString(), errors: stderr.toString() };
}

test("reader and judge agree, and each accepts something", () => {
  const { exitCode, output, errors } = run("--count", "10000", "--seed", "7");
  expect([exitCode, errors]).toEqual([0, ""]);
  expect(output).toStartWith("websocket fuzz: 10000 inputs, seed 7, accepted ");
  expect(output).toMatch(/accepted \d{3,} frames, \d{3,} heads, 0 failures, [\d.]+ s\n$/);
});

test("the same seed gives the same run; what it does not understand it says", () => {
  const counts = () => run("--count", "1000", "--seed", "8").output.replace(/[\d.]+ s\n$/, "");
  expect(counts()).toBe(counts());
  expect(run("--count", "many")).toMatchObject({ exitCode: 2 });
  expect(run("--cuont", "1").errors).toStartWith("usage: websocket.ts [--count N] [--seed N]: ");
});

/** Data and close code that our reader takes; undefined when it refuses or hears no close. */
function read(stream: Uint8Array): [data: string, close: number] | undefined {
  const reader = new FrameReader(100_000);
  const data: Uint8Array[] = [];
  reader.feed(stream, 0);
  for (;;) {
    const result = reader.next();
    if (result === FrameResult.DATA) data.push(stream.slice(reader.start, reader.end));
    if (result === FrameResult.CLOSE) {
      return [Buffer.concat(data).toString("hex"), reader.closeCode];
    }
    if (result === FrameResult.MORE || result === FrameResult.REFUSED) return undefined;
  }
}

/** What Bun's WebSocket client takes from a server that sends that stream. */
async function bunReads(stream: Buffer): Promise<[data: string, close: number]> {
  const server = createServer((socket) => {
    socket
      .on("error", () => {})
      .once("data", (head) => {
        const key = /sec-websocket-key: (.*)\r\n/i.exec(`${head}`)![1]!;
        const accept = createHash("sha1").update(acceptText(key)).digest("base64");
        socket.write(
          "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
            `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
        );
        socket.write(stream);
      });
  });
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as { port: number }).port}`);
  client.binaryType = "nodebuffer";
  const data: Buffer[] = [];
  client.onmessage = (event) => void data.push(event.data as Buffer);
  const closed = Promise.withResolvers<number>();
  client.onclose = ({ code }) => closed.resolve(code);
  const code = await closed.promise;
  server.close();
  return [Buffer.concat(data).toString("hex"), code];
}

test("what our reader accepts Bun's client accepts alike", async () => {
  const prng = new Prng(17);
  let accepted = 0;
  while (accepted < 100) {
    const base = Buffer.concat([legalFrames(prng), frame(0x88, Buffer.of(3, 232))]);
    const stream = mutant(base, prng);
    const expected = read(stream);
    if (expected === undefined) continue;
    accepted++;
    expect(await bunReads(stream)).toEqual(expected);
  }
});
