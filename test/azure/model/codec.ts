/**
 * The MQTT codec: the package mqtt-packet, one whole frame at a time. Neighbours: `guard.ts` has
 * judged the frame before; `outbox.ts` receives what is written.
 * Invariant: strings of a decoded packet are its own, payloads are views into the frame.
 */
import { type Packet, type Parser, parser, writeToStream } from "mqtt-packet";
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
  private parser = this.fresh();
  private packet: Packet | null = null;
  /** Why the last `decode` gave null. */
  problem = "";

  /** The packet in `frame` (exactly one, whole), or null with `problem` set. */
  decode(frame: Buffer): Packet | null {
    this.packet = null;
    this.problem = "";
    const rest = this.parser.parse(frame);
    const isWhole = rest === 0 && this.packet !== null;
    if (this.problem === "" && isWhole) return this.packet;
    if (this.problem === "") this.problem = "packet length does not fit its content";
    // After an error the package's parser keeps what it has read and misreads all that follows.
    this.parser = this.fresh();
    return null;
  }

  private fresh(): Parser {
    const made = parser({ protocolVersion: 4 });
    made.on("packet", (packet) => {
      this.packet = packet;
    });
    made.on("error", (error: Error) => {
      this.problem = error.message;
    });
    return made;
  }
}

/** Writes `packet` into `outbox`; a packet that cannot be written throws. */
export function encode(packet: Packet, outbox: Outbox): void {
  writeToStream(packet, outbox as unknown as NodeJS.WritableStream);
}
