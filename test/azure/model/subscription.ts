/**
 * SUBSCRIBE and UNSUBSCRIBE against the closed list of filters. Neighbours: `session.ts` keeps what
 * is granted; a new subscription may set free mail and waiting methods.
 * Invariant: QoS 2 is granted as 1; SUBACK goes out before what the subscription sets free.
 */
import type { SubscribePacket, UnsubscribePacket } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { HubCode } from "./errors.ts";
import { FILTERS, Filter, filterText, type Session } from "./session.ts";

const REFUSED = 0x80;
const ENDED = -1;

function tell(connection: Connection, filter: string, granted: number): void {
  const { context, deviceId } = connection;
  context.emit({ type: "subscribe", at: context.at(), deviceId, filter, granted });
}

function known(filter: string, deviceId: string): Filter | undefined {
  return FILTERS.find((candidate) => filterText(candidate, deviceId) === filter);
}

/** Grants one filter; the return code for SUBACK, or undefined when the connection has ended. */
function grant(connection: Connection, session: Session, filter: string, qos: number) {
  const { unknownFilter, limits } = connection.context.options;
  const found = known(filter, connection.deviceId);
  if (found === undefined && unknownFilter === "close") {
    connection.close(HubCode.ArgumentInvalid, `subscribe to ${filter}, which is off the list`);
    return undefined;
  }
  if (found === undefined && unknownFilter === "refuse") return REFUSED;
  const granted = Math.min(qos, 1);
  if (found !== undefined) session.grant(found, granted);
  else session.others.add(filter);
  if (session.size > limits.subscriptionsMax) {
    const text = `more than ${limits.subscriptionsMax} subscriptions`;
    connection.close(HubCode.ArgumentInvalid, text);
    return undefined;
  }
  return granted;
}

/** A well-formed SUBSCRIBE on a connection that is up. */
export function onSubscribe(connection: Connection, packet: SubscribePacket): void {
  const { context, deviceId } = connection;
  const device = connection.device!;
  const session = device.session!;
  const codes: number[] = [];
  for (const { topic, qos } of packet.subscriptions) {
    const code = grant(connection, session, topic, qos);
    if (code === undefined) return;
    codes.push(code);
    tell(connection, topic, code);
  }
  const hasMail = packet.subscriptions.some(({ topic }) => known(topic, deviceId) === Filter.Mail);
  const isEarly = hasMail && context.faults.fires("c2d-before-suback", deviceId) !== undefined;
  if (isEarly) device.mailbox.deliver(context);
  if (context.faults.fires("no-suback", deviceId) === undefined) {
    connection.send({ cmd: "suback", messageId: packet.messageId!, granted: codes });
  }
  if (hasMail && !isEarly) device.mailbox.deliver(context);
  context.methods.onReady(device);
}

/** A well-formed UNSUBSCRIBE on a connection that is up. */
export function onUnsubscribe(connection: Connection, packet: UnsubscribePacket): void {
  const session = connection.device!.session!;
  for (const filter of packet.unsubscriptions) {
    const found = known(filter, connection.deviceId);
    if (found !== undefined) session.grant(found, ENDED);
    session.others.delete(filter);
    tell(connection, filter, ENDED);
  }
  connection.send({ cmd: "unsuback", messageId: packet.messageId!, granted: [] });
}
