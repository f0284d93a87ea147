/**
 * One cloud-to-device message: what it carries, where it stands, its topic on the wire.
 * Neighbours: `mailbox.ts` moves it from place to place.
 * Invariant: a message that is done is in no mailbox; its lock token changes with each delivery.
 */
import type { Entry } from "./agenda.ts";
import { encodeBag, wireKey } from "./bag.ts";
import { isoTime, parseIso } from "./calendar.ts";
import { HubCode, invalid, ServiceError } from "./errors.ts";
import type { Bag } from "./events.ts";
import type { HubLimits } from "./options.ts";
import { randomUuid, type World } from "./world.ts";

/** Where a message is. */
export enum Place {
  /** Waits for a delivery. */
  Queue = 0,
  /** Published with QoS 1, not acknowledged. */
  Flight = 1,
  /** Received over REST, not settled. */
  Lock = 2,
  /** Completed, expired, given up or purged. */
  Done = 3,
}

/** A cloud-to-device message. */
export interface Mail {
  readonly sequence: number;
  readonly messageId: string;
  readonly bag: Bag;
  readonly body: Buffer;
  /** `iothub-ack`: none, positive, negative or full. */
  readonly ack: string;
  readonly enqueuedMs: number;
  readonly expiryMs: number;
  place: Place;
  /** Packet identifier of its PUBLISH in the present session, 0 when it has none. */
  identifier: number;
  deliveries: number;
  lock: string;
  lockEntry: Entry | undefined;
  expiryEntry: Entry | undefined;
}

const TOPIC_BYTES_MAX = 65_535;
const ACKS = ["none", "positive", "negative", "full"];

function expiryOf(bag: Bag, nowMs: number, limits: HubLimits): number {
  const asked = bag.system.expiry;
  if (asked === undefined || asked === null) return nowMs + limits.c2dLifeS * 1000;
  const expiryMs = parseIso(asked);
  if (!(expiryMs > nowMs))
    throw invalid("$.exp must be an ISO 8601 UTC time that is still to come");
  return Math.min(expiryMs, nowMs + limits.c2dLifeMaxS * 1000);
}

function bagBytes(bag: Bag): number {
  let bytes = 0;
  for (const value of Object.values(bag.system)) bytes += Buffer.byteLength(value ?? "");
  for (const [key, value] of Object.entries(bag.app)) {
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value ?? "");
  }
  return bytes;
}

/** Makes a message; throws 400 or 413. */
export function makeMail(
  sequence: number,
  body: Uint8Array,
  bag: Bag,
  world: World,
  limits: HubLimits,
): Mail {
  const nowMs = world.nowMs();
  const bytes = body.length + bagBytes(bag);
  if (bytes > limits.c2dBytesMax) {
    const text = `message of ${bytes} bytes, ${limits.c2dBytesMax} are allowed`;
    throw new ServiceError(HubCode.MessageTooLarge, text);
  }
  const ack = bag.app["iothub-ack"] ?? "none";
  if (!ACKS.includes(ack)) throw invalid(`iothub-ack must be one of ${ACKS.join(", ")}`);
  return {
    sequence,
    messageId: bag.system.messageId ?? randomUuid(world),
    bag,
    body: Buffer.from(body),
    ack,
    enqueuedMs: nowMs,
    expiryMs: expiryOf(bag, nowMs, limits),
    place: Place.Queue,
    identifier: 0,
    deliveries: 0,
    lock: "",
    lockEntry: undefined,
    expiryEntry: undefined,
  };
}

/** Throws 413 when the properties do not fit into a topic, which MQTT bounds. */
export function demandTopic(mail: Mail, deviceId: string, rawDollar: boolean): void {
  const bytes = Buffer.byteLength(mailTopic(mail, deviceId, rawDollar));
  if (bytes <= TOPIC_BYTES_MAX) return;
  const text = `properties make a topic of ${bytes} bytes, ${TOPIC_BYTES_MAX} are allowed`;
  throw new ServiceError(HubCode.MessageTooLarge, text);
}

/** Topic under which a device gets the message: the bag tells its id, address, and the rest. */
export function mailTopic(mail: Mail, deviceId: string, rawDollar: boolean): string {
  const base = `devices/${deviceId}/messages/devicebound/`;
  const pairs: [string, string | null][] = [
    ["$.mid", mail.messageId],
    ["$.to", `/devices/${deviceId}/messages/devicebound`],
  ];
  for (const [name, value] of Object.entries(mail.bag.system)) {
    if (name !== "messageId" && name !== "to") pairs.push([wireKey(name), value]);
  }
  pairs.push(...Object.entries(mail.bag.app));
  return base + encodeBag(pairs, rawDollar);
}

/** Fields of a feedback record but its status. */
export function feedbackOf(mail: Mail, deviceId: string, generationId: string) {
  return {
    originalMessageId: mail.messageId,
    deviceId,
    deviceGenerationId: generationId,
    enqueuedTimeUtc: isoTime(mail.enqueuedMs),
  };
}
