// Dial: opens sockets with TLS, directly or through a proxy, and names the Cause when it cannot.
// Neighbours: `tls` and `https` bring their own handlers; `core/proxy` has the words for a proxy.
// Here alone it is known whether a dial that hangs does so for want of an address.
// Invariant: each dial ends in one `open` or one `connectError`, or was dropped; a socket that
// comes too late is terminated; where a proxy is set nothing goes around it, look-ups included.

import type { Socket } from "bun";
import { Cause, DialError, type HttpProxy, type Tunnel } from "../core/effects.ts";
import { DIAL_MS, PROXY_MS } from "../limits.ts";

type Options<T> = Bun.TCPSocketConnectOptions<T>;

/** The kernel gives up on a neighbour that answers no ARP after three tries of 1 s. */
const NEIGHBOUR_MS = 2_500;
/** Parts of the dial's time: when it counts as hanging, and how long its name may then take. */
const HANGING = 0.5;
const ANSWER = 0.4;

/** How long things may take; other values are for tests. */
export interface DialTimes {
  /** The link gives up a dial after this. */
  readonly dialMs: number;
  /** A proxy must have answered within this, its own dial included. */
  readonly proxyMs: number;
}

/** Opens sockets, all of them the same way. */
export class Dialer {
  constructor(
    private readonly proxy: HttpProxy | null = null,
    private readonly times: DialTimes = { dialMs: DIAL_MS, proxyMs: PROXY_MS },
  ) {}

  /**
   * As Bun.connect, for options with TLS and an `open` and `connectError` among its handlers.
   * Never calls them from inside the call. The answer drops the dial.
   */
  readonly open = <T>(options: Options<T>): (() => void) => {
    const { proxy, times } = this;
    const attempt =
      proxy === null
        ? new Direct(options, times)
        : new Tunnelled(options, proxy, proxy.tunnel(options.hostname, options.port), times);
    attempt.start();
    return () => attempt.drop();
  };
}

/** One dial to `host:port`; done once it has settled. */
abstract class Attempt<T> {
  protected isSettled = false;
  private isDropped = false;
  private readonly startMs = performance.now();
  private timer: Timer | undefined;

  constructor(
    protected readonly options: Options<T>,
    private readonly host: string,
    private readonly port: number,
    protected readonly times: DialTimes,
  ) {}

  abstract start(): void;

  /** Whether the dial was still under way; it is no more, and its timer is gone. */
  settle(): boolean {
    const wasOpen = !this.isSettled;
    this.isSettled = true;
    clearTimeout(this.timer);
    return wasOpen;
  }

  /** Ends the dial unheard. */
  drop(): void {
    this.isDropped = true;
    this.settle();
  }

  protected connect<U>(options: Options<U>): void {
    this.wait(this.times.dialMs * HANGING, () => this.onHanging());
    try {
      Bun.connect<U>(options).catch(ignore);
    } catch (error) {
      this.fail(Cause.SOCKET_FAILED, textOf(error));
    }
  }

  protected wait(ms: number, onTimer: () => void): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(onTimer, ms);
  }

  protected fail(cause: Cause, detail: string): void {
    if (!this.settle()) return;
    const { connectError } = this.options.socket;
    const error = new DialError(cause, detail);
    // As Bun does it, the handler's socket is one that never was; ours look at its data alone.
    const socket = { data: this.options.data } as Socket<T>;
    queueMicrotask(() => {
      if (!this.isDropped) connectError?.(socket, error);
    });
  }

  /** The dial failed with Bun's error. */
  protected onFailure(cause: Cause, detail: string): void {
    this.fail(cause, detail);
  }

  protected onError(error: Error & { code?: string }): void {
    if (error.code !== "ECONNREFUSED") {
      this.onFailure(causeOf(error.code ?? ""), error.code ?? textOf(error));
      return;
    }
    const waitedMs = performance.now() - this.startMs;
    trueCode(this.host, this.port, waitedMs).then((code) => this.onFailure(causeOf(code), code));
  }

  /** Asked no sooner, for Bun.connect has asked already: it costs a thread and a query. */
  private onHanging(): void {
    const onTimer = () => this.onFailure(Cause.NAME_LOOKUP_FAILED, "timed out");
    this.wait(this.times.dialMs * ANSWER, onTimer);
    // libc, as Bun.connect: /etc/hosts and nsswitch.conf count.
    Bun.dns.lookup(this.host, { backend: "libc" }).then(() => this.onFound(), ignore);
  }

  /** The name is known; what hangs is the connection itself. */
  protected onFound(): void {
    if (!this.isSettled) clearTimeout(this.timer);
  }
}

/** TCP and TLS by Bun.connect. */
class Direct<T> extends Attempt<T> {
  constructor(options: Options<T>, times: DialTimes) {
    super(options, options.hostname, options.port, times);
  }

  start(): void {
    const { socket } = this.options;
    const open = (opened: Socket<T>) => {
      if (this.settle()) socket.open?.(opened);
      else opened.terminate();
    };
    const connectError = (_: Socket<T>, error: Error) => this.onError(error);
    this.connect<T>({ ...this.options, socket: { ...socket, open, connectError } });
  }
}

