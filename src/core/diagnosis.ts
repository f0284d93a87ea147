// Diagnosis: one line that says what is wrong with the connection and what to do about it.
// Neighbours: `agent` asks for it whenever a connection could not be made or was lost.
// Invariant: pure text from facts; never a guess sold as a fact; never a secret. The hub itself
// closes without a reason, so the facts are ours: what we sent last, for how long it went well.

import { lengthOf } from "../kit/time.ts";
import { CLOCK_SKEW_S_MAX, PACKET_BYTES_MAX } from "../limits.ts";
import { Cause, type Probed } from "./effects.ts";
import { LinkState } from "./link.ts";
import type { EndpointSettings } from "./settings.ts";
import { isRejection, rejectionText } from "./validity.ts";
import { isObstacle, obstacleText, type Way } from "./way.ts";

/** How an attempt or a connection ended. */
export interface Ending {
  readonly cause: Cause;
  /** The port's or reader's own words, "" for none. */
  readonly detail: string;
  /** The step in which it ended. */
  readonly step: LinkState;
  /** How long the connection was up, in ms; 0 when it never was. */
  readonly upMs: number;
  /** What was sent last and not answered, "" for nothing. */
  readonly unanswered: string;
  /** The way that the attempt took; left out for MQTT over TLS without a proxy. */
  readonly way?: Way;
}

/** The end of an attempt before the hub was dialled. */
export function undialled(cause: Cause, detail: string): Ending {
  return { cause, detail, step: LinkState.DOWN, upMs: 0, unanswered: "" };
}

/** What is known when a connection ends. */
export interface Circumstances extends Ending {
  readonly endpoint: EndpointSettings;
  /** Seconds since the token's expiry; negative while it is valid, NaN without a token. */
  readonly expiredS: number;
  /** Connections in a row that the hub closed soon after they came up. */
  readonly shortLived: number;
}

function withDetail(text: string, detail: string): string {
  return detail === "" ? text : `${text} (${detail})`;
}

/** What is wrong and what to do, in one line. */
export function diagnose(facts: Circumstances): string {
  const { endpoint, detail } = facts;
  const { host } = endpoint;
  const way = facts.way ?? { port: endpoint.mqttPort, isWebSocket: false, proxy: "" };
  const address = `${host}:${way.port}`;
  const key = way.isWebSocket ? "https-port" : "mqtt-port";
  if (isObstacle(facts.cause)) return obstacleText(facts.cause, detail, address, way);
  switch (facts.cause) {
    case Cause.NONE:
      return "";
    case Cause.NAME_NOT_FOUND:
      return isWritten(endpoint)
        ? `name not found: ${host}; check HostName in the connection string and the DNS server`
        : `name not found: ${host}; check the DNS server`;
    case Cause.NAME_LOOKUP_FAILED:
      return withDetail(`no answer from the DNS server for ${host}; check network and DNS`, detail);
    case Cause.REFUSED:
      return `refused: nothing listens at ${address}; check ${key}, or a firewall rejects it`;
    case Cause.UNREACHABLE:
      return withDetail(`no route to ${address}; check cable, address and gateway`, detail);
    case Cause.DIAL_TIMEOUT:
      return `no answer from ${address}; a firewall may drop port ${way.port}`;
    case Cause.TLS_TIMEOUT:
      return `${address} accepted the connection but not TLS; a proxy may stand in the way`;
    case Cause.SOCKET_FAILED:
      return withDetail("the connection failed on this side", detail);
    case Cause.SIGN_FAILED:
      return withDetail("the device key did not sign the token", detail);
    case Cause.SIGN_TIMEOUT:
      return withDetail("the device key took too long to sign the token", detail);
    case Cause.DPS_FAILED:
    case Cause.DPS_REFUSED:
    case Cause.TPM_REFUSED:
      return detail === "" ? "not registered" : `not registered: ${detail}`;
    default:
      return isTls(facts.cause) ? tls(facts, address, key) : answered(facts, address);
  }
}

/** Whether hub and device are named in the settings; else DPS named them. */
function isWritten({ idScope }: EndpointSettings): boolean {
  return idScope === "";
}

/** What to do about a key that is wrong. */
function newKey(endpoint: EndpointSettings): string {
  if (!isWritten(endpoint)) return "DPS is asked if that goes on";
  return endpoint.isSealed
    ? "put its connection string back and run azimuth seal again"
    : "copy its connection string again";
}

function isTls(cause: Cause): boolean {
  return cause >= Cause.TLS_ISSUER_UNKNOWN && cause <= Cause.TLS_TOO_OLD;
}

