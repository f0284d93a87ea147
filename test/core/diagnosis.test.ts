// Diagnosis, tested: for every cause the line that a person reads, and what it must not hold.
// Neighbours: `src/core/diagnosis.ts`; when which line is said is tested with `recovery`.
// Invariant: the lines are written out in full; a change of wording is a change here.

import { describe, expect, test } from "bun:test";
import { type Circumstances, diagnose, explainRefusal } from "../../src/core/diagnosis.ts";
import { Cause, type Probed } from "../../src/core/effects.ts";
import { LinkState } from "../../src/core/link.ts";
import { isObstacle } from "../../src/core/way.ts";
import { KEY, Rig, SIGNATURE, settings } from "../rig.ts";

const { endpoint } = settings({});

function line(cause: Cause, parts: Partial<Circumstances> = {}): string {
  return diagnose({
    cause,
    detail: "",
    step: LinkState.DIALING,
    endpoint,
    upMs: 0,
    unanswered: "",
    expiredS: Number.NaN,
    shortLived: 0,
    ...parts,
  });
}

describe("each cause without details", () => {
  const lines: readonly (readonly [Cause, string])[] = [
    [Cause.NONE, ""],
    [
      Cause.NAME_NOT_FOUND,
      "name not found: hub.example; check HostName in the connection string and the DNS server",
    ],
    [
      Cause.NAME_LOOKUP_FAILED,
      "no answer from the DNS server for hub.example; check network and DNS",
    ],
    [
      Cause.REFUSED,
      "refused: nothing listens at hub.example:8883; check mqtt-port, or a firewall rejects it",
    ],
    [Cause.UNREACHABLE, "no route to hub.example:8883; check cable, address and gateway"],
    [
      Cause.TCP_RESET,
      "reset by hub.example before TLS stood; a firewall or proxy may stand in the way",
    ],
    [
      Cause.CLOSED_BY_PEER,
      "closed by hub.example before TLS stood; a firewall or proxy may stand in the way",
    ],
    [
      Cause.TLS_ISSUER_UNKNOWN,
      "TLS: unknown issuer of the certificate of hub.example:8883; set ca-file to the root that " +
        "signed it, or something between here and the hub intercepts TLS",
    ],
    [Cause.TLS_NAME_MISMATCH, "TLS: the certificate is not for hub.example; check HostName"],
    [Cause.TLS_NOT_YET_VALID, "TLS: certificate not yet valid; this clock is behind, set it"],
    [
      Cause.TLS_EXPIRED,
      "TLS: certificate expired; this clock is ahead, or the server's certificate is old",
    ],
    [Cause.TLS_REVOKED_OR_BAD, "TLS: the handshake with hub.example:8883 failed"],
    [Cause.TLS_HANDSHAKE_FAILED, "TLS: the handshake with hub.example:8883 failed"],
    [Cause.TLS_TOO_OLD, "TLS: hub.example:8883 offers nothing from TLS 1.2 up"],
    [Cause.SOCKET_FAILED, "the connection failed on this side"],
    [Cause.DIAL_TIMEOUT, "no answer from hub.example:8883; a firewall may drop port 8883"],
    [
      Cause.TLS_TIMEOUT,
      "hub.example:8883 accepted the connection but not TLS; a proxy may stand in the way",
    ],
    [
      Cause.CONNACK_TIMEOUT,
      "hub.example:8883 speaks TLS but did not answer CONNECT; it may be no IoT Hub",
    ],
    [
      Cause.CONNACK_PROTOCOL,
      "hub.example:8883 refused MQTT 3.1.1 (CONNACK 1); it may be no IoT Hub",
    ],
    [
      Cause.CONNACK_IDENTIFIER,
      "the hub refused the client id dev1 (CONNACK 2); check DeviceId and ModuleId in the " +
        "connection string",
    ],
    [
      Cause.CONNACK_UNAVAILABLE,
      "the hub is unavailable (CONNACK 3); it may be busy or in maintenance",
    ],
    [
      Cause.CONNACK_CREDENTIALS,
      "refused by the hub (CONNACK 4): device dev1 unknown or disabled, key wrong, or clock off; " +
        "looking closer",
    ],
    [
      Cause.CONNACK_NOT_AUTHORISED,
      "refused by the hub (CONNACK 5): device dev1 unknown or disabled, key wrong, or clock off; " +
        "looking closer",
    ],
    [
      Cause.PROTOCOL_VIOLATION,
      "the hub broke the MQTT protocol; check that hub.example:8883 is an IoT Hub, and that no " +
        "proxy stands in the way",
    ],
    [
      Cause.PACKET_TOO_LONG,
      "the hub sent a packet beyond the receive buffer of 256 KB; check that hub.example:8883 is " +
        "an IoT Hub, and what is sent to this device",
    ],
    [
      Cause.SUBSCRIBE_REFUSED,
      "the hub refused a subscription to the twin; a hub of the basic tier has no twins",
    ],
    [Cause.SUBACK_TIMEOUT, "no answer to SUBSCRIBE: the link is dead or the hub overloaded"],
    [
      Cause.PUBACK_TIMEOUT,
      "no answer to a message (PUBACK): the link is dead or the hub overloaded",
    ],
    [Cause.PINGRESP_TIMEOUT, "no answer to a ping: the link is dead or the hub overloaded"],
    [Cause.TWIN_TIMEOUT, "no answer to twin requests: the link is dead or the hub overloaded"],
    [
      Cause.CONGESTED,
      "the hub acknowledged nothing for in-flight-messages.congestion-timeout though the window " +
        "was full",
    ],
    [Cause.SIGN_FAILED, "the device key did not sign the token"],
    [Cause.SIGN_TIMEOUT, "the device key took too long to sign the token"],
    [Cause.DPS_FAILED, "not registered"],
    [Cause.DPS_REFUSED, "not registered"],
    [Cause.TPM_REFUSED, "not registered"],
  ];
  for (const [cause, text] of lines) {
    test(Cause[cause]!, () => expect(line(cause)).toBe(text));
  }

  test("there is no other cause", () => {
    const all = Object.values(Cause).filter((value) => typeof value === "number");
    const causes = all.filter((cause) => !isObstacle(cause));
    expect(lines.map(([cause]) => cause).sort((a, b) => a - b)).toEqual(causes);
  });
});

