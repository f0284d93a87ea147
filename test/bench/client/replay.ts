// Replay: what the agent said to DPS and to the hub, once more, over bare sockets: the floor of
// its time on the network.
// Neighbours: `provision` has recorded it and measures both in one process.
// Invariant: each exchange has a TLS connection of its own, as the agent's had; the same bytes.

import type { WebRequest } from "../../../src/core/effects.ts";

/** Where to, and by which authority. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly ca: string;
}

/** From the dial to an answer that is whole: ms, and its text. */
export interface Heard {
  readonly ms: number;
  readonly text: string;
}

/** Says `bytes` and listens until `isWhole`. */
export async function exchange(
  { host, port, ca }: Target,
  bytes: Uint8Array,
  isWhole: (text: string) => boolean,
): Promise<Heard> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const startMs = performance.now();
  let text = "";
  const socket = await Bun.connect({
    hostname: host,
    port,
    tls: { ca, serverName: host },
    socket: {
      handshake: (opened) => void opened.write(bytes),
      data(_opened, chunk) {
        text += chunk.toString("latin1");
        if (isWhole(text)) resolve(text);
      },
      close: () => reject(new Error("the floor got no answer")),
    },
  });
  await promise;
  const ms = performance.now() - startMs;
  socket.terminate();
  return { ms, text };
}

/** True when body and all are there. */
export function isHttp(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = Number(/content-length: *(\d+)/i.exec(text)?.[1] ?? 0);
  return text.length >= end + 4 + length;
}

/** A request as bytes; `operation` takes the place of the one that it asks for. */
export function httpBytes(request: WebRequest, operation: string): Uint8Array {
  const { method, host, port, authorization, body } = request;
  const path = request.path.replace(/operations\/[^?]+/, `operations/${operation}`);
  const lines = [`${method} ${path} HTTP/1.1`, `Host: ${host}:${port}`, "Connection: close"];
  if (authorization !== "") lines.push(`Authorization: ${authorization}`);
  if (body !== "") lines.push("Content-Type: application/json");
  lines.push(`Content-Length: ${Buffer.byteLength(body)}`);
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}`);
}

/** Median of so many exchanges, ms, and what the last of them was answered. */
export async function floor(
  times: number,
  target: Target,
  bytes: Uint8Array,
  isWhole: (text: string) => boolean,
): Promise<Heard> {
  const all: Heard[] = [];
  for (let left = times; left > 0; left--) all.push(await exchange(target, bytes, isWhole));
  const sorted = all.map(({ ms }) => ms).sort((a, b) => a - b);
  return { ms: sorted[times >> 1]!, text: all.at(-1)!.text };
}

/**
 * The requests of one registration, in an order that the service takes again: a new challenge
 * would make the token worthless, so it comes last. The sum of their medians, ms.
 */
export async function webFloor(
  times: number,
  requests: readonly WebRequest[],
  ca: string,
): Promise<number> {
  let operation = "";
  let sumMs = 0;
  const signed = requests.filter((request) => request.authorization !== "");
  const bare = requests.filter((request) => request.authorization === "");
  for (const request of [...signed, ...bare]) {
    const { host, port } = request;
    const bytes = httpBytes(request, operation);
    const { ms, text } = await floor(times, { host, port, ca }, bytes, isHttp);
    operation = /"operationId": *"([^"]+)"/.exec(text)?.[1] ?? operation;
    const expected = request.authorization === "" ? /^HTTP\S+ 401/ : /^HTTP\S+ 20/;
    if (!expected.test(text)) throw new Error(`the floor: ${text.slice(0, 20)}`);
    sumMs += ms;
  }
  return sumMs;
}
