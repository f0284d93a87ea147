// Tests of src/core/websocket.ts over real sockets: against Bun's own WebSocket server and against
// local Azure, directly and through a proxy.
// Neighbours: core/websocket.test.ts has every cell; uplink.ts the witness.
// Invariant: the servers share no code with the product.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { TLSSocket } from "node:tls";
import type { Server, ServerWebSocket, WebSocketHandler } from "bun";
import { generate, type IConnackPacket, parser } from "mqtt-packet";
import { WEBSOCKET_PATH } from "../../src/codec/upgrade.ts";
import { Cause, type HttpProxy } from "../../src/core/effects.ts";
import { Prng } from "../../src/kit/prng.ts";
import { makeSas } from "../azure/model/sas.ts";
import { type Emulator, startEmulator } from "../azure/server/emulator.ts";
import { Authority, type Identity } from "./certificates.ts";
import { closeServers, secure, WAYS, Witness } from "./uplink.ts";

let authority: Authority;
let good: Identity;
let proxy: HttpProxy | null = null;
let server: Server<undefined> | undefined;

beforeAll(() => {
  authority = new Authority("Test Authority");
  good = authority.leaf("good", "DNS:localhost");
});

afterAll(() => authority.remove());

afterEach(() => {
  server?.stop(true);
  server = undefined;
  closeServers();
});

/** Bun's own server, which takes that `protocol` whatever it is asked for. */
function serve(websocket: WebSocketHandler<undefined>, protocol = "mqtt"): number {
  server = Bun.serve<undefined>({
    hostname: "127.0.0.1",
    port: 0,
    tls: good,
    websocket,
    fetch(request, own) {
      const headers = { "sec-websocket-protocol": protocol };
      if (own.upgrade(request, { headers, data: undefined })) return undefined;
      return new Response("no", { status: 426 });
    },
  });
  return server.port!;
}

function opened(port: number, path = WEBSOCKET_PATH, roots = authority.pem): Witness {
  const witness = new Witness(proxy, path);
  witness.open(port, roots);
  return witness;
}

describe.each(WAYS)("Bun's server, reached %s", (_, way) => {
  beforeEach(async () => {
    proxy = await way();
  });
  afterEach(() => {
    proxy = null;
  });

  test("bytes go both ways, pings among them are answered, an end closes cleanly", async () => {
    const pongs: string[] = [];
    const { promise: closed, resolve } = Promise.withResolvers<number>();
    const port = serve({
      message(socket: ServerWebSocket<undefined>, message) {
        expect(typeof message).toBe("object");
        socket.ping("are you there");
        socket.sendBinary(Buffer.from(`<${message}>`));
      },
      pong: (_socket, data) => void pongs.push(`${data}`),
      close: (_socket, code) => resolve(code),
    });
    const witness = opened(port);
    expect(witness.write(Buffer.from("too early"))).toBe(0);
    await witness.until("secured");
    expect(witness.write(Buffer.from("..hello.."), 2, 7)).toBe(5);
    await witness.until("data");
    expect(witness.text()).toBe("<hello>");
    witness.end();
    expect(await closed).toBe(1000);
    await witness.until("closed");
    expect(pongs).toEqual(["are you there"]);
    expect(witness.story()).toBe("opened secured data closed");
    expect(witness.cause).toBe(Cause.CLOSED_BY_PEER);
  });

  test("5 MB there and back arrive unchanged, through full sockets", async () => {
    const bytesMax = 1024 * 1024;
    const waiting: Buffer[] = [];
    const send = (socket: ServerWebSocket<undefined>) => {
      while (waiting.length > 0 && socket.getBufferedAmount() < bytesMax) {
        socket.sendBinary(waiting.shift()!);
      }
    };
    const port = serve({
      maxPayloadLength: 2 * bytesMax,
      message(socket, message) {
        waiting.push(Buffer.from(message as Buffer));
        send(socket);
      },
      drain: send,
    });
    const prng = new Prng(1);
    const bytes = new Uint8Array(5 * bytesMax).map(() => prng.next32());
    const witness = new Witness(proxy, WEBSOCKET_PATH);
    const back = createHash("sha256");
    let sent = 0;
    let received = 0;
    const { promise: done, resolve } = Promise.withResolvers<void>();
    witness.onEvent = (name) => {
      if (name === "data") {
        const chunk = witness.data.pop()!;
        back.update(chunk);
        received += chunk.length;
        if (received >= bytes.length) resolve();
      }
      if (name !== "secured" && name !== "writable") return;
      for (let taken = 1; taken > 0; sent += taken)
        taken = witness.write(bytes, sent, bytes.length);
    };
    witness.open(port, authority.pem);
    await done;
    expect(received).toBe(bytes.length);
    expect(back.digest("hex")).toBe(createHash("sha256").update(bytes).digest("hex"));
    witness.abort();
  });

  test("a text message ends it", async () => {
    const { promise: closed, resolve } = Promise.withResolvers<number>();
    const open = (socket: ServerWebSocket<undefined>) => void socket.sendText("hello");
    const port = serve({ open, message() {}, close: (_socket, code) => resolve(code) });
    const witness = opened(port);
    await witness.until("closed");
    expect([witness.cause, witness.detail]).toEqual([Cause.WEBSOCKET_BROKEN, "a text frame"]);
    expect(await closed).toBe(1002);
  });

  test("a close by the server is told with its code and words", async () => {
    const open = (socket: ServerWebSocket<undefined>) => void socket.close(1001, "restart");
    const witness = opened(serve({ open, message() {} }));
    await witness.until("closed");
    expect(witness.cause).toBe(Cause.CLOSED_BY_PEER);
    expect(witness.detail).toBe("WebSocket close 1001: restart");
  });

  test("a server that takes another subprotocol", async () => {
    const witness = opened(serve({ message() {} }, "amqp"));
    await witness.until("closed");
    expect(witness.story()).toBe("opened closed");
    expect(witness.detail).toBe("subprotocol mqtt not taken");
  });
});