/** TCP to a proxy, CONNECT, then TLS over the same socket. */
class Tunnelled<T> extends Attempt<T> {
  private raw: Socket<undefined> | null = null;
  private readonly endMs = performance.now() + this.times.proxyMs;

  constructor(
    options: Options<T>,
    private readonly proxy: HttpProxy,
    private readonly tunnel: Tunnel,
    times: DialTimes,
  ) {
    super(options, proxy.host, proxy.port, times);
  }

  override settle(): boolean {
    const wasOpen = super.settle();
    if (wasOpen) this.raw?.terminate();
    return wasOpen;
  }

  start(): void {
    const { request } = this.tunnel;
    if (request.length === 0) {
      this.fail(Cause.SOCKET_FAILED, "a host that cannot be asked of a proxy");
      return;
    }
    const { host, port } = this.proxy;
    const socket: Bun.SocketHandler<undefined> = {
      open: (raw) => this.onOpen(raw, request),
      data: (raw, chunk) => this.onData(raw, chunk),
      close: () => this.fail(Cause.PROXY_BROKEN, "closed without an answer"),
      error: (_, error) => this.fail(Cause.PROXY_BROKEN, textOf(error)),
      connectError: (_, error) => this.onError(error),
    };
    this.connect<undefined>({ hostname: host, port, data: undefined, socket });
  }

  protected override onFailure(_cause: Cause, detail: string): void {
    this.fail(Cause.PROXY_UNREACHABLE, detail);
  }

  protected override onFound(): void {
    if (this.isSettled) return;
    const leftMs = Math.max(this.endMs - performance.now(), 0);
    this.wait(leftMs, () => this.fail(Cause.PROXY_UNREACHABLE, "timed out"));
  }

  private onOpen(raw: Socket<undefined>, request: Uint8Array): void {
    if (this.isSettled) {
      raw.terminate();
      return;
    }
    this.raw = raw;
    const leftMs = Math.max(this.endMs - performance.now(), 0);
    this.wait(leftMs, () => this.fail(Cause.PROXY_TIMEOUT, ""));
    raw.setNoDelay(true);
    // A socket that has carried nothing yet takes a few hundred bytes at once.
    if (raw.write(request) < request.length) this.fail(Cause.SOCKET_FAILED, "request not taken");
  }

  private onData(raw: Socket<undefined>, chunk: Uint8Array): void {
    if (this.isSettled) return;
    const { tunnel } = this;
    tunnel.onData(chunk);
    if (tunnel.cause !== Cause.NONE) this.fail(tunnel.cause, tunnel.detail);
    else if (tunnel.isOpen) this.secure(raw);
  }

  /** `open` of the handlers comes from inside upgradeTLS, as an event of this socket. */
  private secure(raw: Socket<undefined>): void {
    const { data, socket, tls } = this.options;
    const options = { data: data as T, socket, tls: tls as Bun.TLSOptions };
    this.raw = null;
    // Nothing comes of a socket that has closed meanwhile (Bun 1.4.5).
    const sockets: Socket<unknown>[] | undefined = raw.upgradeTLS<T>(
      options as Bun.TLSUpgradeOptions<T>,
    );
    if (sockets === undefined) {
      this.fail(Cause.PROXY_BROKEN, "closed after its answer");
      return;
    }
    this.settle();
    // Else every record would be shown here too, encrypted, in a chunk of its own (Bun 1.4.5).
    sockets[0]!.reload({ socket: { drain: ignore } } as never);
  }
}

function ignore(): void {}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = (error as { code?: string }).code;
  return code === undefined ? error.message : `${code}: ${error.message}`;
}

function causeOf(code: string): Cause {
  switch (code) {
    case "ENOTFOUND":
      return Cause.NAME_NOT_FOUND;
    case "ECONNREFUSED":
      return Cause.REFUSED;
    case "ECONNRESET":
      return Cause.TCP_RESET;
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "ENETDOWN":
    case "EADDRNOTAVAIL":
    case "ETIMEDOUT":
      return Cause.UNREACHABLE;
    default:
      return code.startsWith("EAI_") ? Cause.NAME_LOOKUP_FAILED : Cause.SOCKET_FAILED;
  }
}

/**
 * What ECONNREFUSED stands for: Bun 1.4.5 says it also for ENETUNREACH and EHOSTUNREACH.
 * The kernel tells the route when a datagram socket is connected, which sends nothing.
 */
async function trueCode(host: string, port: number, waitedMs: number): Promise<string> {
  try {
    const [first] = await Bun.dns.lookup(host, {});
    const address = first?.address ?? host;
    // Bun binds 0.0.0.0 unless told, and then cannot connect to an IPv6 address.
    const hostname = address.includes(":") ? "::" : "0.0.0.0";
    (await Bun.udpSocket({ hostname, connect: { hostname: address, port } })).close();
  } catch (error) {
    const code = (error as { code?: string }).code ?? "";
    if (/^E(NET|HOST)/.test(code)) return code;
  }
  return waitedMs >= NEIGHBOUR_MS ? "EHOSTUNREACH" : "ECONNREFUSED";
}
