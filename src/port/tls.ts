// The uplink: one TLS connection at a time over Bun's sockets, every failure named by one Cause.
// Neighbours: the turn calls open, write, end, abort and gets the events; `dial` opens the socket,
// directly or through a proxy; the link machine owns the deadlines, for Bun sets none on the
// handshake or on closing.
// Invariant: each connection carries its own state, so nothing of an older or aborted one is
// heard again; no event comes from inside a call; nothing is read before the peer is verified.

import type { Socket } from "bun";
import {
  Cause,
  type Dial,
  DialError,
  type Shown,
  type Target,
  type Uplink,
  type UplinkEvents,
} from "../core/effects.ts";
import { assert } from "../kit/assert.ts";

enum State {
  DIALLING,
  SHAKING,
  SECURED,
  ENDED,
  CLOSED,
}

/** What an end of the connection says: the cause and a short technical text without secrets. */
interface Ending {
  readonly cause: Cause;
  readonly detail: string;
}

/** Bun's own error as it comes out of a socket; `code` is an errno or a verification code. */
interface SocketError extends Error {
  readonly code?: string;
}

type TlsSocket = Socket<Connection>;

/** RFC 8996 forbids TLS 1.0 and 1.1; Bun takes the wire number only, 0x0303 is TLS 1.2. */
const TLS_1_2 = 0x0303;
const SUBJECT_CHARS_MAX = 80;
const ISSUER_CODES =
  /^(UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|DEPTH_ZERO_SELF|SELF_SIGNED|CERT_UNTRUSTED)/;

/** One attempt from open to close. */
class Connection {
  state = State.DIALLING;
  socket: TlsSocket | null = null;
  isHeard = false;
  /** What the peer or Bun said just before the socket closed. */
  failure: Ending | null = null;
  /** Thrown by our own side inside an event; not a failure of the connection. */
  thrown: unknown = undefined;
  /** Drops the dial under way. */
  drop: () => void = ignore;

  constructor(
    readonly owner: Tls,
    readonly target: Target,
  ) {}
}

/** TLS 1.2 or later with the host name always checked; there is no switch that weakens it. */
export class Tls implements Uplink {
  private connection: Connection | null = null;
  private session: Buffer | null = null;
  private sessionTarget: Target | null = null;

  /** @param events told from the event loop, never from inside a call into this class */
  constructor(
    private readonly events: UplinkEvents,
    private readonly dial: Dial<Bun.TCPSocketConnectOptions<Connection>>,
    readonly shown: Shown = {},
  ) {}

  /** Dials `target`; `roots` must hold the PEM of the only certificates that are trusted. */
  open(target: Target): void {
    assert(this.connection === null, "one connection at a time");
    const connection = new Connection(this, target);
    this.connection = connection;
    // Without `ca` Bun would trust every authority that it was built with.
    if (target.roots === "") {
      this.close(connection, { cause: Cause.SOCKET_FAILED, detail: "no trusted roots given" });
      return;
    }
    connection.drop = this.dial(optionsOf(connection));
  }

  /** Takes a prefix of bytes[start..end); 0 when full or not secured; `onWritable` follows. */
  write(bytes: Uint8Array, start: number, end: number): number {
    const connection = this.connection;
    if (connection === null || connection.state !== State.SECURED || start >= end) return 0;
    // Bun answers -1 once the socket is closing; its close event is then on its way.
    return Math.max(connection.socket!.write(bytes, start, end - start), 0);
  }

  /** Sends close_notify and FIN after all that was taken; what the peer still sends is heard. */
  end(): void {
    const connection = this.connection;
    if (connection === null) return;
    switch (connection.state) {
      case State.DIALLING:
      case State.SHAKING:
        this.close(connection, { cause: Cause.CLOSED_BY_PEER, detail: "ended before secured" });
        return;
      case State.SECURED:
        connection.state = State.ENDED;
        // Not end(): that sends no FIN, and terminate() would do nothing any more (Bun 1.4.5).
        connection.socket!.shutdown();
        return;
      case State.ENDED:
      case State.CLOSED:
        return;
    }
  }

