/**
 * The provisioning service over MQTT: a device that comes to the MQTT port with a user name of this
 * service is its guest instead of the hub's. Neighbours: `connection.ts` keeps stream and
 * deadlines, `desk.ts` answers. Facts: DPS MQTT guide. Invariant: the topic set is closed; there is
 * no stored session; keys are judged when the device registers: a status, not CONNACK 5.
 */
import type { ConnectPacket, Packet, PublishPacket, SubscribePacket } from "../codec.ts";
import { type Connection, type Guest, Stage } from "../connection.ts";
import type { Context } from "../context.ts";
import { HubCode } from "../errors.ts";
import { parseObject } from "../merge.ts";
import { requestId } from "../request.ts";
import { parseSas } from "../sas.ts";
import { type Desk, errorBody } from "./desk.ts";
import { DpsCode } from "./errors.ts";
import { tell } from "./journal.ts";
import type { DeviceAnswer, DeviceRequest } from "./request.ts";
import { parseRegistrant, type Registrant } from "./username.ts";

const NOT_AUTHORIZED = 5;
const FILTER = "$dps/registrations/res/#";
const REGISTER = "$dps/registrations/PUT/iotdps-register/";
const POLL = "$dps/registrations/GET/iotdps-get-operationstatus/";

/** Value of one `key=value` of a topic's tail, `''` when it is not there. */
function field(tail: string, key: string): string {
  const pairs = tail.slice(tail.indexOf("?") + 1).split("&");
  return pairs.find((pair) => pair.startsWith(`${key}=`))?.slice(key.length + 1) ?? "";
}

/** When the password ends, Unix ms; Infinity without a readable one. */
function expiryMs(password: string): number {
  const sas = parseSas(password);
  return typeof sas === "string" ? Number.POSITIVE_INFINITY : Number(sas.expiry) * 1000;
}

/** A device on the MQTT port that wants to register. */
class Visitor implements Guest {
  /** Granted QoS of the one subscription, -1 for none. */
  private granted = -1;
  private identifier = 0;

  constructor(
    private readonly connection: Connection,
    private readonly desk: Desk,
    private readonly registrant: Registrant,
    private readonly password: string,
  ) {}

  onPacket(packet: Packet): void {
    switch (packet.cmd) {
      case "subscribe":
        this.onSubscribe(packet);
        return;
      case "unsubscribe": {
        if (packet.unsubscriptions.includes(FILTER)) this.granted = -1;
        this.connection.send({ cmd: "unsuback", messageId: packet.messageId!, granted: [] });
        return;
      }
      case "publish":
        this.onPublish(packet);
        return;
      case "puback":
        return;
      default:
        this.close(`${packet.cmd.toUpperCase()} has no place here`);
    }
  }

  private close(reason: string): void {
    this.connection.close(HubCode.ArgumentInvalid, reason);
  }

  private onSubscribe(packet: SubscribePacket): void {
    const codes: number[] = [];
    for (const { topic, qos } of packet.subscriptions) {
      if (topic !== FILTER) {
        this.close(`subscribe to ${topic}; ${FILTER} is all there is`);
        return;
      }
      this.granted = Math.min(qos, 1);
      codes.push(this.granted);
    }
    this.connection.send({ cmd: "suback", messageId: packet.messageId!, granted: codes });
  }

  private onPublish(packet: PublishPacket): void {
    const { topic } = packet;
    const prefix = [REGISTER, POLL].find((known) => topic.startsWith(known));
    if (packet.qos === 2 || prefix === undefined) {
      this.close(`QoS ${packet.qos} publish to ${topic}, which the service does not take`);
      return;
    }
    const tail = topic.slice(prefix.length);
    const rid = requestId(tail);
    if (rid === null) {
      this.close(`publish to ${topic} without $rid`);
      return;
    }
    if (packet.qos === 1) this.connection.send({ cmd: "puback", messageId: packet.messageId! });
    const body = parseObject(prefix === REGISTER ? (packet.payload as Buffer).toString() : "{}");
    if (typeof body === "string") {
      this.answer(rid, 400, -1, errorBody(this.connection.context, DpsCode.ArgumentInvalid, body));
      return;
    }
    const request: DeviceRequest = {
      verb: prefix === REGISTER ? "register" : "poll",
      transport: "mqtt",
      idScope: this.registrant.idScope,
      registrationId: this.registrant.registrationId,
      operationId: field(tail, "operationId"),
      authorization: this.password,
      peer: this.connection.peer,
      body,
    };
    const onAnswer = ({ status, retryAfterS, body: found }: DeviceAnswer): void =>
      this.answer(rid, status, retryAfterS, found);
    this.desk.request(request, onAnswer);
  }

  private answer(rid: string, status: number, retryAfterS: number, body: object): void {
    const { connection } = this;
    if (this.granted < 0) {
      const text = `no subscription to ${FILTER}: the answer is lost`;
      tell(connection.context, "refused", this.registrant.registrationId, text);
      return;
    }
    const wait = retryAfterS < 0 ? "" : `&retry-after=${retryAfterS}`;
    const topic = `$dps/registrations/res/${status}/?$rid=${rid}${wait}`;
    const qos = this.granted === 0 ? 0 : 1;
    if (qos === 1) this.identifier = (this.identifier % 65_535) + 1;
    const messageId = this.identifier;
    const payload = JSON.stringify(body);
    connection.send({ cmd: "publish", qos, dup: false, retain: false, messageId, topic, payload });
  }
}

function problemOf(
  context: Context,
  connection: Connection,
  packet: ConnectPacket,
  name: Registrant,
): string {
  const { idScope } = context.options.dps;
  if (name.idScope.toLowerCase() !== idScope.toLowerCase()) {
    return `id scope ${JSON.stringify(name.idScope)} is not ${idScope}`;
  }
  if (name.apiVersion === "") return "user name without api-version";
  if (packet.clientId !== name.registrationId) {
    return "client identifier is not the registration id of the user name";
  }
  if ((packet.password?.length ?? 0) === 0 && connection.peer === undefined) {
    return "neither a token nor a client certificate";
  }
  return "";
}

/** Takes a CONNECT that asks for this service; false when it asks for the hub. */
export function welcome(desk: Desk, connection: Connection, packet: ConnectPacket): boolean {
  const { context } = connection;
  const name = parseRegistrant(packet.username ?? "");
  if (name === undefined) return false;
  connection.deviceId = name.registrationId;
  const problem = problemOf(context, connection, packet, name);
  if (problem !== "") {
    connection.refuse(NOT_AUTHORIZED, HubCode.IotHubUnauthorizedAccess, problem);
    return true;
  }
  const password = packet.password?.toString() ?? "";
  connection.stage = Stage.Up;
  connection.guest = new Visitor(connection, desk, name, password);
  connection.watch(packet.keepalive ?? 0, expiryMs(password));
  connection.send({ cmd: "connack", sessionPresent: false, returnCode: 0 });
  tell(context, "connect", name.registrationId, `from ${connection.remote}`);
  return true;
}
