// Hand: MQTT packets made and read by hand, byte by byte.
// Neighbours: `rig` plays the hub with them; nothing of `src` has a part in it.
// Invariant: only what the rig needs: packets of the hub, and those that the agent sends.

/** MQTT packets by hand, for the hub's side: fixed header and body. */
export function packet(first: number, body: readonly number[]): Uint8Array {
  const length: number[] = [];
  let rest = body.length;
  do {
    length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>= 7;
  } while (rest > 0);
  return Uint8Array.from([first, ...length, ...body]);
}

const bytesOf = (text: string): number[] => [...new TextEncoder().encode(text)];

export const connack = (code = 0, present = false): Uint8Array =>
  packet(0x20, [present ? 1 : 0, code]);
export const suback = (identifier: number, codes: readonly number[] = [0, 0]): Uint8Array =>
  packet(0x90, [identifier >> 8, identifier & 0xff, ...codes]);
export const puback = (identifier: number): Uint8Array =>
  packet(0x40, [identifier >> 8, identifier & 0xff]);
export const pingresp = (): Uint8Array => packet(0xd0, []);
export function publish(topic: string, payload: string, identifier = 0): Uint8Array {
  const name = bytesOf(topic);
  const id = identifier === 0 ? [] : [identifier >> 8, identifier & 0xff];
  const head = [name.length >> 8, name.length & 0xff, ...name, ...id];
  return packet(identifier === 0 ? 0x30 : 0x32, [...head, ...bytesOf(payload)]);
}

/** One packet that the turn sent. */
export interface Sent {
  readonly type: number;
  readonly flags: number;
  readonly body: Uint8Array;
  /** Of a PUBLISH. */
  readonly topic: string;
  readonly payload: string;
  readonly identifier: number;
}

/** One whole packet of the agent, from its first byte and its body. */
export function parsed(first: number, body: Uint8Array): Sent {
  const text = new TextDecoder();
  const type = first >> 4;
  const word = (at: number): number => (body[at]! << 8) | body[at + 1]!;
  if (type !== 3) {
    const identifier = body.length >= 2 && type !== 1 ? word(0) : 0;
    return { type, flags: first & 15, body, topic: "", payload: "", identifier };
  }
  const end = 2 + word(0);
  const qos = (first >> 1) & 3;
  return {
    type,
    flags: first & 15,
    body,
    topic: text.decode(body.subarray(2, end)),
    identifier: qos > 0 ? word(end) : 0,
    payload: text.decode(body.subarray(qos > 0 ? end + 2 : end)),
  };
}