  /** Drops the connection, in whatever phase; a dial under way is dropped when it is through. */
  abort(): void {
    const connection = this.connection;
    if (connection === null) return;
    this.connection = null;
    connection.state = State.CLOSED;
    connection.drop();
    connection.socket?.terminate();
  }

  onOpen(connection: Connection, socket: TlsSocket): void {
    if (connection.state === State.CLOSED) {
      socket.terminate();
      return;
    }
    connection.socket = socket;
    connection.state = State.SHAKING;
    socket.setNoDelay(true);
    if (this.session !== null && isSameTarget(this.sessionTarget, connection.target)) {
      socket.setSession(this.session);
    }
    this.events.onOpened();
  }

  onHandshake(connection: Connection, isAuthorised: boolean, error: SocketError | null): void {
    if (connection.state !== State.SHAKING) return;
    const socket = connection.socket!;
    if (!isAuthorised || error || !socket.authorized) {
      const ending = handshakeEnding(error, socket);
      this.forget();
      this.close(connection, ending);
      return;
    }
    const version = socket.getTLSVersion();
    if (version !== "TLSv1.2" && version !== "TLSv1.3") {
      this.close(connection, { cause: Cause.TLS_TOO_OLD, detail: String(version) });
      return;
    }
    connection.state = State.SECURED;
    this.events.onSecured();
  }

  onData(connection: Connection, chunk: Uint8Array): void {
    if (connection.state !== State.SECURED && connection.state !== State.ENDED) return;
    if (!connection.isHeard) {
      connection.isHeard = true;
      // Not sooner: with TLS 1.3 the ticket comes after the handshake (RFC 8446, 4.6.1). Never
      // with a certificate: not every server remembers it.
      const isKept = this.shown.cert === undefined;
      this.session = isKept ? (connection.socket!.getSession() ?? null) : null;
      this.sessionTarget = connection.target;
    }
    this.events.onData(chunk);
  }

  onDrain(connection: Connection): void {
    if (connection.state === State.SECURED) this.events.onWritable();
  }

  onFailure(connection: Connection, error: SocketError): void {
    connection.failure = {
      cause: connection.isHeard ? Cause.SOCKET_FAILED : Cause.TLS_HANDSHAKE_FAILED,
      detail: textOf(error),
    };
  }

  onClose(connection: Connection, error: SocketError | undefined): void {
    if (connection.state === State.CLOSED) return;
    if (connection.state === State.SHAKING) this.forget();
    this.close(connection, connection.failure ?? closeEnding(error));
  }

  onConnectError(connection: Connection, error: SocketError): void {
    if (connection.state !== State.DIALLING) return;
    const cause = error instanceof DialError ? error.reason : Cause.SOCKET_FAILED;
    this.close(connection, { cause, detail: error.message });
  }

  /** The next handshake is a whole one. */
  forget(): void {
    this.session = null;
    this.sessionTarget = null;
  }

  private close(connection: Connection, ending: Ending): void {
    if (connection.state === State.CLOSED) return;
    connection.state = State.CLOSED;
    connection.drop();
    const socket = connection.socket;
    connection.socket = null;
    socket?.terminate();
    // Bun closes from inside write, end and terminate too: the turn hears of it after its step.
    queueMicrotask(() => {
      if (this.connection !== connection) return;
      this.connection = null;
      this.events.onClosed(ending.cause, ending.detail);
    });
  }
}

function optionsOf(connection: Connection): Bun.TCPSocketConnectOptions<Connection> {
  const target = connection.target;
  const tls = {
    ca: target.roots,
    serverName: target.host,
    minVersion: TLS_1_2,
    // Said aloud because NODE_TLS_REJECT_UNAUTHORIZED=0 would change the default.
    rejectUnauthorized: true,
    ...connection.owner.shown,
  };
  return { hostname: target.host, port: target.port, tls, data: connection, socket: HANDLERS };
}