test("details of port and reader follow in brackets", () => {
  const detail = "ECODE; names a, b";
  const with_ = [
    Cause.NAME_LOOKUP_FAILED,
    Cause.UNREACHABLE,
    Cause.TCP_RESET,
    Cause.TLS_ISSUER_UNKNOWN,
    Cause.TLS_NAME_MISMATCH,
    Cause.TLS_NOT_YET_VALID,
    Cause.TLS_EXPIRED,
    Cause.TLS_REVOKED_OR_BAD,
    Cause.TLS_HANDSHAKE_FAILED,
    Cause.TLS_TOO_OLD,
    Cause.SOCKET_FAILED,
    Cause.PROTOCOL_VIOLATION,
    Cause.PACKET_TOO_LONG,
    Cause.SIGN_FAILED,
  ];
  for (const cause of with_) {
    expect(line(cause, { detail })).toBe(`${line(cause)} (${detail})`);
  }
});

test("a port that speaks no TLS is named as such", () => {
  const detail = "error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER";
  expect(line(Cause.TLS_HANDSHAKE_FAILED, { detail })).toBe(
    "TLS: hub.example:8883 does not speak TLS there; check mqtt-port",
  );
});

test("a gateway in front of the hub is named where it is dialled", () => {
  const behind = { ...endpoint, host: "edge.local", mqttPort: 18_883 };
  expect(line(Cause.REFUSED, { endpoint: behind })).toContain("edge.local:18883");
});

