// HTTPS: single requests: what DPS is asked, and the probe that asks the hub for its time and its
// opinion of our token.
// Neighbours: `provision` registers with it; diagnosis wants the probe after a refused CONNECT.
// Invariant: each request is answered by exactly one event, in bounded time and never from inside
// the call; it writes its own few lines of HTTP over Bun's sockets, which `dial` opens (fetch
// adds 2.7 MB, node:https 9.6 MB), and reads no more than 24 KB of what comes back.

import {
  Cause,
  type Dial,
  DialError,
  type Probe,
  type Probed,
  type Shown,
  type Web,
  type WebAnswer,
  type WebEvents,
  type WebRequest,
} from "../core/effects.ts";

const PROBE_TIMEOUT_MS = 10_000;
/** Less than the 30 s after which the registration gives up by itself. */
const FETCH_TIMEOUT_MS = 25_000;
const TLS_1_2 = 0x0303;
const HEAD_BYTES_MAX = 8 * 1024;
const BODY_BYTES_MAX = 16 * 1024;
const ISSUER_CODES =
  /^(UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|DEPTH_ZERO_SELF|SELF_SIGNED|CERT_UNTRUSTED)/;
type Open = Dial<Bun.TCPSocketConnectOptions<undefined>>;

const SILENT: WebAnswer = {
  status: 0,
  dateS: Number.NaN,
  retryAfterS: Number.NaN,
  body: "",
  problem: "",
};

/** What the probe tells the turn. */
export interface ProbeEvents {
  onProbed(probed: Probed): void;
}

/** Probes over HTTP/1.1 (RFC 9112) and TLS 1.2 or later with the host name checked. */
export class HttpsProbe implements Probe {
  /** @param timeoutMs how long the whole exchange may take, name look-up and all. */
  constructor(
    private readonly events: ProbeEvents,
    private readonly dial: Open,
    private readonly timeoutMs = PROBE_TIMEOUT_MS,
    private readonly shown: Shown = {},
  ) {}

  /**
   * Sends `DELETE https://host:port{path}` with `authorization`; trusts the PEM text `roots` only.
   * The request is harmless when `path` names nothing that exists.
   */
  probe(host: string, port: number, path: string, authorization: string, roots: string): void {
    const bytes = requestBytes({ method: "DELETE", host, port, path, authorization, body: "" });
    const onAnswer = ({ dateS, status, body }: WebAnswer) =>
      this.events.onProbed({ dateS, status, errorCode: errorCode(body) });
    new Exchange(bytes, onAnswer, this.timeoutMs).start(this.dial, host, port, roots, this.shown);
  }
}

/** Requests over HTTP/1.1 and TLS as the probe's; JSON out and in. */
export class HttpsWeb implements Web {
  /** @param timeoutMs how long the whole exchange may take, name look-up and all. */
  constructor(
    private readonly events: WebEvents,
    private readonly dial: Open,
    private readonly timeoutMs = FETCH_TIMEOUT_MS,
    private readonly shown: Shown = {},
  ) {}

  ask(ticket: number, request: WebRequest, roots: string): void {
    const onAnswer = (answer: WebAnswer) => this.events.onFetched(ticket, answer);
    const exchange = new Exchange(requestBytes(request), onAnswer, this.timeoutMs);
    exchange.start(this.dial, request.host, request.port, roots, this.shown);
  }
}

/** One request and what came back of it. */
class Exchange {
  private received = Buffer.alloc(HEAD_BYTES_MAX + BODY_BYTES_MAX);
  private receivedBytes = 0;
  private sentBytes = 0;
  private isDone = false;
  private socket: Bun.Socket<unknown> | null = null;
  private drop: () => void = () => {};
  private readonly timer: Timer;

  constructor(
    private readonly request: Uint8Array,
    private readonly onAnswer: (answer: WebAnswer) => void,
    timeoutMs: number,
  ) {
    const late = `no answer within ${Math.round(timeoutMs / 1000)} s`;
    this.timer = setTimeout(() => this.finish(late), timeoutMs);
  }