function tls(facts: Circumstances, address: string, key: string): string {
  const { cause, detail, endpoint } = facts;
  switch (cause) {
    case Cause.TLS_ISSUER_UNKNOWN:
      return withDetail(
        `TLS: unknown issuer of the certificate of ${address}; set ca-file to the root ` +
          "that signed it, or something between here and the hub intercepts TLS",
        detail,
      );
    case Cause.TLS_NAME_MISMATCH:
      return withDetail(
        `TLS: the certificate is not for ${endpoint.host}; ` +
          (isWritten(endpoint) ? "check HostName" : "something on the way intercepts TLS"),
        detail,
      );
    case Cause.TLS_NOT_YET_VALID:
      return withDetail("TLS: certificate not yet valid; this clock is behind, set it", detail);
    case Cause.TLS_EXPIRED:
      return withDetail(
        "TLS: certificate expired; this clock is ahead, or the server's certificate is old",
        detail,
      );
    case Cause.TLS_TOO_OLD:
      return withDetail(`TLS: ${address} offers nothing from TLS 1.2 up`, detail);
    default:
      if (endpoint.type === "x509" && isRejection(detail)) {
        return withDetail(`TLS: ${rejectionText(address)}`, detail);
      }
      // BoringSSL's name for bytes that begin no TLS record.
      return detail.includes("WRONG_VERSION_NUMBER")
        ? `TLS: ${address} does not speak TLS there; check ${key}`
        : withDetail(`TLS: the handshake with ${address} failed`, detail);
  }
}

/** What a hub may have against a device, before a closer look. */
function doubts({ type, deviceId }: EndpointSettings): string {
  return type === "x509"
    ? `device ${deviceId} unknown or disabled, or another certificate expected`
    : `device ${deviceId} unknown or disabled, key wrong, or clock off`;
}

function answered(facts: Circumstances, address: string): string {
  const { cause, detail, endpoint } = facts;
  switch (cause) {
    case Cause.CONNACK_TIMEOUT:
      return `${address} speaks TLS but did not answer CONNECT; it may be no IoT Hub`;
    case Cause.CONNACK_PROTOCOL:
      return `${address} refused MQTT 3.1.1 (CONNACK 1); it may be no IoT Hub`;
    case Cause.CONNACK_IDENTIFIER:
      return (
        `the hub refused the client id ${endpoint.deviceId} (CONNACK 2); ` +
        (isWritten(endpoint)
          ? "check DeviceId and ModuleId in the connection string"
          : "check the device id of the enrollment")
      );
    case Cause.CONNACK_UNAVAILABLE:
      return "the hub is unavailable (CONNACK 3); it may be busy or in maintenance";
    case Cause.CONNACK_CREDENTIALS:
    case Cause.CONNACK_NOT_AUTHORISED: {
      const code = cause === Cause.CONNACK_CREDENTIALS ? 4 : 5;
      return `refused by the hub (CONNACK ${code}): ${doubts(endpoint)}; looking closer`;
    }
    case Cause.SUBSCRIBE_REFUSED:
      return "the hub refused a subscription to the twin; a hub of the basic tier has no twins";
    case Cause.PROTOCOL_VIOLATION:
      return withDetail(
        `the hub broke the MQTT protocol; check that ${address} is an IoT Hub, ` +
          "and that no proxy stands in the way",
        detail,
      );
    case Cause.PACKET_TOO_LONG:
      return withDetail(
        `the hub sent a packet beyond the receive buffer of ${PACKET_BYTES_MAX / 1024} KB; ` +
          `check that ${address} is an IoT Hub, and what is sent to this device`,
        detail,
      );
    case Cause.SUBACK_TIMEOUT:
    case Cause.PUBACK_TIMEOUT:
    case Cause.PINGRESP_TIMEOUT:
    case Cause.TWIN_TIMEOUT:
      return `no answer to ${AWAITED[cause]}: the link is dead or the hub overloaded`;
    case Cause.CONGESTED:
      return (
        "the hub acknowledged nothing for in-flight-messages.congestion-timeout though the " +
        "window was full"
      );
    default:
      return closed(facts);
  }
}

const AWAITED = {
  [Cause.SUBACK_TIMEOUT]: "SUBSCRIBE",
  [Cause.PUBACK_TIMEOUT]: "a message (PUBACK)",
  [Cause.PINGRESP_TIMEOUT]: "a ping",
  [Cause.TWIN_TIMEOUT]: "twin requests",
};

