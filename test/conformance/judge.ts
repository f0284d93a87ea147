// Judge: reads one connection's bytes as MQTT 3.1.1 and finds what the agent did wrong.
// Neighbours: `tap` wrote the bytes down; the decoder is the package mqtt-packet, and a frame
// must be, byte for byte, what that package would write. Invariant: whatever is not allowed here
// is a problem; the judge knows nothing of the agent's code.

import { generate, type Packet, parser } from "mqtt-packet";
import type { Piece, Wire } from "./tap.ts";

/** A packet and its bytes. */
export interface Heard {
  readonly atMs: number;
  readonly frame: Buffer;
  readonly packet: Packet;
}

const PUBLISH_DUP = 8;

/** Size of the frame at the start of `bytes`, 0 when it is not whole; throws beyond 4 bytes. */
function frameSize(bytes: Buffer): number {
  let remaining = 0;
  for (let at = 1; at < bytes.length; at++) {
    if (at > 4) throw new Error("a remaining length of more than 4 bytes");
    remaining += (bytes[at]! & 127) << (7 * (at - 1));
    if (bytes[at]! > 127) continue;
    return bytes.length > at + remaining ? at + 1 + remaining : 0;
  }
  return 0;
}

function decoded(frame: Buffer): Packet {
  let packet: Packet | undefined;
  const reader = parser({ protocolVersion: 4 });
  reader.on("packet", (each) => {
    packet = each;
  });
  reader.on("error", (error) => {
    throw error;
  });
  const rest = reader.parse(frame);
  if (packet === undefined || rest !== 0) throw new Error(`no packet: ${frame.toString("hex")}`);
  return packet;
}

/** All whole packets of one direction; bytes of a packet that was cut off are left out. */
export function packets(pieces: readonly Piece[]): Heard[] {
  const found: Heard[] = [];
  let rest = Buffer.alloc(0);
  for (const { atMs, bytes } of pieces) {
    rest = Buffer.concat([rest, bytes]);
    for (let size = frameSize(rest); size > 0; size = frameSize(rest)) {
      const frame = rest.subarray(0, size);
      found.push({ atMs, frame, packet: decoded(frame) });
      rest = rest.subarray(size);
    }
  }
  return found;
}

/** What is wrong with a packet for itself. */
function packetProblem({ frame, packet }: Heard, deviceId: string): string {
  const canonical = generate(packet);
  if (!canonical.equals(frame)) {
    return `not as it would be written: ${frame.toString("hex")}, ${canonical.toString("hex")}`;
  }
  switch (packet.cmd) {
    case "connect":
    case "pingreq":
    case "disconnect":
      return "";
    case "puback":
    case "subscribe":
    case "unsubscribe":
      return packet.messageId! > 0 ? "" : "identifier 0";
    case "publish": {
      if (packet.retain) return "RETAIN set";
      if (packet.qos === 2) return "QoS 2";
      if (packet.qos === 0 && packet.dup) return "DUP at QoS 0 [MQTT-3.3.1-2]";
      if (packet.qos === 1 && packet.messageId! < 1) return "identifier 0 [MQTT-2.3.1-1]";
      const isKnown = TOPICS.some((form) => form(deviceId).test(packet.topic));
      return isKnown ? "" : `publish to ${packet.topic}`;
    }
    default:
      return `${packet.cmd} from a client`;
  }
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Every form of topic that a device may publish to (azure.md 4.4). */
const TOPICS: readonly ((deviceId: string) => RegExp)[] = [
  (id) => new RegExp(`^devices/${escaped(id)}/messages/events/`),
  () => /^\$iothub\/twin\/GET\/\?\$rid=[^&]+$/,
  () => /^\$iothub\/twin\/PATCH\/properties\/reported\/\?\$rid=[^&]+$/,
  () => /^\$iothub\/methods\/res\/-?\d+\/\?\$rid=[^&]+$/,
];

/** Both directions in the order in which they passed. */
function merged(wire: Wire): { isUp: boolean; heard: Heard }[] {
  const up = packets(wire.up).map((heard) => ({ isUp: true, heard }));
  const down = packets(wire.down).map((heard) => ({ isUp: false, heard }));
  return [...up, ...down].sort((a, b) => a.heard.atMs - b.heard.atMs);
}

/** State of the conversation as both ends must see it. */
class Conversation {
  isWelcome = false;
  isOver = false;
  /** Identifiers of requests without an answer, with the packet that must answer. */
  readonly open = new Map<number, string>();
  /** Messages from the hub without a PUBACK. */
  readonly owed: number[] = [];

  up({ packet }: Heard, index: number, window: number): string {
    if (this.isOver) return `${packet.cmd} after DISCONNECT [MQTT-3.14.4-2]`;
    if ((packet.cmd === "connect") !== (index === 0)) return `${packet.cmd} as number ${index + 1}`;
    if (index > 0 && !this.isWelcome) return `${packet.cmd} before CONNACK`;
    switch (packet.cmd) {
      case "subscribe":
        return this.begin(packet.messageId!, "suback");
      case "publish":
        return packet.qos === 0 ? "" : this.publish(packet.messageId!, window);
      case "puback": {
        const due = this.owed.shift();
        return due === packet.messageId ? "" : `PUBACK ${packet.messageId}, ${due ?? "none"} due`;
      }
      case "disconnect":
        this.isOver = true;
        return "";
      default:
        return "";
    }
  }

  down({ packet }: Heard): void {
    if (packet.cmd === "connack") this.isWelcome = packet.returnCode === 0;
    if (packet.cmd === "publish" && packet.qos === 1) this.owed.push(packet.messageId!);
    if (packet.cmd !== "puback" && packet.cmd !== "suback") return;
    if (this.open.get(packet.messageId!) === packet.cmd) this.open.delete(packet.messageId!);
  }

  private publish(id: number, window: number): string {
    const waiting = [...this.open.values()].filter((answer) => answer === "puback").length;
    if (waiting >= window) return `more than ${window} messages in flight`;
    return this.begin(id, "puback");
  }

  private begin(id: number, answer: string): string {
    if (this.open.has(id)) return `identifier ${id} used twice [MQTT-2.3.1-2]`;
    this.open.set(id, answer);
    return "";
  }
}

/** Everything that is wrong with the agent's side of a connection, one line each. */
export function problems(wire: Wire, deviceId: string, window = 8): string[] {
  const found: string[] = [];
  const conversation = new Conversation();
  let index = 0;
  for (const { isUp, heard } of merged(wire)) {
    if (!isUp) {
      conversation.down(heard);
      continue;
    }
    const own = packetProblem(heard, deviceId);
    const inPlace = conversation.up(heard, index++, window);
    for (const problem of [own, inPlace]) if (problem !== "") found.push(problem);
  }
  return found;
}

/** A QoS 1 PUBLISH without its DUP flag, for comparing a message with its second copy. */
export function withoutDup(frame: Buffer): Buffer {
  const copy = Buffer.from(frame);
  copy[0]! &= ~PUBLISH_DUP;
  return copy;
}
