// Tests of relay: bytes pass, a pulled cable cuts and refuses, a plugged one is found again.
// Neighbours: relay.ts.
// Invariant: everything on loopback, on free ports, closed after each test.

import { afterEach, expect, test } from "bun:test";
import { connect, createServer, type Server, type Socket } from "node:net";
import { Relay } from "./relay.ts";

const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

/** A server that sends back what it gets, and a relay before it. */
async function cable(): Promise<{ relay: Relay; accepted: Socket[] }> {
  const accepted: Socket[] = [];
  const server: Server = createServer((socket) => {
    accepted.push(socket);
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const relay = new Relay((server.address() as { port: number }).port);
  await relay.plug();
  open.push({ close: () => relay.pull() }, server);
  return { relay, accepted };
}

/** The errno of a dial, or "" when it connects. */
function dial(relay: Relay, host = "127.0.0.1"): Promise<{ socket: Socket; code: string }> {
  const socket = connect(relay.port, host);
  open.push({ close: () => socket.destroy() });
  const { promise, resolve } = Promise.withResolvers<{ socket: Socket; code: string }>();
  socket.on("connect", () => resolve({ socket, code: "" }));
  socket.on("error", (error: NodeJS.ErrnoException) => resolve({ socket, code: error.code ?? "" }));
  return promise;
}

/** Everything that comes until there are `count` bytes. */
function receive(socket: Socket, count: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    const all = Buffer.concat(chunks);
    if (all.length >= count) resolve(all);
  });
  return promise;
}

function ended(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (socket.destroyed) resolve();
  socket.on("close", () => resolve());
  socket.resume();
  return promise;
}

test("a megabyte passes unchanged, there and back", async () => {
  const { relay } = await cable();
  const { socket } = await dial(relay);
  const sent = Buffer.alloc(1 << 20);
  for (let at = 0; at < sent.length; at++) sent[at] = (at * 31) >> 3;
  const received = receive(socket, sent.length);
  socket.write(sent);
  expect((await received).equals(sent)).toBe(true);
});

test("pulled, both ends lose the connection and a dial is refused", async () => {
  const { relay, accepted } = await cable();
  const { socket } = await dial(relay);
  const echo = receive(socket, 1);
  socket.write("x");
  await echo;
  const far = ended(accepted[0]!);
  relay.pull();
  await Promise.all([ended(socket), far]);
  expect((await dial(relay)).code).toBe("ECONNREFUSED");
  expect(relay.isPlugged).toBe(false);
});

test("plugged again, it is found under the same port, as often as one likes", async () => {
  const { relay } = await cable();
  const { port } = relay;
  for (let round = 0; round < 3; round++) {
    relay.pull();
    await relay.plug();
    expect(relay.port).toBe(port);
    const { socket, code } = await dial(relay);
    expect(code).toBe("");
    const echo = receive(socket, 2);
    socket.write("ok");
    expect((await echo).toString()).toBe("ok");
  }
});

test("TLS is told from anything else by its first bytes; silence is neither", async () => {
  const { relay, accepted } = await cable();
  await dial(relay);
  const tls = (await dial(relay)).socket;
  const first = receive(tls, 3);
  tls.write(Buffer.from([0x16, 3, 1]));
  await first;
  const text = (await dial(relay)).socket;
  const second = receive(text, 3);
  text.write("GET");
  await second;
  expect([relay.tlsCount, relay.otherCount, accepted.length]).toEqual([1, 1, 2]);
});

test("when one end closes the other is closed, too", async () => {
  const { relay, accepted } = await cable();
  const { socket } = await dial(relay);
  const echo = receive(socket, 1);
  socket.write("x");
  await echo;
  accepted[0]!.end();
  await ended(socket);
  expect(socket.destroyed).toBe(true);
});