  start(dial: Open, host: string, port: number, ca: string, shown: Shown): void {
    if (this.request.length === 0) return this.finish("a request that HTTP cannot carry");
    if (ca === "") return this.finish("no trusted roots");
    const fail = (_opened: unknown, error: unknown) => this.finish(textOf(error));
    const tls = { ca, serverName: host, minVersion: TLS_1_2, rejectUnauthorized: true, ...shown };
    const socket: Bun.SocketHandler<undefined> = {
      open: (opened) => this.onOpen(opened),
      handshake: (opened, isAuthorised, error) => {
        if (isAuthorised && !error && opened.authorized) this.send(opened);
        else this.finish(handshakeText(error ?? opened.getAuthorizationError()));
      },
      data: (_opened, chunk) => this.onData(chunk),
      drain: (opened) => this.send(opened),
      end: () => this.finish("closed by the server"),
      error: fail,
      close: () => this.finish("closed by the server"),
      connectError: fail,
    };
    this.drop = dial({ hostname: host, port, tls, socket, data: undefined });
  }

  private onOpen(socket: Bun.Socket<unknown>): void {
    this.socket = socket;
    if (this.isDone) socket.terminate();
  }

  private send(socket: Bun.Socket<unknown>): void {
    const left = this.request.length - this.sentBytes;
    if (!socket.authorized || left === 0) return;
    this.sentBytes += Math.max(socket.write(this.request, this.sentBytes, left), 0);
  }

  private onData(chunk: Uint8Array): void {
    if (this.isDone) return;
    const room = this.received.length - this.receivedBytes;
    this.received.set(chunk.subarray(0, room), this.receivedBytes);
    this.receivedBytes += Math.min(chunk.length, room);
    const { isWhole } = answerOf(this.received.toString("latin1", 0, this.receivedBytes));
    if (isWhole || chunk.length >= room) this.finish("");
  }

  /** Ends the exchange with what has been understood so far, or with `problem` for nothing. */
  private finish(problem: string): void {
    if (this.isDone) return;
    this.isDone = true;
    clearTimeout(this.timer);
    this.drop();
    this.socket?.terminate();
    const { answer } = answerOf(this.received.toString("latin1", 0, this.receivedBytes));
    const isSilent = answer.status === 0;
    const why = problem || "what answers there speaks no HTTP";
    const told = isSilent ? { ...answer, problem: why } : answer;
    queueMicrotask(() => this.onAnswer(told));
  }
}

/** What went wrong, with what to do about it where there is something. */
function textOf(error: unknown): string {
  if (error instanceof DialError) return dialText(error.reason, error.message);
  if (!(error instanceof Error)) return "failed";
  const { code, message } = error as NodeJS.ErrnoException;
  // BoringSSL names its reason at the end of `error:100000f7:SSL routines:...:REASON`.
  if (code === "EPROTO") return message.slice(message.lastIndexOf(":") + 1) || code;
  return code ?? message;
}

/** The codes of a handshake that failed (OpenSSL's X509_V_ERR_*), and what to do about them. */
function handshakeText(error: unknown): string {
  const { code = "", message = "" } = (error ?? {}) as NodeJS.ErrnoException;
  switch (code) {
    case "CERT_NOT_YET_VALID":
      return "TLS: certificate not yet valid; this clock is behind, set it";
    case "CERT_HAS_EXPIRED":
      return "TLS: certificate expired; this clock is ahead, or the server's certificate is old";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
    case "HOSTNAME_MISMATCH":
      return "TLS: the certificate is for another name; check the host";
    default:
      break;
  }
  // BoringSSL's name for bytes that begin no TLS record.
  if (message.includes("WRONG_VERSION_NUMBER")) return "it does not speak TLS; check the port";
  if (!ISSUER_CODES.test(code)) return `TLS: ${textOf(error)}`;
  return (
    `TLS: unknown issuer of the certificate (${code}); set ca-file to the root that signed it, ` +
    "or something on the way intercepts TLS"
  );
}

function dialText(reason: Cause, detail: string): string {
  switch (reason) {
    case Cause.REFUSED:
      return "refused: nothing listens there";
    case Cause.NAME_NOT_FOUND:
      return "name not found; check it and the DNS server";
    case Cause.NAME_LOOKUP_FAILED:
      return `no answer from the DNS server (${detail}); check network and DNS`;
    case Cause.UNREACHABLE:
      return `no route to it (${detail}); check cable, address and gateway`;
    case Cause.PROXY_UNREACHABLE:
      return `the proxy cannot be reached (${detail}); check proxy`;
    case Cause.PROXY_TIMEOUT:
      return "the proxy did not answer when asked for it";
    case Cause.PROXY_CREDENTIALS:
      return `the proxy wants user name and password (${detail})`;
    case Cause.PROXY_REFUSED:
      return `the proxy does not let through to it (${detail})`;
    case Cause.PROXY_FAILED:
      return `the proxy could not reach it (${detail})`;
    case Cause.PROXY_BROKEN:
      return `what is set as proxy does not answer like one (${detail}); check proxy`;
    default:
      return detail;
  }
}