describe("closed by the hub", () => {
  const up = { step: LinkState.UP, upMs: 3200 };

  test("right after CONNECT", () => {
    expect(line(Cause.CLOSED_BY_PEER, { step: LinkState.GREETING })).toBe(
      "closed by the hub right after CONNECT: user name, client id or protocol probably not " +
        "accepted, or the hub is overloaded",
    );
    expect(line(Cause.TCP_RESET, { step: LinkState.GREETING })).toBe(
      "reset right after CONNECT: the network, a firewall or a proxy cut the connection, or the " +
        "hub did not accept user name, client id or protocol",
    );
  });

  test("right after a publish: that is named", () => {
    const unanswered = "publish to devices/dev1/messages/events/";
    expect(line(Cause.CLOSED_BY_PEER, { ...up, unanswered })).toBe(
      "closed by the hub after 3.2 s, right after publish to devices/dev1/messages/events/: " +
        "not allowed or throttled there, or taken over by another connection",
    );
  });

  test("after the token's end: that comes first", () => {
    const facts = { ...up, upMs: 3_900_000, unanswered: "publish to x", expiredS: 300 };
    expect(line(Cause.TCP_RESET, facts)).toBe(
      "reset by the hub after 1 h 5 min: token expired 5 min ago",
    );
    expect(line(Cause.TCP_RESET, { ...facts, expiredS: -1 })).not.toContain("expired");
    expect(line(Cause.TCP_RESET, { ...facts, expiredS: 0 })).toContain("expired 0 ms ago");
  });

  test("once for no reason, twice by a twin brother", () => {
    const once = line(Cause.CLOSED_BY_PEER, { ...up, shortLived: 1 });
    expect(once).toBe(
      "closed by the hub after 3.2 s without a reason: network loss, hub maintenance, " +
        "or taken over by another connection",
    );
    expect(line(Cause.CLOSED_BY_PEER, { ...up, shortLived: 2 })).toBe(
      "closed by the hub after 3.2 s, 2 times in a row: probably taken over by another " +
        "connection with device id dev1 (no two machines may share one identity), or the link " +
        "is unstable",
    );
  });
});

describe("a refusal explained", () => {
  const NOW_S = 1_700_000_000;
  const probed = (parts: Partial<Probed>): Probed => ({
    dateS: NOW_S,
    status: 401,
    errorCode: "",
    ...parts,
  });

  const cases: readonly (readonly [string, Partial<Probed>, string])[] = [
    [
      "key",
      {},
      "key wrong for device dev1, or no such device (not the clock); " +
        "copy its connection string again",
    ],
    [
      "unknown",
      { status: 404, errorCode: "DeviceNotFound" },
      "device dev1 unknown at hub.example; create it or check DeviceId",
    ],
    [
      "disabled",
      { status: 403, errorCode: "DeviceDisabled" },
      "device dev1 disabled; enable it at the hub",
    ],
    [
      "quota",
      { status: 403, errorCode: "IotHubQuotaExceeded" },
      "the message quota of hub.example is used up; wait for 0:00 UTC or add units at the hub",
    ],
    [
      "IP filter",
      { errorCode: "IpFilterRejected" },
      "the IP filter of hub.example rejects this address; allow it at the hub",
    ],
    ...[
      { status: 412, errorCode: "DeviceMessageLockLost" },
      { status: 404, errorCode: "DeviceMessageNotFound" },
      { status: 204 },
    ].map((parts): [string, Partial<Probed>, string] => [
      `token accepted: ${parts.status}`,
      parts,
      "not the clock, and HTTPS accepts the same token; device dev1 may have been refused for a " +
        "moment, or MQTT is not allowed for it",
    ]),
    [
      "404 of somebody else",
      { status: 404 },
      "not the clock, and HTTPS answers 404; device dev1 may have been refused for a moment, " +
        "or a proxy answers for the hub",
    ],
    [
      "403 of unknown meaning",
      { status: 403, errorCode: "Strange" },
      "not the clock, and HTTPS answers 403 Strange; device dev1 may have been refused for a " +
        "moment, or a proxy answers for the hub",
    ],
    [
      "an answer without a time",
      { dateS: Number.NaN },
      "key wrong for device dev1, no such device, or clock off (HTTPS tells no time)",
    ],
    [
      "another without a time",
      { status: 503, dateS: Number.NaN },
      "HTTPS answers 503; device dev1 may have been refused for a moment, " +
        "or a proxy answers for the hub",
    ],
    [
      "no answer",
      { status: 0, dateS: Number.NaN },
      "device dev1 unknown or disabled, key wrong, or clock off (the hub's HTTPS side, port 443, " +
        "does not answer to tell which)",
    ],
    [
      "clock ahead",
      { dateS: NOW_S - 25_500 },
      "clock off by 7 h 5 min (ahead of the server's); tokens now follow the server's time, " +
        "set this clock",
    ],
    [
      "clock behind",
      { dateS: NOW_S + 301, status: 404 },
      "clock off by 5 min 1 s (behind the server's); tokens now follow the server's time, " +
        "set this clock",
    ],
  ];
  for (const [what, parts, text] of cases) {
    test(what, () => {
      expect(explainRefusal(probed(parts), NOW_S, endpoint)).toBe(`refused by the hub: ${text}`);
    });
  }

  test("five minutes either way are not the clock", () => {
    for (const skewS of [-300, 300]) {
      expect(explainRefusal(probed({ dateS: NOW_S + skewS }), NOW_S, endpoint)).toContain("key");
    }
  });
});

