// The command that fuzzes what reads a WebSocket server's frames, and the HTTP heads before them:
//   bun test/fuzz/websocket.ts [--count 1000000] [--seed N]
// Neighbours: `mutant` damages, `frames` is the second opinion.
// Invariant: prints one line of counts and the seed; exit 0, 1 with a reproducer, 2 on usage.

import { HEAD_BYTES_MAX, Head, HeadResult } from "../../src/codec/head.ts";
import { ProxyAnswer, ProxyOutcome } from "../../src/codec/proxy.ts";
import { UpgradeAnswer, UpgradeOutcome } from "../../src/codec/upgrade.ts";
import { FrameReader, FrameResult } from "../../src/codec/websocket.ts";
import { Prng } from "../../src/kit/prng.ts";
import { judgeFrames, legalFrames, type Said } from "./frames.ts";
import { mutant } from "./mutant.ts";
import { optionsOf } from "./options.ts";

const COUNT_DEFAULT = 1_000_000;
/** Small enough for a mutant to exceed it. */
const BYTES_MAX = 70_000;
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const HEADS = [
  "HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n",
  "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n<html>",
  "HTTP/1.1 100 \r\n\r\nHTTP/1.0 502 Bad Gateway\r\n\r\n",
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${ACCEPT}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`,
].map((text) => Buffer.from(text));

const reader = new FrameReader(BYTES_MAX);

/** Reads in chunks of 1 to `most` bytes. */
function readFrames(stream: Buffer, prng: Prng, most: number): Said {
  const data: Buffer[] = [];
  const pings: string[] = [];
  let close = 0;
  reader.reset();
  for (let at = 0; at < stream.length; ) {
    const chunk = stream.subarray(at, at + 1 + prng.below(most));
    at += chunk.length;
    reader.feed(chunk, 0);
    let result = reader.next();
    for (; result !== FrameResult.MORE && result !== FrameResult.REFUSED; result = reader.next()) {
      if (result === FrameResult.DATA) data.push(chunk.subarray(reader.start, reader.end));
      if (result === FrameResult.CLOSE) close = reader.closeCode;
      if (result !== FrameResult.PING) continue;
      pings.push(Buffer.from(reader.control.subarray(0, reader.controlLength)).toString("hex"));
    }
  }
  const isRefused = reader.problem !== "";
  return { data: Buffer.concat(data).toString("hex"), pings, close, isRefused };
}

/** What all three readers of heads make of a stream in chunks of 1 to `most` bytes. */
function readHead(stream: Buffer, prng: Prng, most: number): string {
  const head = new Head();
  const proxy = new ProxyAnswer();
  const upgrade = new UpgradeAnswer(ACCEPT);
  let result = HeadResult.MORE;
  let taken = 0;
  for (let at = 0; at < stream.length && result === HeadResult.MORE; ) {
    const chunk = stream.subarray(at, at + 1 + prng.below(most));
    at += chunk.length;
    result = head.feed(chunk);
    taken += head.taken;
    upgrade.feed(chunk);
    proxy.feed(chunk.subarray(0, head.taken));
  }
  if (taken > HEAD_BYTES_MAX) return "more than its bound";
  const empty = Buffer.alloc(0);
  const proxied = ProxyOutcome[proxy.feed(empty)];
  const upgraded = UpgradeOutcome[upgrade.feed(empty)];
  return `${HeadResult[result]} ${taken} ${head.statusText} ${proxied} ${upgraded}`;
}

/** "" when all is well with this input; counts what was accepted. */
function trial(kind: "frames" | "heads", prng: Prng, accepted: Map<string, number>): string {
  const base = kind === "frames" ? legalFrames(prng) : HEADS[prng.below(HEADS.length)]!;
  const bytes = mutant(base, prng);
  const fail = (what: string) => `${kind}: ${what}: ${bytes.toString("hex")}`;
  const count = (name: string) => accepted.set(name, (accepted.get(name) ?? 0) + 1);
  try {
    if (kind === "heads") {
      const whole = readHead(bytes, prng, 1 + bytes.length);
      const torn = readHead(bytes, prng, 1 + prng.below(9));
      if (torn !== whole) return fail(`whole ${whole}, torn ${torn}`);
      if (whole.startsWith("WHOLE")) count(kind);
      return whole.startsWith("more") ? fail(whole) : "";
    }
    const expected = JSON.stringify(judgeFrames(bytes, BYTES_MAX));
    for (const most of [1 + bytes.length, 1 + prng.below(9)]) {
      const seen = JSON.stringify(readFrames(bytes, prng, most));
      if (seen !== expected) return fail(`read ${seen}, judged ${expected}`);
    }
    if (reader.problem === "") count(kind);
    return "";
  } catch (error) {
    return fail(`an exception: ${String(error)}`);
  }
}

const { count, seed } = optionsOf("websocket.ts", COUNT_DEFAULT);
const prng = new Prng(seed);
const accepted = new Map<string, number>();
const startedMs = performance.now();
for (let done = 0; done < count; done++) {
  const failure = trial(done % 4 === 3 ? "heads" : "frames", prng, accepted);
  if (failure === "") continue;
  console.error(failure);
  console.error(`seed ${seed}, input ${done}`);
  process.exit(1);
}
const counts = [...accepted].map(([name, times]) => `${times} ${name}`).join(", ");
const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
console.log(
  `websocket fuzz: ${count} inputs, seed ${seed}, accepted ${counts}, 0 failures, ${seconds} s`,
);
