/**
 * TLS in front of the HTTP server. Bun's HTTP server keeps client certificates to itself, a plain
 * TLS listener shows them; so TLS ends here, and bytes go on to an HTTP server on the loopback.
 * Neighbours: `https.ts` asks who is behind a request. Invariant: the inner server hears of each
 * connection by its local port, so a connection that did not come through here is known as such;
 * a side that does not read stops the other, so nothing piles up.
 */
import type { Socket, TCPSocketListener } from "bun";
import type { Peer } from "../model/peer.ts";
import type { Credentials } from "./authority.ts";
import { ASK_FOR_CERTIFICATE, peerOf } from "./peer.ts";

const INNER_HOST = "127.0.0.1";
const HANDSHAKE_MS = 30_000;
const TLS_1_2 = 0x0303;

/** Who is behind a connection. */
export interface Caller {
  /** Address for the log. */
  remote: string;
  peer: Peer | undefined;
}

/** One end of a connection: what waits to be written, and the end that it came from. */
class End {
  socket: Socket<End> | undefined;
  other: End | undefined;
  private waiting: Uint8Array[] = [];
  private isEnding = false;

  write(bytes: Uint8Array): void {
    const isClear = this.waiting.length === 0 && this.socket !== undefined;
    const taken = isClear ? Math.max(0, this.socket!.write(bytes)) : 0;
    if (taken === bytes.length) return;
    this.waiting.push(bytes.subarray(taken));
    this.other?.socket?.pause();
  }

  /** Writes what waits; then the other end may go on. */
  drain(): void {
    while (this.waiting.length > 0) {
      const bytes = this.waiting[0]!;
      const taken = Math.max(0, this.socket!.write(bytes));
      if (taken < bytes.length) {
        this.waiting[0] = bytes.subarray(taken);
        return;
      }
      this.waiting.shift();
    }
    if (this.isEnding) this.socket?.end();
    else this.other?.socket?.resume();
  }

  /** Nobody is left to hear. */
  abandon(): void {
    this.isEnding = true;
    this.waiting.length = 0;
    this.socket?.terminate();
  }

  /** Ends after what waits. */
  end(): void {
    this.isEnding = true;
    if (this.waiting.length === 0) this.socket?.end();
  }
}

/** A TLS listener for any number of addresses. */
export class Front {
  private readonly callers = new Map<number, Caller>();

  /** `innerPort`: of the HTTP server behind. */
  constructor(
    private readonly credentials: Credentials,
    private readonly innerPort: number,
  ) {}

  /** Who is behind the inner connection from this port; undefined for a stranger. */
  caller(innerPort: number): Caller | undefined {
    return this.callers.get(innerPort);
  }

  /** Listens on an address and a port (0: any free one). Throws when it is taken. */
  listen(hostname: string, port: number): TCPSocketListener<End> {
    const { certificate: cert, key } = this.credentials;
    const tls = { cert, key, minVersion: TLS_1_2, ...ASK_FOR_CERTIFICATE } as Bun.TLSOptions;
    const deadlines = new WeakMap<Socket<End>, Timer>();
    return Bun.listen<End>({
      hostname,
      port,
      tls,
      socket: {
        open: (socket) => {
          socket.data = new End();
          socket.data.socket = socket;
          deadlines.set(
            socket,
            setTimeout(() => socket.terminate(), HANDSHAKE_MS),
          );
        },
        handshake: (socket, isDone) => {
          clearTimeout(deadlines.get(socket));
          if (isDone) this.connect(socket);
        },
        data: (socket, bytes) => socket.data.other?.write(bytes),
        drain: (socket) => socket.data.drain(),
        end: (socket) => socket.data.other?.end(),
        close: (socket) => {
          clearTimeout(deadlines.get(socket));
          socket.data.other?.abandon();
        },
        error: (socket) => {
          socket.terminate();
        },
      },
    });
  }

  private connect(outer: Socket<End>): void {
    const inner = new End();
    inner.other = outer.data;
    outer.data.other = inner;
    const caller: Caller = { remote: outer.remoteAddress, peer: peerOf(outer) };
    let port = 0;
    const connecting = Bun.connect<End>({
      hostname: INNER_HOST,
      port: this.innerPort,
      data: inner,
      socket: {
        open: (socket) => {
          port = socket.localPort;
          this.callers.set(port, caller);
          inner.socket = socket;
          inner.drain();
        },
        data: (socket, bytes) => socket.data.other?.write(bytes),
        drain: (socket) => socket.data.drain(),
        end: (socket) => socket.data.other?.end(),
        close: (socket) => {
          this.callers.delete(port);
          socket.data.other?.end();
        },
        error: (socket) => {
          socket.terminate();
        },
      },
    });
    connecting.catch(() => outer.terminate());
  }
}
