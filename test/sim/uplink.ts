// SimUplink: the uplink port of one simulated gateway: dialling, TLS and then a wire to the hub,
// over a network that can be down, silent, refusing or full of wrong certificates.
// Neighbours: `gateway` owns it, `chaos` changes the network, `tap` listens.
// Invariant: as of the real port: events never come from inside a call, never from an older
// connection, and exactly one end for each connection that was not aborted.

import { Cause, type Uplink, type UplinkEvents } from "../../src/core/effects.ts";
import type { Prng } from "../../src/kit/prng.ts";
import type { Hub } from "../azure/model/hub.ts";
import type { Clockwork } from "./clockwork.ts";
import type { Tap } from "./tap.ts";
import type { Trace } from "./trace.ts";
import { Wire } from "./wire.ts";

/** What the network between a gateway and the hub does at present. */
export enum Network {
  UP,
  /** Every attempt fails at once with a cause drawn anew; a standing connection is cut. */
  DOWN,
  /** Everything is swallowed, standing connections included: no end is ever seen. */
  SILENT,
  /** Every attempt is refused by the hub's host; a standing connection stays. */
  REFUSING,
}

const FAILURES = [
  Cause.NAME_LOOKUP_FAILED,
  Cause.REFUSED,
  Cause.UNREACHABLE,
  Cause.TLS_HANDSHAKE_FAILED,
  Cause.TLS_NOT_YET_VALID,
  Cause.CLOSED_BY_PEER,
];

/** Implements the uplink over simulated wires. */
export class SimUplink implements Uplink {
  network = Network.UP;
  /** Connections that reached TLS, and those that the network ended. */
  connections = 0;
  private generation = 0;
  private wire: Wire | undefined;
  /** Since when the wire is dead with something in flight; NaN: it is not. */
  private deadMs = Number.NaN;

  constructor(
    private readonly hub: Hub,
    private readonly clockwork: Clockwork,
    private readonly prng: Prng,
    private readonly events: () => UplinkEvents,
    private readonly tap: Tap,
    private readonly trace: Trace,
    private readonly device: number,
    readonly latencyMs: number,
  ) {}

  open(): void {
    const mine = ++this.generation;
    const step = (delayMs: number, run: () => void): void =>
      this.clockwork.after(delayMs, () => {
        if (mine === this.generation && this.network !== Network.SILENT) run();
      });
    if (this.network === Network.REFUSING) {
      return step(2 * this.latencyMs + 1, () => this.gone(mine, Cause.REFUSED));
    }
    if (this.network === Network.DOWN) {
      const cause = FAILURES[this.prng.below(FAILURES.length)]!;
      const isLate = cause >= Cause.TCP_RESET;
      if (isLate) step(this.latencyMs, () => this.events().onOpened());
      step(this.latencyMs * 2 + 1, () => this.gone(mine, cause));
      return;
    }
    step(2 * this.latencyMs + 1, () => {
      this.events().onOpened();
      step(4 * this.latencyMs + 1, () => this.secured(mine));
    });
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    const taken = this.wire?.write(bytes, start, end) ?? 0;
    if (taken > 0) {
      const chunk = bytes.subarray(start, start + taken);
      this.trace.bytes(this.clockwork.nowMs, this.device, 1, chunk);
      this.tap.out(chunk);
    }
    this.tap.left(bytes.subarray(start + taken, end));
    this.watch();
    return taken;
  }

  end(): void {
    this.wire?.finish();
  }

  abort(): void {
    this.generation++;
    // Design, decision 7: noticed within 30 s while anything is in flight.
    const tookMs = this.clockwork.nowMs - this.deadMs;
    if (tookMs > 30_000) this.tap.onViolation(`half-open link noticed after ${tookMs} ms`);
    this.deadMs = Number.NaN;
    this.wire?.drop();
    this.wire = undefined;
  }

  /** The network cuts the standing connection, if any. */
  cut(): void {
    this.wire?.cut();
  }

  /** The standing connection becomes half-open: both ends believe in it, nothing passes. */
  deaden(): void {
    if (this.wire !== undefined) this.wire.isDead = true;
    this.watch();
  }

  private watch(): void {
    const isDead = this.wire?.isOpen === true && this.wire.isDead;
    if (isDead && Number.isNaN(this.deadMs) && this.tap.inFlight > 0) {
      this.deadMs = this.clockwork.nowMs;
    }
  }

  private secured(mine: number): void {
    this.connections++;
    this.tap.onConnection();
    this.wire = new Wire(this.hub, this.clockwork, this.prng, this.latencyMs, {
      onBytes: (chunk) => {
        if (mine !== this.generation) return;
        this.trace.bytes(this.clockwork.nowMs, this.device, 2, chunk);
        this.tap.in(chunk);
        this.events().onData(chunk);
      },
      onWritable: () => {
        if (mine === this.generation) this.events().onWritable();
      },
      onGone: (isReset) => this.gone(mine, isReset ? Cause.TCP_RESET : Cause.CLOSED_BY_PEER),
    });
    this.events().onSecured();
  }

  private gone(mine: number, cause: Cause): void {
    if (mine !== this.generation) return;
    this.generation++;
    this.wire = undefined;
    this.trace.word(cause);
    this.events().onClosed(cause, "");
  }
}