describe("servers that open no WebSocket", () => {
  function saying(text: string): Promise<number> {
    return secure((socket: TLSSocket) => socket.once("data", () => socket.write(text)), good);
  }

  test.each([
    ["HTTP/1.1 404 Not Found\r\n\r\n", "WEBSOCKET_NOT_FOUND 404 Not Found"],
    ["HTTP/1.1 403 Forbidden\r\n\r\n", "WEBSOCKET_FORBIDDEN 403 Forbidden"],
    ["HTTP/1.1 503 \r\n\r\n", "WEBSOCKET_REFUSED 503"],
    ["MQTT\r\n\r\n", "WEBSOCKET_BROKEN no HTTP answer"],
  ])("%j", async (text, expected) => {
    const witness = opened(await saying(text));
    await witness.until("closed");
    expect(`${Cause[witness.cause]} ${witness.detail}`).toBe(expected);
    expect(witness.story()).toBe("opened closed");
  });

  test("one that is not trusted never hears the request", async () => {
    let heard = 0;
    const count = (socket: TLSSocket) => void socket.on("data", ({ length }) => (heard += length));
    const stranger = new Authority("Another Authority");
    const witness = opened(await secure(count, good), WEBSOCKET_PATH, stranger.pem);
    stranger.remove();
    await witness.until("closed");
    expect(witness.cause).toBe(Cause.TLS_ISSUER_UNKNOWN);
    expect(heard).toBe(0);
  });
});

describe.each(WAYS)("local Azure, reached %s", (_, way) => {
  const KEY = Buffer.alloc(32, 7).toString("base64");
  let emulator: Emulator;

  beforeAll(() => {
    emulator = startEmulator();
    const symmetricKey = { primaryKey: KEY, secondaryKey: "" };
    emulator.hub.createDevice("d1", { authentication: { type: "sas", symmetricKey } });
  });
  afterAll(() => emulator.stop());
  beforeEach(async () => {
    proxy = await way();
  });
  afterEach(() => {
    proxy = null;
  });

  const roots = () => readFileSync(emulator.ready.caFile, "utf8");

  test("CONNECT is answered over the WebSocket", async () => {
    const { httpsPort, hubName } = emulator.ready;
    const witness = opened(httpsPort, WEBSOCKET_PATH, roots());
    await witness.until("secured");
    const token = makeSas(`${hubName}/devices/d1`, Math.floor(Date.now() / 1000) + 60, KEY);
    const connect = generate({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: 4,
      clean: true,
      clientId: "d1",
      keepalive: 60,
      username: `${hubName}/d1/?api-version=2021-04-12`,
      password: Buffer.from(token),
    });
    expect(witness.write(connect, 0, 9)).toBe(9);
    expect(witness.write(connect, 9)).toBe(connect.length - 9);
    await witness.until("data");
    const reader = parser({ protocolVersion: 4 });
    const seen: IConnackPacket[] = [];
    reader.on("packet", (packet) => seen.push(packet as IConnackPacket));
    reader.parse(Buffer.concat(witness.data));
    expect(seen).toMatchObject([{ cmd: "connack", returnCode: 0 }]);
    witness.write(generate({ cmd: "disconnect" }));
    witness.end();
    await witness.until("closed");
    expect(witness.cause).toBe(Cause.CLOSED_BY_PEER);
  });

  test("another path is no WebSocket", async () => {
    const witness = opened(emulator.ready.httpsPort, "/elsewhere", roots());
    await witness.until("closed");
    expect(witness.cause).toBe(Cause.WEBSOCKET_NOT_FOUND);
  });
});
