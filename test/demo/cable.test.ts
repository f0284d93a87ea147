// Tests of cable: both ways are cut and laid together, and keep their ports.
// Neighbours: cable.ts; relay.test.ts tests how one way carries bytes.
// Invariant: everything on loopback, on free ports, closed after the test.

import { afterAll, expect, test } from "bun:test";
import { connect, createServer, type Server } from "node:net";
import { Cable } from "./cable.ts";

const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

/** A server that answers with `word`; its port. */
async function answering(word: string): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => socket.end(word));
  });
  servers.push(server);
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  return (server.address() as { port: number }).port;
}

/** What is answered at `port`, or the errno of the dial. */
function ask(port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(port, "127.0.0.1", () => socket.write("?"));
  let text = "";
  socket.on("data", (bytes) => {
    text += bytes.toString();
  });
  socket.on("end", () => resolve(text));
  socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
  return promise;
}

test("hub and DPS are reached, lost and found again together", async () => {
  const cable = new Cable(await answering("hub"), await answering("web"));
  await cable.plug();
  const ports = [cable.hub.port, cable.web.port];
  const answers = () => Promise.all(ports.map(ask));
  try {
    expect(await answers()).toEqual(["hub", "web"]);
    expect([cable.isPlugged, cable.otherCount]).toEqual([true, 2]);
    cable.pull();
    expect(cable.isPlugged).toBe(false);
    expect(await answers()).toEqual(["ECONNREFUSED", "ECONNREFUSED"]);
    await cable.plug();
    expect([cable.hub.port, cable.web.port]).toEqual(ports);
    expect(await answers()).toEqual(["hub", "web"]);
  } finally {
    cable.pull();
  }
});