describe("on a rig", () => {
  const causes = Object.values(Cause).filter((value) => typeof value === "number") as Cause[];

  test("whatever ends a connection is one line without a secret, in log and status", () => {
    for (const cause of causes.filter((one) => one !== Cause.NONE)) {
      const rig = new Rig();
      rig.online();
      rig.take();
      rig.close(cause, "words of the port");
      const [text = ""] = rig.logs();
      expect(text).toMatch(/^[^\n]+; next attempt in (\d+ min )?\d+(\.\d)? m?s$/);
      expect(text).not.toContain(KEY);
      expect(text).not.toContain(SIGNATURE);
      rig.turn.onCommand(1, ["status"]);
      const { verdict } = rig.turn.agent.machines;
      expect(rig.take().at(-1)).toEndWith(verdict.text);
    }
  });

  test("right after a publish the topic is named, later it is not", () => {
    for (const laterMs of [0, 4999, 5000]) {
      const rig = new Rig();
      rig.online();
      rig.answerReport();
      rig.accept("x");
      rig.pass(laterMs);
      rig.close();
      const text = rig.turn.agent.machines.verdict.text;
      const names = text.includes("right after publish to devices/dev1/messages/events/");
      expect(names).toBe(laterMs < 5000);
    }
  });

  test("right after SUBSCRIBE, GET and a report each is named; the latter two for 5 s", () => {
    const texts: string[] = [];
    for (const upTo of ["connack", "suback", "twin", "late suback", "late twin"]) {
      const rig = new Rig();
      rig.greet();
      rig.turn.onData(Uint8Array.of(0x20, 2, 0, 0));
      if (upTo !== "connack") rig.turn.onData(Uint8Array.of(0x90, 4, 0, 1, 0, 0));
      if (upTo.endsWith("twin")) rig.answerGet({}, 1);
      rig.pass(upTo.startsWith("late") ? 5000 : 4999);
      rig.close(Cause.TCP_RESET);
      texts.push(
        /right after (.*): not allowed/.exec(rig.turn.agent.machines.verdict.text)?.[1] ??
          "nothing",
      );
    }
    expect(texts).toEqual([
      "SUBSCRIBE",
      "publish to $iothub/twin/GET/",
      "publish to $iothub/twin/PATCH/properties/reported/",
      "nothing",
      "nothing",
    ]);
  });
});