function closed(facts: Circumstances): string {
  const { step, endpoint, upMs, unanswered } = facts;
  const how = facts.cause === Cause.TCP_RESET ? "reset" : "closed";
  const isShown = endpoint.type === "x509";
  switch (step) {
    case LinkState.DIALING:
    case LinkState.SECURING:
      return withDetail(
        `${how} by ${endpoint.host} before TLS stood; a firewall or proxy may stand in the way` +
          (isShown ? ", or this device's certificate is not accepted" : ""),
        facts.detail,
      );
    case LinkState.GREETING: {
      const parts = `${isShown ? "certificate, " : ""}user name, client id or protocol`;
      return facts.cause === Cause.TCP_RESET
        ? "reset right after CONNECT: the network, a firewall or a proxy cut the connection, " +
            `or the hub did not accept ${parts}`
        : `closed by the hub right after CONNECT: ${parts} probably ` +
            "not accepted, or the hub is overloaded";
    }
    default:
      break;
  }
  const after = `${how} by the hub after ${lengthOf(upMs)}`;
  if (facts.expiredS >= 0) return `${after}: token expired ${lengthOf(facts.expiredS * 1000)} ago`;
  if (unanswered !== "") {
    return (
      `${after}, right after ${unanswered}: not allowed or throttled there, ` +
      "or taken over by another connection"
    );
  }
  if (facts.shortLived >= 2) {
    return (
      `${after}, ${facts.shortLived} times in a row: ` +
      `probably taken over by another connection with device id ${endpoint.deviceId} ` +
      "(no two machines may share one identity), or the link is unstable"
    );
  }
  const guess = "network loss, hub maintenance, or taken over by another connection";
  return `${after} without a reason: ${guess}`;
}

/**
 * What a refusal (CONNACK 4 or 5) means, after a look at the hub's HTTPS side.
 * @param clockS Unix s when the answer came, by the clock that the refused token was made by
 */
export function explainRefusal(probed: Probed, clockS: number, endpoint: EndpointSettings): string {
  return `refused by the hub: ${reason(probed, clockS - probed.dateS, endpoint)}`;
}

function reason(probed: Probed, skewS: number, endpoint: EndpointSettings): string {
  const { type, httpsPort } = endpoint;
  if (probed.status === 0) {
    const silent = `the hub's HTTPS side, port ${httpsPort}, does not answer to tell which`;
    return `${doubts(endpoint)} (${silent})`;
  }
  // A certificate is judged by the hub's clock alone.
  if (type === "x509") return opinion(probed, true, endpoint);
  if (Math.abs(skewS) > CLOCK_SKEW_S_MAX) {
    const by = lengthOf(Math.abs(skewS) * 1000);
    return (
      `clock off by ${by} (${skewS > 0 ? "ahead of" : "behind"} the server's); ` +
      "tokens now follow the server's time, set this clock"
    );
  }
  return opinion(probed, Number.isNaN(skewS), endpoint);
}

/**
 * What the answer says of the token. A status alone may come from a proxy or speak of something
 * else; only with the hub's own error code it is a fact.
 */
function opinion(probed: Probed, isTimeless: boolean, endpoint: EndpointSettings): string {
  const { type, deviceId, hubName } = endpoint;
  const { status, errorCode } = probed;
  if (status === 404 && errorCode === "DeviceNotFound") {
    const advice = isWritten(endpoint) ? "create it or check DeviceId" : "DPS is asked again";
    return `device ${deviceId} unknown at ${hubName}; ${advice}`;
  }
  if (/Disabled/.test(errorCode)) return `device ${deviceId} disabled; enable it at the hub`;
  if (/IpFilter/.test(errorCode)) {
    return `the IP filter of ${hubName} rejects this address; allow it at the hub`;
  }
  if (/Quota/.test(errorCode)) {
    return `the message quota of ${hubName} is used up; wait for 0:00 UTC or add units at the hub`;
  }
  if (status === 401) return unproven(isTimeless, endpoint);
  const clock = isTimeless ? "" : "not the clock, and ";
  // Nobody holds the lock of message 0: the hub got as far as the message, past the token.
  if (status < 300 || errorCode.startsWith("DeviceMessage")) {
    const proof = type === "x509" ? "certificate" : "token";
    return (
      `${clock}HTTPS accepts the same ${proof}; device ${deviceId} ` +
      "may have been refused for a moment, or MQTT is not allowed for it"
    );
  }
  const answer = errorCode === "" ? `${status}` : `${status} ${errorCode}`;
  return (
    `${clock}HTTPS answers ${answer}; device ${deviceId} ` +
    "may have been refused for a moment, or a proxy answers for the hub"
  );
}

/** The hub does not believe that we are who we say. */
function unproven(isTimeless: boolean, endpoint: EndpointSettings): string {
  const { type, deviceId, hubName, idScope } = endpoint;
  if (type === "x509") {
    const remedy =
      idScope === "" ? "enter this one's thumbprint there" : "DPS is asked if that goes on";
    const facts = `${hubName} knows another certificate of device ${deviceId}, or no such device`;
    return `${facts}; ${remedy}`;
  }
  if (isTimeless) {
    return `key wrong for device ${deviceId}, no such device, or clock off (HTTPS tells no time)`;
  }
  return `key wrong for device ${deviceId}, or no such device (not the clock); ${newKey(endpoint)}`;
}
