// The second opinion: mqtt-packet reads the same bytes into a trace of the same form.
// Neighbours: trace.ts has the form, check.ts compares.
// Invariant: what it refuses comes back as its message, never as an exception.

import * as mqtt from "mqtt-packet";
import { PacketType } from "../../src/codec/packet.ts";
import { hash, type Trace } from "./trace.ts";

/** Reads `bytes` into `trace`; "" or the peer's first complaint. */
export function peerReads(bytes: Uint8Array, trace: Trace): string {
  const parser = mqtt.parser({ protocolVersion: 4 });
  let complaint = "";
  parser.on("packet", (packet) => add(packet, trace));
  parser.on("error", (error) => {
    if (complaint === "") complaint = error.message;
  });
  try {
    parser.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  } catch (error) {
    complaint = String(error);
  }
  return complaint;
}

function add(packet: mqtt.Packet, trace: Trace): void {
  switch (packet.cmd) {
    case "connack": {
      const flags = packet.sessionPresent ? 1 : 0;
      trace.add(PacketType.CONNACK, flags, packet.returnCode ?? -1);
      return;
    }
    case "publish": {
      const topic = Buffer.from(packet.topic);
      const payload = Buffer.from(packet.payload);
      const flags = (packet.dup ? 8 : 0) | (packet.qos << 1) | (packet.retain ? 1 : 0);
      trace.add(
        PacketType.PUBLISH,
        flags,
        packet.messageId ?? 0,
        hash(topic, 0, topic.length),
        topic.length,
        hash(payload, 0, payload.length),
        payload.length,
      );
      return;
    }
    case "suback": {
      const codes = Uint8Array.from(packet.granted as number[]);
      const identifier = packet.messageId ?? 0;
      trace.add(PacketType.SUBACK, 0, identifier, hash(codes, 0, codes.length), codes.length);
      return;
    }
    case "puback":
      trace.add(PacketType.PUBACK, 0, packet.messageId ?? 0);
      return;
    case "unsuback":
      trace.add(PacketType.UNSUBACK, 0, packet.messageId ?? 0);
      return;
    case "pingresp":
      trace.add(PacketType.PINGRESP, 0, 0);
      return;
    default:
      trace.add(-1, 0, 0);
  }
}
