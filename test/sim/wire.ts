// Wire: one simulated connection between a gateway's uplink and the hub, with all that networks
// do to bytes: latency, splitting, merging, backpressure, cuts in the middle, silence.
// Neighbours: `uplink` opens it for a gateway; the hub model sits at the other end.
// Invariant: bytes arrive in order or not at all; after a cut nothing more arrives; a dead wire
// (half-open) swallows everything and tells nobody.

import type { Prng } from "../../src/kit/prng.ts";
import type { Connection } from "../azure/model/connection.ts";
import type { Hub } from "../azure/model/hub.ts";
import type { Clockwork } from "./clockwork.ts";

/** What reaches the gateway's side. */
export interface WireEnd {
  onBytes(chunk: Uint8Array): void;
  onWritable(): void;
  onGone(isReset: boolean): void;
}

const SOCKET_BYTES = 16 * 1024;

/** One direction: pieces that travel and arrive in order. */
class Lane {
  private pieces: Uint8Array[] = [];
  private arrivesMs = 0;
  inTransit = 0;

  constructor(
    private readonly clockwork: Clockwork,
    private readonly prng: Prng,
    private readonly latencyMs: number,
    private readonly deliver: (chunk: Uint8Array) => void,
  ) {}

  send(bytes: Uint8Array): void {
    this.inTransit += bytes.length;
    const cut = bytes.length > 1 && this.prng.chance(0.05) ? this.prng.below(bytes.length) : 0;
    if (cut > 0) this.travel(bytes.subarray(0, cut));
    this.travel(bytes.subarray(cut));
  }

  /** Of what is still under way, only a random part arrives: what a cut does. */
  tear(): void {
    const { pieces } = this;
    this.pieces = [];
    const whole = this.prng.below(pieces.length + 1);
    for (let index = 0; index < whole; index++) this.deliver(pieces[index]!);
    const torn = pieces[whole];
    if (torn !== undefined) this.deliver(torn.subarray(0, this.prng.below(torn.length)));
  }

  private travel(piece: Uint8Array): void {
    this.pieces.push(piece);
    const jitter = this.prng.chance(0.1) ? this.prng.below(4 * this.latencyMs + 1) : 0;
    const at = Math.max(this.arrivesMs, this.clockwork.nowMs + this.latencyMs + jitter);
    this.arrivesMs = at;
    this.clockwork.at(at, () => this.arrive());
  }

  /** All that is due by now comes as one read or, now and then, piece by piece. */
  private arrive(): void {
    const pieces = this.pieces;
    if (pieces.length === 0) return;
    // A later piece whose time has not come waits for its own event.
    if (this.arrivesMs > this.clockwork.nowMs || pieces.length === 1 || this.prng.chance(0.3)) {
      const piece = pieces.shift()!;
      this.inTransit -= piece.length;
      if (piece.length > 0) this.deliver(piece);
      return;
    }
    this.pieces = [];
    const merged = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      merged.set(piece, at);
      at += piece.length;
    }
    this.inTransit -= merged.length;
    if (merged.length > 0) this.deliver(merged);
  }
}

/** One TLS connection, once it stands. */
export class Wire {
  private readonly toHub: Lane;
  private readonly toGateway: Lane;
  private readonly connection: Connection;
  /** False once either side or the network has ended it. */
  isOpen = true;
  /** True while the network swallows everything. */
  isDead = false;
  private isFull = false;

  constructor(
    hub: Hub,
    private readonly clockwork: Clockwork,
    private readonly prng: Prng,
    private readonly latencyMs: number,
    private readonly end: WireEnd,
  ) {
    this.toHub = new Lane(clockwork, prng, latencyMs, (chunk) => {
      if (!this.isOpen || this.isDead || chunk.length === 0) return;
      this.connection.onData(chunk);
      this.relieve();
    });
    this.toGateway = new Lane(clockwork, prng, latencyMs, (chunk) => {
      if (this.isOpen && !this.isDead && chunk.length > 0) end.onBytes(chunk);
    });
    this.connection = hub.accept({
      send: (bytes) => {
        if (!this.isDead) this.toGateway.send(bytes);
      },
      close: () => this.closedByHub(),
    });
  }

  /** Takes bytes[start..end) as far as there is room; now and then only a part. */
  write(bytes: Uint8Array, start: number, end: number): number {
    if (!this.isOpen) return 0;
    const room = Math.max(0, SOCKET_BYTES - this.toHub.inTransit);
    let taken = Math.min(end - start, room);
    if (taken > 1 && this.prng.chance(0.02)) taken = 1 + this.prng.below(taken - 1);
    if (taken > 0) this.toHub.send(bytes.slice(start, start + taken));
    if (taken < end - start) {
      this.isFull = true;
      // A part was refused although there is room: the socket becomes writable soon.
      if (room > taken) this.clockwork.after(1, () => this.relieve());
    }
    return taken;
  }

  /** The gateway half-closes: what it wrote arrives, then the hub sees the end. */
  finish(): void {
    this.clockwork.after(this.latencyMs * 6, () => {
      if (!this.isOpen || this.isDead) return;
      this.isOpen = false;
      this.connection.onClosed();
      this.end.onGone(false);
    });
  }

  /** The gateway forgets it. */
  drop(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    if (!this.isDead) this.clockwork.after(this.latencyMs, () => this.connection.onClosed());
  }

  /** The network cuts it: part of what is under way still arrives, then both sides know. */
  cut(): void {
    if (!this.isOpen || this.isDead) return;
    this.toHub.tear();
    this.toGateway.tear();
    if (!this.isOpen) return;
    this.isOpen = false;
    this.connection.onClosed();
    this.clockwork.after(this.prng.below(50), () => this.end.onGone(true));
  }

  private closedByHub(): void {
    if (!this.isOpen || this.isDead) return;
    this.clockwork.after(this.latencyMs * 6, () => {
      if (!this.isOpen || this.isDead) return;
      this.isOpen = false;
      this.end.onGone(false);
    });
  }

  private relieve(): void {
    if (!this.isFull || !this.isOpen || this.isDead) return;
    this.isFull = false;
    this.end.onWritable();
  }
}
