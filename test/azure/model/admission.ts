/**
 * Who may connect: user name, client id, registry, token, will; then session and takeover.
 * Neighbours: `connection.ts` brings the CONNECT and keeps the deadlines; `token.ts` checks keys.
 * Invariant: the device hears CONNACK 5 for practically every refusal, the log hears the reason.
 */
import type { ConnectPacket } from "./codec.ts";
import { type Connection, Stage } from "./connection.ts";
import type { Device } from "./device.ts";
import { HubCode } from "./errors.ts";
import { eventsTopic } from "./publish.ts";
import { Session } from "./session.ts";
import { deviceTokenCheck } from "./token.ts";
import { parseUsername, type Username } from "./username.ts";

const NOT_AUTHORIZED = 5;
const UNAVAILABLE = 3;
const IDENTIFIER_REJECTED = 2;

/** A CONNECT that may come in. */
interface Admission {
  device: Device;
  username: Username;
  /** Of the token, Unix ms. */
  expiryMs: number;
}

interface Refusal {
  returnCode: number;
  code: HubCode;
  reason: string;
}

function unauthorized(reason: string): Refusal {
  return { returnCode: NOT_AUTHORIZED, code: HubCode.IotHubUnauthorizedAccess, reason };
}

/** A well-formed CONNECT of protocol level 4. */
export function onConnect(connection: Connection, packet: ConnectPacket): void {
  const { dps, faults } = connection.context;
  if (dps?.welcome(connection, packet) === true) return;
  const verdict = judge(connection, packet);
  if ("reason" in verdict) {
    connection.refuse(verdict.returnCode, verdict.code, verdict.reason);
    return;
  }
  // The payload is a view into the packet's bytes, and the will outlives them.
  if (packet.will !== undefined) packet.will.payload = Buffer.from(packet.will.payload);
  const id = verdict.device.id;
  if (faults.fires("blackhole", id) !== undefined) {
    connection.darken();
    return;
  }
  if (faults.fires("drop", id, (fault) => fault.value === 0) !== undefined) {
    connection.close(HubCode.DeviceConnectionClosedRemotely, "fault drop");
    return;
  }
  const slow = faults.fires("slow-connack", id);
  if (slow === undefined) open(connection, packet, verdict);
  else connection.hold(slow.value, () => open(connection, packet, verdict));
}

function judge(connection: Connection, packet: ConnectPacket): Admission | Refusal {
  const { context } = connection;
  connection.deviceId = packet.clientId;
  if (packet.clientId === "") {
    const reason = "empty client identifier [MQTT-3.1.3-8]";
    return { returnCode: IDENTIFIER_REJECTED, code: HubCode.ArgumentInvalid, reason };
  }
  if (packet.username === undefined) return unauthorized("no user name");
  const username = parseUsername(packet.username);
  if (typeof username === "string") return unauthorized(username);
  connection.deviceId = username.deviceId;
  const { name, dps } = context.options;
  const host = username.host.toLowerCase();
  if (![name, ...dps.moreHubs].some((hub) => hub.toLowerCase() === host)) {
    return unauthorized(`user name is for host ${username.host}, this hub is ${name}`);
  }
  if (username.moduleId !== "") return unauthorized("module identities are not offered");
  if (packet.clientId !== username.deviceId) {
    return unauthorized("client identifier is not the device id of the user name");
  }
  const device = context.registry.find(username.deviceId);
  if (device === undefined || device.hostOf(name).toLowerCase() !== host) {
    const elsewhere = device === undefined ? "" : `, it is on ${device.hostOf(name)}`;
    const reason = `device ${username.deviceId} is not registered on ${host}${elsewhere}`;
    return { returnCode: NOT_AUTHORIZED, code: HubCode.DeviceNotFound, reason };
  }
  if (device.status === "disabled") {
    const reason = `device ${device.id} is disabled`;
    return { returnCode: NOT_AUTHORIZED, code: HubCode.DeviceDisabled, reason };
  }
  const password = packet.password?.toString() ?? "";
  const { peer } = connection;
  const token = deviceTokenCheck(password, device, context.options, context.nowMs(), peer);
  if (token.problem !== "") return unauthorized(token.problem);
  const will = willProblem(packet, device.id);
  if (will !== "") return { ...unauthorized(will), code: HubCode.ArgumentInvalid };
  return faultRefusal(connection, device) ?? { device, username, expiryMs: token.expiryMs };
}

function willProblem(packet: ConnectPacket, deviceId: string): string {
  if (packet.will === undefined) return "";
  const base = eventsTopic(deviceId);
  if (packet.will.topic !== base && !packet.will.topic.startsWith(`${base}/`)) {
    return `will topic is not ${base}/`;
  }
  if (/[+#]/.test(packet.will.topic)) return "wildcard in the will topic";
  return packet.will.qos === 2 ? "will with QoS 2" : "";
}

function faultRefusal(connection: Connection, device: Device): Refusal | undefined {
  const { faults } = connection.context;
  const refusal = faults.fires("refuse", device.id);
  if (refusal !== undefined) {
    return { ...unauthorized("fault refuse"), returnCode: refusal.value };
  }
  if (faults.fires("upgrade", device.id) === undefined) return undefined;
  const code = HubCode.ConnectionRefusedDuringServiceUpgrade;
  return { returnCode: UNAVAILABLE, code, reason: "service upgrade (fault) is under way" };
}

function open(connection: Connection, packet: ConnectPacket, admission: Admission): void {
  const { context, remote } = connection;
  const { device, username } = admission;
  const isClean = packet.clean === true;
  device.connection?.close(
    HubCode.ConnectionForcefullyClosedOnNewConnection,
    `a new connection from ${remote} took over (409002 LinkCreationConflict)`,
  );
  const sessionPresent = !isClean && device.session !== undefined;
  if (!sessionPresent) device.session = new Session(isClean);
  connection.device = device;
  connection.stage = Stage.Up;
  connection.will = packet.will;
  device.connection = connection;
  device.connectionMs = context.nowMs();
  device.activityMs = context.nowMs();
  device.modelId = username.modelId;
  const keepAlive = packet.keepalive ?? 0;
  connection.watch(keepAlive, admission.expiryMs);
  connection.send({ cmd: "connack", sessionPresent, returnCode: 0 });
  context.emit({
    type: "connect",
    at: context.at(),
    deviceId: device.id,
    remote,
    sessionPresent,
    clean: isClean,
    keepAlive,
    apiVersion: username.apiVersion,
    clientType: username.clientType,
    modelId: username.modelId,
  });
  if (isClean) device.mailbox.purge(context);
  else device.mailbox.deliver(context);
  context.methods.onReady(device);
}
