// Tap: listens to the packets between one gateway and the wire, and judges them by the standard.
// Neighbours: `uplink` feeds it both directions; `ledger` counts what it finds.
// Invariant: knows only what is on the wire and the configured window, nothing of our machines.

/** What a tap tells. */
export interface TapEvents {
  onViolation(text: string): void;
  /** The PUBACK of the message with this id has come in. */
  onAcknowledged(id: string): void;
  /** The gateway says goodbye. */
  onDisconnect(): void;
}

/** Cuts a byte stream into packets; keeps only what a torn packet needs. */
class Framer {
  private rest = new Uint8Array(0);

  constructor(private readonly onPacket: (bytes: Uint8Array, start: number, end: number) => void) {}

  reset(): void {
    this.rest = new Uint8Array(0);
  }

  feed(chunk: Uint8Array): void {
    let bytes = chunk;
    if (this.rest.length > 0) {
      bytes = new Uint8Array(this.rest.length + chunk.length);
      bytes.set(this.rest);
      bytes.set(chunk, this.rest.length);
    }
    let at = 0;
    while (at < bytes.length) {
      const end = packetEnd(bytes, at);
      if (end < 0 || end > bytes.length) break;
      this.onPacket(bytes, at, end);
      at = end;
    }
    this.rest = bytes.slice(at);
  }
}

function packetEnd(bytes: Uint8Array, start: number): number {
  let length = 0;
  for (let at = start + 1, shift = 0; at < bytes.length && shift <= 21; at++, shift += 7) {
    length |= (bytes[at]! & 0x7f) << shift;
    if (bytes[at]! < 0x80) return at + 1 + length;
  }
  return -1;
}

function bodyStart(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  while (bytes[at]! >= 0x80) at++;
  return at + 1;
}

const AMPERSAND = 0x26;
const MID = [..."%24.mid="].map((char) => char.charCodeAt(0));

/** The message id in a topic, "" when there is none. */
function idIn(bytes: Uint8Array, start: number, end: number): string {
  for (let at = start; at + MID.length < end; at++) {
    if (!MID.every((byte, index) => bytes[at + index] === byte)) continue;
    let id = "";
    for (let from = at + MID.length; from < end && bytes[from] !== AMPERSAND; from++) {
      id += String.fromCharCode(bytes[from]!);
    }
    return id;
  }
  return "";
}

/** Judges one gateway over all its connections. */
export class Tap {
  /** Identifier by message id of messages sent and not seen acknowledged. */
  private readonly open = new Map<string, number>();
  private readonly unacknowledged = new Set<number>();
  /** Of each source on this connection, the number of its last message. */
  private readonly last = new Map<string, number>();
  private isFirst = true;
  /** Offered to the socket and not taken: attempted, though nobody saw it. */
  private offered = new Uint8Array(0);
  private isAttempt = false;
  private readonly outward = new Framer((bytes, start, end) => this.onOut(bytes, start, end));
  private readonly inward = new Framer((bytes, start) => this.onIn(bytes, start));

  constructor(
    private readonly window: number,
    private readonly events: TapEvents,
  ) {}

  /** A new connection: nothing of the old one is in flight on it. */
  onConnection(): void {
    // MQTT-3.3.1-1: DUP tells of an attempt, and what the socket did not take was one.
    this.isAttempt = true;
    this.outward.feed(this.offered);
    this.isAttempt = false;
    this.offered = new Uint8Array(0);
    this.outward.reset();
    this.inward.reset();
    this.unacknowledged.clear();
    this.last.clear();
    this.isFirst = true;
  }

  /** The gateway has forgotten what it sent: it comes as new. */
  onCut(): void {
    this.open.clear();
    this.offered = new Uint8Array(0);
  }

  out(chunk: Uint8Array): void {
    this.outward.feed(chunk);
  }

  /** What the socket has not taken of the last write. */
  left(bytes: Uint8Array): void {
    this.offered = bytes.slice();
  }

  in(chunk: Uint8Array): void {
    this.inward.feed(chunk);
  }

  /** Messages of this connection whose PUBACK has not come in. */
  get inFlight(): number {
    return this.unacknowledged.size;
  }

  onViolation(text: string): void {
    this.events.onViolation(text);
  }

  private onOut(bytes: Uint8Array, start: number, end: number): void {
    const first = bytes[start]!;
    const type = first >> 4;
    // MQTT-3.1.0-1 and MQTT-3.1.0-2: CONNECT comes first and once.
    if (!this.isAttempt && this.isFirst !== (type === 1))
      this.events.onViolation("CONNECT is not first and only once");
    this.isFirst = false;
    if (type === 14 && !this.isAttempt) this.events.onDisconnect();
    if (type !== 3 || (first & 0x06) === 0) return;
    const body = bodyStart(bytes, start);
    const topicEnd = body + 2 + ((bytes[body]! << 8) | bytes[body + 1]!);
    const identifier = (bytes[topicEnd]! << 8) | bytes[topicEnd + 1]!;
    if (topicEnd + 2 > end) return this.events.onViolation("PUBLISH with a short body");
    const id = idIn(bytes, body + 2, topicEnd);
    if (this.isAttempt) this.open.set(id, identifier);
    else this.onMessage(id, identifier, (first & 0x08) !== 0);
  }

  private onMessage(id: string, identifier: number, dup: boolean): void {
    const { events, open, unacknowledged } = this;
    const before = open.get(id);
    if (identifier === 0) events.onViolation("identifier 0");
    if (unacknowledged.has(identifier)) events.onViolation(`identifier ${identifier} in use`);
    unacknowledged.add(identifier);
    if (unacknowledged.size > this.window) {
      events.onViolation(`${unacknowledged.size} in flight, window ${this.window}`);
    }
    if (before === undefined && dup) events.onViolation(`DUP at first delivery of ${id}`);
    if (before !== undefined && !dup) events.onViolation(`redelivery of ${id} without DUP`);
    if (before !== undefined && before !== identifier) {
      events.onViolation(`redelivery of ${id} under another identifier`);
    }
    const [source, sequence] = [
      id.slice(0, id.indexOf(".")),
      Number(id.slice(id.indexOf(".") + 1)),
    ];
    const last = this.last.get(source) ?? 0;
    if (sequence <= last) events.onViolation(`${id} sent after ${last}`);
    this.last.set(source, sequence);
    open.set(id, identifier);
  }

  private onIn(bytes: Uint8Array, start: number): void {
    if (bytes[start]! >> 4 !== 4) return;
    const identifier = (bytes[start + 2]! << 8) | bytes[start + 3]!;
    if (!this.unacknowledged.delete(identifier)) return;
    for (const [id, owner] of this.open) {
      if (owner !== identifier) continue;
      this.open.delete(id);
      this.events.onAcknowledged(id);
      return;
    }
  }
}