/** One set of handlers for all connections; `socket.data` says whose event it is. */
const HANDLERS: Bun.SocketHandler<Connection> = {
  open(socket) {
    guard(socket, ({ owner }) => owner.onOpen(socket.data, socket as TlsSocket));
  },
  handshake(socket, isAuthorised, error) {
    guard(socket, ({ owner }) => owner.onHandshake(socket.data, isAuthorised, error));
  },
  data(socket, chunk) {
    guard(socket, ({ owner }) => owner.onData(socket.data, chunk));
  },
  drain(socket) {
    guard(socket, ({ owner }) => owner.onDrain(socket.data));
  },
  error(socket, error) {
    // Bun brings here what our own events throw; a broken assertion must end the process.
    if (socket.data.thrown === error) throw error;
    socket.data.owner.onFailure(socket.data, error);
  },
  close(socket, error) {
    socket.data.owner.onClose(socket.data, error);
  },
  connectError(socket, error) {
    socket.data.owner.onConnectError(socket.data, error);
  },
};

/** Marks what our own side throws, so that it is told from a failure of TLS. */
function guard({ data }: Socket<Connection>, step: (connection: Connection) => void): void {
  try {
    step(data);
  } catch (error) {
    data.thrown = error;
    throw error;
  }
}

/** No dial is under way. */
function ignore(): void {}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = (error as SocketError).code;
  return code === undefined ? error.message : `${code}: ${error.message}`;
}

function handshakeEnding(error: SocketError | null, socket: TlsSocket): Ending {
  const code = error?.code ?? "";
  const text = error?.message ?? "";
  if (code === "ECONNRESET") {
    return { cause: Cause.CLOSED_BY_PEER, detail: "closed during the TLS handshake" };
  }
  if (code === "EPROTO" || code === "") {
    // BoringSSL names its reason at the end of `error:100000f7:SSL routines:...:REASON`.
    const reason = text.slice(text.lastIndexOf(":") + 1) || "handshake refused";
    const isOld = /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/.test(reason);
    return { cause: isOld ? Cause.TLS_TOO_OLD : Cause.TLS_HANDSHAKE_FAILED, detail: reason };
  }
  return { cause: certificateCause(code), detail: `${code}; ${certificateText(socket)}` };
}

function certificateCause(code: string): Cause {
  if (code === "CERT_NOT_YET_VALID") return Cause.TLS_NOT_YET_VALID;
  if (code === "CERT_HAS_EXPIRED") return Cause.TLS_EXPIRED;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID" || code === "HOSTNAME_MISMATCH") {
    return Cause.TLS_NAME_MISMATCH;
  }
  return ISSUER_CODES.test(code) ? Cause.TLS_ISSUER_UNKNOWN : Cause.TLS_REVOKED_OR_BAD;
}

/** Subject, issuer, names and validity of the certificate that the peer showed. */
function certificateText(socket: TlsSocket): string {
  const shown = socket.getPeerCertificate();
  if (!shown?.valid_from) return "no certificate shown";
  const subject = printable(shown.subject?.CN);
  const issuer = printable(shown.issuer?.CN ?? shown.issuer?.O);
  const names = printable(shown.subjectaltname);
  const from = isoTime(shown.valid_from);
  const until = isoTime(shown.valid_to);
  return `subject ${subject}, names ${names}, issuer ${issuer}, valid ${from} to ${until}`;
}

function isoTime(text: string): string {
  const timeMs = Date.parse(text);
  return Number.isNaN(timeMs) ? "?" : `${new Date(timeMs).toISOString().slice(0, 19)}Z`;
}

/** What the peer chose to call itself, made safe for a log line. */
function printable(text: unknown): string {
  const first = Array.isArray(text) ? text[0] : text;
  if (typeof first !== "string" || first === "") return "?";
  return first.replace(/[^\x20-\x7e]/g, "?").slice(0, SUBJECT_CHARS_MAX);
}

function closeEnding(error: SocketError | undefined): Ending {
  if (!error) return { cause: Cause.CLOSED_BY_PEER, detail: "closed" };
  const code = error.code ?? "";
  if (code === "ECONNRESET" || code === "EPIPE") return { cause: Cause.TCP_RESET, detail: code };
  if (code === "ETIMEDOUT" || code === "EHOSTUNREACH" || code === "ENETUNREACH") {
    return { cause: Cause.UNREACHABLE, detail: code };
  }
  return { cause: Cause.SOCKET_FAILED, detail: textOf(error) };
}

function isSameTarget(a: Target | null, b: Target): boolean {
  return a !== null && a.host === b.host && a.port === b.port && a.roots === b.roots;
}