interface Outgoing extends Omit<WebRequest, "method"> {
  readonly method: "GET" | "PUT" | "DELETE";
}

function requestBytes({ method, host, port, path, authorization, body }: Outgoing): Uint8Array {
  // A line break in any part would smuggle in a header of its own.
  if (/[^\x21-\x7e]/.test(host + path) || /[^\x20-\x7e]/.test(authorization)) {
    return new Uint8Array(0);
  }
  const name = host.includes(":") ? `[${host}]` : host;
  const bytes = Buffer.from(body);
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${port === 443 ? name : `${name}:${port}`}`,
    "User-Agent: azimuth",
    "Accept: application/json",
    "Connection: close",
  ];
  if (authorization !== "") lines.push(`Authorization: ${authorization}`);
  if (body !== "") lines.push("Content-Type: application/json; charset=utf-8");
  if (body !== "") lines.push(`Content-Length: ${bytes.length}`);
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), bytes]);
}

interface HttpAnswer {
  readonly answer: WebAnswer;
  /** True when nothing more is to come, by length or by the last chunk. */
  readonly isWhole: boolean;
}

/** Understands as much of an HTTP/1.1 answer as is there. */
function answerOf(text: string): HttpAnswer {
  const headEnd = text.indexOf("\r\n\r\n");
  const status = Number(/^HTTP\/1\.[01] (\d{3})[ \r]/.exec(text)?.[1] ?? 0);
  if (headEnd < 0 || status === 0) return { answer: SILENT, isWhole: false };
  const rest = text.slice(headEnd + 4);
  // Interim answers precede the one that counts (RFC 9110, 15.2).
  if (status < 200) return answerOf(rest);
  const head = text.slice(0, headEnd);
  const isChunked = /chunked/i.test(header(head, "transfer-encoding"));
  const coded = isChunked ? unchunked(rest) : rest;
  const length = Number(header(head, "content-length") || Number.POSITIVE_INFINITY);
  const isWhole = isChunked ? /(^|\n)0+\r\n(.*\r\n)*\r\n$/.test(rest) : rest.length >= length;
  const dateS = httpDate(header(head, "date"));
  const seconds = header(head, "retry-after");
  const retryAfterS = /^\d{1,6}$/.test(seconds) ? Number(seconds) : Number.NaN;
  const body = Buffer.from(coded, "latin1").toString("utf8");
  return { answer: { status, dateS, retryAfterS, body, problem: "" }, isWhole };
}

function header(head: string, name: string): string {
  return new RegExp(`^${name}:[ \t]*(.*?)[ \t]*$`, "im").exec(head)?.[1] ?? "";
}

/** The chunks of a body joined (RFC 9112, 7.1), as far as they are there. */
function unchunked(text: string): string {
  let body = "";
  let at = 0;
  for (;;) {
    const size = /^([0-9a-f]{1,6})[^\r\n]*\r\n/i.exec(text.slice(at, at + 80));
    const bytes = Number.parseInt(size?.[1] ?? "0", 16);
    if (size === null || bytes === 0) return body;
    at += size[0].length;
    body += text.slice(at, at + bytes);
    at += bytes + 2;
  }
}

/** Unix seconds of an HTTP date in any of its three forms (RFC 9110, 5.6.7); NaN when none. */
function httpDate(text: string): number {
  if (text === "") return Number.NaN;
  // The oldest form, asctime, names no zone and would be read as local time.
  return Date.parse(text.endsWith("GMT") ? text : `${text} GMT`) / 1000;
}

/** The hub's bodies read `{"Message":"ErrorCode:DeviceNotFound;…"}` (azure-iot-sdk-node). */
function errorCode(body: string): string {
  return /"Message"\s*:\s*"ErrorCode:\s*([A-Za-z0-9]{1,64})/.exec(body)?.[1] ?? "";
}
