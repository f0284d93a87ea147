/**
 * The MQTT codec: the package mqtt-packet, one whole frame at a time. Neighbours: `guard.ts` has
 * judged the frame before; `outbox.ts` receives what is written.
 * Invariant: strings of a decoded packet are its own, payloads are views into the frame.
 */
import { type Packet, parser, writeToStream } from "mqtt-packet";
import type { Outbox } from "./outbox.ts";

export type {
  IConnectPacket as ConnectPacket,
  IPublishPacket as PublishPacket,
  ISubscribePacket as SubscribePacket,
  IUnsubscribePacket as UnsubscribePacket,
  Packet,
} from "mqtt-packet";

/** Decoder for frames of protocol level 4; one serves all connections of a hub. */
export class Codec {
  private readonly parser = parser({ protocolVersion: 4 });
  private packet: Packet | null = null;
  /** Why the last `decode` gave null. */
  problem = "";

  constructor() {
    this.parser.on("packet", (packet) => {
      this.packet = packet;
    });
    this.parser.on("error", (error: Error) => {
      this.problem = error.message;
    });
  }

  /** The packet in `frame` (exactly one, whole), or null with `problem` set. */
  decode(frame: Buffer): Packet | null {
    this.packet = null;
    this.problem = "";
    const rest = this.parser.parse(frame);
    if (this.problem !== "") return null;
    if (rest !== 0 || this.packet === null) {
      this.problem = "packet length does not fit its content";
      return null;
    }
    return this.packet;
  }
}

/** Writes `packet` into `outbox`; a packet that cannot be written throws. */
export function encode(packet: Packet, outbox: Outbox): void {
  writeToStream(packet, outbox as unknown as NodeJS.WritableStream);
}
