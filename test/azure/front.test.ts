/**
 * TLS in front of the HTTP server: who is behind a request, and that bytes pass whole and in order
 * whatever the pace. Neighbours: `server/front.ts`; the inner server here is the test's own.
 * Invariant: every wait ends with bytes or the end of a socket.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect as connectPlain, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import type { TCPSocketListener } from "bun";
import { Issuer } from "./issuer.ts";
import { credentials } from "./server/authority.ts";
import { Front } from "./server/front.ts";

const BIG = Buffer.alloc(20_000_000).map((_, index) => index % 251);
const folder = mkdtempSync(join(tmpdir(), "azure-front-"));
const issuer = new Issuer();
let ca = "";
let front: Front;
let listener: TCPSocketListener<unknown>;

const inner = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request, server) {
    const { port } = server.requestIP(request)!;
    const { pathname } = new URL(request.url);
    if (pathname === "/big") return new Response(BIG);
    if (pathname === "/echo") return new Response(await request.arrayBuffer());
    const caller = front.caller(port);
    const chain = caller?.peer?.chain.map((der) => Buffer.from(der).toString("base64"));
    return Response.json({ port, remote: caller?.remote ?? null, chain: chain ?? null });
  },
});

beforeAll(() => {
  const made = credentials(folder, [], "ec");
  ca = readFileSync(made.caFile, "utf8");
  front = new Front(made, inner.port!);
  listener = front.listen("127.0.0.1", 0);
});

afterAll(() => {
  listener.stop(true);
  inner.stop(true);
  issuer.remove();
  rmSync(folder, { recursive: true, force: true });
});

const url = (path: string): string => `https://localhost:${listener.port}${path}`;

async function open(): Promise<TLSSocket> {
  const target = { host: "127.0.0.1", port: listener.port, ca, servername: "localhost" };
  const socket = connect(target);
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  return socket;
}

/** The end of a socket, in peace or not. */
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once("close", () => resolve()));

const get = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;

describe("who is behind a request", () => {
  test("is known with and without a certificate", async () => {
    const bare = (await (await fetch(url("/"), { tls: { ca } })).json()) as object;
    expect(bare).toMatchObject({ remote: "127.0.0.1", chain: null });
    const { middle } = issuer.authorities("lab");
    const device = issuer.make("d1", middle);
    const tls = { ca, ...device.shown(1) };
    const shown = (await (await fetch(url("/"), { tls })).json()) as object;
    const chain = [device.der, middle.der].map((der) => der.toString("base64"));
    expect(shown).toMatchObject({ remote: "127.0.0.1", chain });
  });

  test("is known on a resumed session too", async () => {
    const { cert, key } = issuer.make("d2").shown();
    let session: Buffer | undefined;
    const answers: string[] = [];
    const isReused: boolean[] = [];
    for (let round = 0; round < 2; round++) {
      const target = { host: "127.0.0.1", port: listener.port, ca, servername: "localhost" };
      const socket = connect({ ...target, cert, key, ...(session && { session }) });
      socket.on("session", (fresh) => {
        session = fresh;
      });
      let text = "";
      socket.on("data", (bytes) => {
        text += bytes.toString();
        isReused[round] = socket.isSessionReused();
      });
      socket.write(get("/"));
      await closed(socket);
      answers.push(JSON.parse(text.split("\r\n\r\n")[1]!).chain[0]);
    }
    expect(isReused[1]).toBe(true);
    expect(answers[0]).toBe(answers[1]!);
  });

  test("is nobody when the inner port is called directly", async () => {
    const answer = await fetch(`http://127.0.0.1:${inner.port}/`);
    expect((await answer.json()) as object).toMatchObject({ remote: null });
  });

  test("is forgotten when the connection ends", async () => {
    const socket = await open();
    let text = "";
    socket.on("data", (bytes) => {
      text += bytes.toString();
    });
    socket.write(get("/"));
    await closed(socket);
    const { port } = JSON.parse(text.split("\r\n\r\n")[1]!) as { port: number };
    expect(port).toBeGreaterThan(0);
    expect(front.caller(port)).toBeUndefined();
  });
});

describe("bytes", () => {
  test("of a large body go there and back", async () => {
    const body = new Uint8Array(5_000_000).map((_, index) => index % 251);
    const answer = await fetch(url("/echo"), { method: "POST", body, tls: { ca } });
    expect(Buffer.from(await answer.arrayBuffer()).equals(Buffer.from(body))).toBe(true);
  });

  test("wait for a client that does not read, and come whole and in order", async () => {
    const socket = await open();
    socket.pause();
    socket.write(get("/big"));
    // Another request runs meanwhile: nobody waits for the slow one.
    expect((await fetch(url("/"), { tls: { ca } })).status).toBe(200);
    const parts: Buffer[] = [];
    socket.on("data", (bytes: Buffer) => parts.push(bytes));
    socket.resume();
    await closed(socket);
    const raw = Buffer.concat(parts);
    const body = raw.subarray(raw.indexOf("\r\n\r\n") + 4);
    expect(body.equals(BIG)).toBe(true);
  });
});

describe("a connection", () => {
  test("that is no TLS ends", async () => {
    const socket = connectPlain(listener.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(get("/"));
    socket.resume();
    await closed(socket);
    expect(socket.destroyed).toBe(true);
  });

  test("that the client drops at once leaves nothing behind", async () => {
    for (let round = 0; round < 20; round++) (await open()).destroy();
    expect((await fetch(url("/"), { tls: { ca } })).status).toBe(200);
  });

  test("ends when the inner server is not there", async () => {
    const gone = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
    const { port } = gone;
    gone.stop(true);
    const other = new Front(credentials(folder, [], "ec"), port!);
    const own = other.listen("127.0.0.1", 0);
    const socket = connect({ host: "127.0.0.1", port: own.port, ca, servername: "localhost" });
    socket.on("error", () => {});
    socket.resume();
    await closed(socket);
    own.stop(true);
    expect(socket.destroyed).toBe(true);
  });
});
