/**
 * The MQTT listener: TLS sockets on one side, model connections on the other. Neighbours:
 * `runner.ts` has the hub; `listen.ts` opens the addresses. Invariant: bytes leave in order, what
 * the kernel does not take waits in a bounded backlog; each socket is closed once and in the end.
 */
import type { Socket, TCPSocketListener } from "bun";
import type { Connection } from "../model/connection.ts";
import { HubCode } from "../model/errors.ts";
import type { Link } from "../model/world.ts";
import type { Credentials } from "./authority.ts";
import { handshakeReason } from "./handshake.ts";
import { ASK_FOR_CERTIFICATE, peerOf } from "./peer.ts";
import type { Runner } from "./runner.ts";

/** Bytes that may wait for a device that does not read. */
const BACKLOG_BYTES_MAX = 8_388_608;
const HANDSHAKE_MS = 30_000;
/** Time for a peer to close after us, ms. */
const LINGER_MS = 3000;
const TLS_1_2 = 0x0303;

/** The hub's end of one TLS socket. */
class SocketLink implements Link {
  connection: Connection | undefined;
  /** More waits for the device than it is allowed to leave unread. */
  isOverrun = false;
  private backlog: Uint8Array[] = [];
  private backlogBytes = 0;
  private isEnding = false;
  private timer: Timer | undefined;

  constructor(private readonly socket: Socket<SocketLink | undefined>) {
    this.expect(HANDSHAKE_MS);
  }

  /** Ends the socket by force unless something else happens in time. */
  expect(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.socket.terminate(), ms);
  }

  /** Takes back `expect`. */
  relax(): void {
    clearTimeout(this.timer);
  }

  send(bytes: Uint8Array): void {
    if (this.backlog.length === 0) {
      const taken = Math.max(0, this.socket.write(bytes));
      if (taken === bytes.length) return;
      this.keep(bytes.subarray(taken));
    } else {
      this.keep(bytes);
    }
    if (this.backlogBytes <= BACKLOG_BYTES_MAX) return;
    this.isOverrun = true;
    this.socket.terminate();
  }

  close(): void {
    this.isEnding = true;
    this.expect(LINGER_MS);
    if (this.backlog.length === 0) this.socket.end();
  }

  /** The kernel takes bytes again. */
  onDrain(): void {
    while (this.backlog.length > 0) {
      const bytes = this.backlog[0]!;
      const taken = Math.max(0, this.socket.write(bytes));
      this.backlogBytes -= taken;
      if (taken < bytes.length) {
        this.backlog[0] = bytes.subarray(taken);
        return;
      }
      this.backlog.shift();
    }
    if (this.isEnding) this.socket.end();
  }

  private keep(bytes: Uint8Array): void {
    this.backlog.push(bytes);
    this.backlogBytes += bytes.length;
  }
}

/** A running listener. */
export class MqttServer {
  private readonly links = new Set<SocketLink>();

  constructor(
    private readonly runner: Runner,
    private readonly credentials: Credentials,
    private readonly onRefusal: (remote: string, reason: string) => void,
  ) {}

  /** Listens on an address and a port (0: any free one). Throws when it is taken. */
  listen(hostname: string, port: number): TCPSocketListener<SocketLink | undefined> {
    const { certificate, key } = this.credentials;
    return Bun.listen<SocketLink | undefined>({
      hostname,
      port,
      tls: {
        cert: certificate,
        key,
        minVersion: TLS_1_2,
        ...ASK_FOR_CERTIFICATE,
      } as Bun.TLSOptions,
      socket: {
        open: (socket) => {
          socket.data = new SocketLink(socket);
          this.links.add(socket.data);
        },
        handshake: (socket, isDone, error) => this.onHandshake(socket, isDone, error),
        data: (socket, bytes) => {
          socket.data?.connection?.onData(bytes);
          this.runner.settle();
        },
        drain: (socket) => socket.data?.onDrain(),
        // A peer that has said its last word gets ours.
        end: (socket) => {
          socket.end();
        },
        close: (socket) => this.onClose(socket),
        error: (socket, error) => this.onError(socket, error),
      },
    });
  }

  private onHandshake(
    socket: Socket<SocketLink | undefined>,
    isDone: boolean,
    error: Error | null,
  ): void {
    const link = socket.data;
    if (link === undefined || link.connection !== undefined) return;
    link.relax();
    if (!isDone) {
      this.onRefusal(socket.remoteAddress, handshakeReason(error?.message ?? ""));
      return;
    }
    socket.setNoDelay(true);
    link.connection = this.runner.hub.accept(link, socket.remoteAddress, peerOf(socket));
    this.runner.settle();
  }

  /** TLS and network errors end in `close`; anything else is a fault of this program. */
  private onError(socket: Socket<SocketLink | undefined>, error: Error): void {
    if ((error as { code?: unknown }).code !== undefined) return;
    process.stderr.write(`azure: ${error.stack ?? error.message}\n`);
    socket.terminate();
  }

  private onClose(socket: Socket<SocketLink | undefined>): void {
    const link = socket.data;
    if (link === undefined) return;
    this.links.delete(link);
    if (link.isOverrun) {
      const text = `the device does not read: more than ${BACKLOG_BYTES_MAX} bytes wait for it`;
      link.connection?.close(HubCode.ThrottleBacklogLimitExceeded, text);
    }
    link.connection?.onClosed();
    link.relax();
    this.runner.settle();
  }
}
