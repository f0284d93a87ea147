// Bytes: MQTT 3.1.1 packets written by hand, right ones and wrong ones alike.
// Neighbours: `raw.ts` sends them; `framing`, `entry` and `load` say what must come back.
// Invariant: nothing is checked here, so that everything can be written.

/** Control packet types (MQTT 3.1.1, table 2.1), in the upper half of the first byte. */
export const CONNECT = 0x10;
export const PUBLISH = 0x30;
export const PUBACK = 0x40;
export const SUBSCRIBE = 0x82;
export const UNSUBSCRIBE = 0xa2;

export const PINGREQ = Uint8Array.of(0xc0, 0);
export const PINGRESP = Uint8Array.of(0xd0, 0);
export const DISCONNECT = Uint8Array.of(0xe0, 0);

const DUP = 8;
const RETAIN = 1;

/** Flags of CONNECT. */
export const USERNAME = 0x80;
export const PASSWORD = 0x40;
export const WILL_RETAIN = 0x20;
export const WILL = 0x04;
export const CLEAN = 0x02;

/** Two bytes, big-endian. */
export function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 255);
}

/** A field with its length before it. */
export function field(content: string | Uint8Array): Buffer {
  const bytes = Buffer.from(content as string);
  return Buffer.concat([u16(bytes.length), bytes]);
}

/** Remaining length in as few bytes as it takes. */
export function length(value: number): Buffer {
  const bytes: number[] = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value >>= 7;
  } while (value > 0);
  return Buffer.from(bytes);
}

/** A packet from its first byte and the parts of its body. */
export function packet(first: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(first), length(body.length), body]);
}

/** What a CONNECT may be made of. */
export interface Connect {
  readonly first?: number;
  readonly name?: string | Uint8Array;
  readonly level?: number;
  readonly flags?: number;
  readonly keepAliveS?: number;
  /** Fields of the payload in their order, lengths not included. */
  readonly fields: readonly (string | Uint8Array)[];
  /** Bytes behind the last field. */
  readonly tail?: Uint8Array;
}

export function connect(made: Connect): Buffer {
  const { first = CONNECT, name = "MQTT", level = 4, flags = USERNAME | PASSWORD } = made;
  const head = [field(name), Buffer.of(level, flags), u16(made.keepAliveS ?? 60)];
  return packet(first, ...head, ...made.fields.map(field), made.tail ?? Buffer.alloc(0));
}

/** What a PUBLISH may be made of beside topic and body. */
export interface Publish {
  readonly qos?: number;
  readonly id?: number;
  readonly isDup?: boolean;
  readonly isRetained?: boolean;
}

export function publish(topic: string | Uint8Array, body: string | Uint8Array, made: Publish = {}) {
  const { qos = 0, id = 0, isDup = false, isRetained = false } = made;
  const first = PUBLISH | (isDup ? DUP : 0) | (qos << 1) | (isRetained ? RETAIN : 0);
  const identifier = qos > 0 ? [u16(id)] : [];
  return packet(first, field(topic), ...identifier, Buffer.from(body as string));
}

export function puback(id: number): Buffer {
  return packet(PUBACK, u16(id));
}

export function subscribe(id: number, ...filters: readonly (readonly [string, number])[]): Buffer {
  const parts = filters.flatMap(([filter, qos]) => [field(filter), Buffer.of(qos)]);
  return packet(SUBSCRIBE, u16(id), ...parts);
}

export function unsubscribe(id: number, ...filters: readonly string[]): Buffer {
  return packet(UNSUBSCRIBE, u16(id), ...filters.map(field));
}

/** CONNACK as it must be, byte for byte. */
export function connack(code: number, hasSession = false): Buffer {
  return Buffer.of(0x20, 2, hasSession ? 1 : 0, code);
}
