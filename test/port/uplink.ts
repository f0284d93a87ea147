// A witness to the uplink port and the peers it is tested against.
// Neighbours: tls.test.ts and reconnect.test.ts; node:tls and node:net play the peers.
// Invariant: an event that comes from inside a call into the port goes on record as such, so
// that no expectation of a test matches it.

import { connect, createServer as createPlainServer, type Server, type Socket } from "node:net";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import {
  Cause,
  type HttpProxy,
  type Shown,
  type Uplink,
  type UplinkEvents,
} from "../../src/core/effects.ts";
import { ConnectProxy } from "../../src/core/proxy.ts";
import { WebSocketUplink } from "../../src/core/websocket.ts";
import { TimerAlarm } from "../../src/port/alarm.ts";
import { SystemClock } from "../../src/port/clock.ts";
import { Dialer } from "../../src/port/dial.ts";
import { SystemEntropy } from "../../src/port/entropy.ts";
import { Tls } from "../../src/port/tls.ts";

const servers: Server[] = [];

/** The port under test with its events on record. */
export class Witness implements UplinkEvents {
  readonly heard: string[] = [];
  readonly data: Uint8Array[] = [];
  cause = Cause.NONE;
  detail = "";
  onEvent: (name: string) => void = () => {};
  private isInside = false;
  private readonly waiting = new Set<() => void>();
  private readonly uplink: Uplink;
  private tls: Tls | null = null;

  /**
   * @param path of the WebSocket that the bytes go over; "" for TLS itself
   * @param shown the certificate that the port shows
   */
  constructor(
    proxy: HttpProxy | null = null,
    private readonly path = "",
    shown: Shown = {},
  ) {
    const secure = (events: UplinkEvents) => {
      this.tls = new Tls(events, new Dialer(proxy).open, shown);
      return this.tls;
    };
    const alarm = (onAlarm: () => void) => new TimerAlarm(onAlarm);
    this.uplink =
      path === ""
        ? secure(this)
        : new WebSocketUplink(this, secure, alarm, new SystemClock(), new SystemEntropy());
  }

  /** The next handshake is a whole one. */
  forget(): void {
    this.tls?.forget();
  }

  open(port: number, roots: string, host = "localhost"): void {
    const target = { host, port, roots };
    const { path } = this;
    this.call(() => this.uplink.open(path === "" ? target : { ...target, webSocketPath: path }));
  }

  write(bytes: Uint8Array, start = 0, end = bytes.length): number {
    return this.call(() => this.uplink.write(bytes, start, end));
  }

  end(): void {
    this.call(() => this.uplink.end());
  }

  abort(): void {
    this.call(() => this.uplink.abort());
  }

  /** Resolves when `name` is on record at position `from` or later. */
  async until(name: string, from = 0): Promise<void> {
    while (!this.heard.includes(name, from)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.waiting.add(resolve);
      await promise;
    }
  }

  onOpened(): void {
    this.note("opened");
  }

  onSecured(): void {
    this.note("secured");
  }

  onData(chunk: Uint8Array): void {
    this.data.push(chunk);
    this.note("data");
  }

  onWritable(): void {
    this.note("writable");
  }

  onClosed(cause: Cause, detail: string): void {
    this.cause = cause;
    this.detail = detail;
    this.note("closed");
  }

  text(): string {
    return Buffer.concat(this.data).toString();
  }

  /** The events in order, without the writable ones, which may come at any time. */
  story(): string {
    return this.heard.filter((name) => name !== "writable").join(" ");
  }

  private call<T>(step: () => T): T {
    this.isInside = true;
    const result = step();
    this.isInside = false;
    return result;
  }

  private note(name: string): void {
    this.heard.push(this.isInside ? `${name} from inside a call` : name);
    for (const resolve of this.waiting) resolve();
    this.waiting.clear();
    this.onEvent(name);
  }
}

/** Listens on a free port of the loopback until `closeServers`. */
export async function listening(server: Server): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  servers.push(server);
  return (server.address() as { port: number }).port;
}

/** A TLS server, half-open sockets allowed. */
export function secure(
  onSocket: (socket: TLSSocket) => void,
  options: TlsOptions,
): Promise<number> {
  const server = createServer({ allowHalfOpen: true, ...options }, (socket) => {
    socket.on("error", () => {});
    onSocket(socket);
  });
  server.on("tlsClientError", () => {});
  return listening(server);
}

/** A TCP server that speaks no TLS of its own. */
export function plain(onSocket: (socket: Socket) => void): Promise<number> {
  return listening(
    createPlainServer((socket) => {
      socket.on("error", () => {});
      onSocket(socket);
    }),
  );
}

/** The proxy at a port of the loopback. */
export function proxyAt(port: number, user = "", password = ""): ConnectProxy {
  return new ConnectProxy({ host: "127.0.0.1", port, user, password });
}

const OPEN = "HTTP/1.1 200 Connection established\r\nProxy-Agent: relay\r\n\r\n";

/**
 * A proxy that opens every tunnel, to this machine, and closes and resets each side as the other;
 * `isTorn` has its answer come byte by byte behind an interim one.
 */
export function relay(isTorn = false): Promise<number> {
  const onRequest = (near: Socket, port: number): void => {
    const far = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    far.once("connect", async () => {
      if (!isTorn) near.write(OPEN);
      for (const byte of isTorn ? Buffer.from(`HTTP/1.1 100 \r\n\r\n${OPEN}`) : []) {
        near.write(Buffer.of(byte));
        await Bun.sleep(0);
      }
      near.pipe(far);
      far.pipe(near);
    });
    near.on("error", () => far.resetAndDestroy()).on("close", () => far.destroy());
    far.on("error", () => near.resetAndDestroy()).on("close", () => near.destroySoon());
  };
  const server = createPlainServer({ allowHalfOpen: true }, (near) => {
    near.on("error", () => {});
    near.once("data", (head) => {
      const port = /^CONNECT [^ ]+:(\d+) HTTP\/1\.1\r\n/.exec(`${head}`)?.[1];
      if (port === undefined) near.end("HTTP/1.1 400 Bad Request\r\n\r\n");
      else onRequest(near, Number(port));
    });
  });
  return listening(server);
}

/** How a test gets to its servers. */
export const WAYS: readonly (readonly [string, () => Promise<HttpProxy | null>])[] = [
  ["directly", async () => null],
  ["through a proxy", async () => proxyAt(await relay())],
];

/** Closes every server that was started. */
export function closeServers(): void {
  for (const server of servers.splice(0)) server.close();
}
