/**
 * PUBLISH from a device: telemetry, twin requests, method answers, and nothing else. Neighbours:
 * `connection.ts` brings the packet; `twins.ts` and `methods.ts` do the rest of the work.
 * Invariant: the topic set is closed; what is off the list ends the connection without a word.
 */
import { isUtf8 } from "node:buffer";
import { decodeBag, put } from "./bag.ts";
import type { PublishPacket } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { HubCode } from "./errors.ts";
import { onTwinGet, onTwinReport } from "./twins.ts";

const TWIN_GET = "$iothub/twin/GET/";
const TWIN_REPORT = "$iothub/twin/PATCH/properties/reported/";
const METHOD_ANSWER = "$iothub/methods/res/";
/** Time over which an overload counts as sustained, s. */
const OVERLOAD_S = 10;

/** Telemetry topic of a device, without the slash before the bag. */
export function eventsTopic(deviceId: string): string {
  return `devices/${deviceId}/messages/events`;
}

/** A well-formed PUBLISH on a connection that is up. */
export function onPublish(connection: Connection, packet: PublishPacket): void {
  const { topic } = packet;
  if (packet.qos === 2) {
    connection.close(HubCode.ArgumentInvalid, `QoS 2 publish to ${topic}`);
    return;
  }
  const base = eventsTopic(connection.deviceId);
  if (topic.startsWith(base) && (topic.length === base.length || topic[base.length] === "/")) {
    onTelemetry(connection, packet, topic.slice(base.length + 1));
    return;
  }
  const payload = packet.payload as Buffer;
  if (topic.startsWith(TWIN_GET)) {
    onTwinGet(connection, topic.slice(TWIN_GET.length));
  } else if (topic.startsWith(TWIN_REPORT)) {
    onTwinReport(connection, topic.slice(TWIN_REPORT.length), payload);
  } else if (topic.startsWith(METHOD_ANSWER)) {
    connection.context.methods.onAnswer(connection, topic.slice(METHOD_ANSWER.length), payload);
  } else {
    connection.close(HubCode.ArgumentInvalid, `publish to ${topic}, which is off the hub's list`);
    return;
  }
  if (packet.qos === 1) acknowledge(connection, packet.messageId!);
}

/** The will of a connection that ended without DISCONNECT, as telemetry. */
export function publishWill(connection: Connection, will: NonNullable<Connection["will"]>): void {
  const base = eventsTopic(connection.deviceId);
  const packet: PublishPacket = {
    cmd: "publish",
    topic: will.topic,
    payload: will.payload,
    qos: will.qos ?? 0,
    dup: false,
    retain: will.retain === true,
  };
  report(connection, packet, will.topic.slice(base.length + 1), true);
}

function onTelemetry(connection: Connection, packet: PublishPacket, bagText: string): void {
  const { context, deviceId } = connection;
  if (context.options.overloadPerS > 0 && isOverload(connection)) {
    const text = `more than ${context.options.overloadPerS} messages a second`;
    connection.close(HubCode.ThrottleBacklogLimitExceeded, text);
    return;
  }
  if (context.faults.fires("throttle", deviceId, (fault) => fault.isDisconnect) !== undefined) {
    connection.close(HubCode.ThrottleBacklogLimitExceeded, "fault throttle");
    return;
  }
  const problem = report(connection, packet, bagText, false);
  if (problem !== "") {
    connection.close(HubCode.ArgumentInvalid, problem);
    return;
  }
  if (context.faults.dropsPublish(deviceId)) {
    const text = "fault drop: after this publish was taken, before its PUBACK";
    connection.close(HubCode.DeviceConnectionClosedRemotely, text);
    return;
  }
  if (packet.qos === 1) acknowledge(connection, packet.messageId!);
}

/** Takes a message; the text is why it cannot be taken. */
function report(
  connection: Connection,
  packet: PublishPacket,
  bagText: string,
  isWill: boolean,
): string {
  const { context, deviceId } = connection;
  const properties = decodeBag(bagText);
  if (typeof properties === "string") return properties;
  if (packet.retain) put(properties.app, "mqtt-retain", "true");
  if (packet.dup) put(properties.app, "mqtt-dup", "true");
  if (isWill) put(properties.app, "iothub-MessageType", "Will");
  const payload = packet.payload as Buffer;
  const encoding = isUtf8(payload) ? "utf8" : "base64";
  if (connection.device !== undefined) connection.device.activityMs = context.nowMs();
  context.emit({
    type: "telemetry",
    at: context.at(),
    deviceId,
    topic: packet.topic,
    properties,
    payload: payload.toString(encoding),
    encoding,
    bytes: payload.length,
    qos: packet.qos,
    dup: packet.dup,
    retain: packet.retain,
    packetId: packet.messageId ?? 0,
  });
  return "";
}

/** A bucket that holds ten seconds' worth of messages and refills at the allowed rate. */
function isOverload(connection: Connection): boolean {
  const { options } = connection.context;
  const nowMs = connection.context.nowMs();
  const full = options.overloadPerS * OVERLOAD_S;
  const isFirst = connection.creditMs === 0;
  const refill = ((nowMs - connection.creditMs) / 1000) * options.overloadPerS;
  connection.credit = isFirst ? full : Math.min(full, connection.credit + refill);
  connection.creditMs = nowMs;
  connection.credit--;
  return connection.credit < 0;
}

/** PUBACK now, late or never, always in order (MQTT-4.6.0-2). */
function acknowledge(connection: Connection, messageId: number): void {
  const { context, deviceId, lateAcks } = connection;
  const { faults } = context;
  if (faults.fires("no-puback", deviceId) !== undefined) return;
  const delay = faults.fires("delay-puback", deviceId)?.value ?? 0;
  const last = lateAcks[lateAcks.length - 1];
  if (delay === 0 && last === undefined) {
    connection.send({ cmd: "puback", messageId });
    return;
  }
  const dueMs = Math.max(context.nowMs() + delay, last?.dueMs ?? 0);
  lateAcks.push({ messageId, dueMs });
  context.agenda.at(dueMs, () => {
    const ack = lateAcks.shift();
    if (ack !== undefined) connection.send({ cmd: "puback", messageId: ack.messageId });
  });
}
