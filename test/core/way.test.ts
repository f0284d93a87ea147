// Way, tested: for every obstacle the line that a person reads, as `diagnose` gives it.
// Neighbours: `src/core/way.ts`; `diagnosis.test.ts` has the other causes.
// Invariant: the lines are written out in full; a change of wording is a change here.

import { describe, expect, test } from "bun:test";
import { diagnose } from "../../src/core/diagnosis.ts";
import { Cause } from "../../src/core/effects.ts";
import { LinkState } from "../../src/core/link.ts";
import { isObstacle, type Way } from "../../src/core/way.ts";
import { KEY, settings } from "../rig.ts";

const { endpoint } = settings({});
const TLS: Way = { port: 8883, isWebSocket: false, proxy: "" };
const WSS: Way = { port: 443, isWebSocket: true, proxy: "" };
const VIA: Way = { ...TLS, proxy: "proxy.example:3128" };
const VIA_WSS: Way = { ...WSS, proxy: "proxy.example:3128" };

function line(cause: Cause, way: Way, detail = "", step = LinkState.DIALING): string {
  const rest = { upMs: 0, unanswered: "", expiredS: Number.NaN, shortLived: 0 };
  return diagnose({ cause, detail, step, endpoint, way, ...rest });
}

const LINES: readonly (readonly [Cause, Way, string, string])[] = [
  [
    Cause.PROXY_UNREACHABLE,
    VIA,
    "ECONNREFUSED",
    "the proxy proxy.example:3128 cannot be reached (ECONNREFUSED); check proxy, cable and network",
  ],
  [
    Cause.PROXY_TIMEOUT,
    VIA,
    "",
    "the proxy proxy.example:3128 did not answer when asked for hub.example:8883; " +
      "a firewall behind it may drop port 8883",
  ],
  [
    Cause.PROXY_CREDENTIALS,
    VIA,
    "none are given",
    "the proxy proxy.example:3128 wants user name and password (none are given); " +
      "check proxy-user and proxy-password-file",
  ],
  [
    Cause.PROXY_CREDENTIALS,
    WSS,
    "407 Who",
    "a proxy that wants user name and password answers for hub.example:443; set proxy",
  ],
  [
    Cause.PROXY_REFUSED,
    VIA,
    "403 Filtered",
    "the proxy proxy.example:3128 does not let through to hub.example:8883 (403 Filtered); " +
      "have port 8883 allowed there; transport auto or wss goes over WebSocket instead",
  ],
  [
    Cause.PROXY_REFUSED,
    VIA_WSS,
    "403 Filtered",
    "the proxy proxy.example:3128 does not let through to hub.example:443 (403 Filtered); " +
      "have port 443 allowed there",
  ],
  [
    Cause.PROXY_FAILED,
    VIA_WSS,
    "502 Bad Gateway",
    "the proxy proxy.example:3128 could not reach hub.example:443 (502 Bad Gateway); " +
      "a firewall behind it may block port 443, or its DNS does not know the name",
  ],
  [
    Cause.PROXY_BROKEN,
    VIA,
    "no HTTP answer",
    "proxy.example:3128 does not answer like an HTTP proxy (no HTTP answer); check proxy",
  ],
  [
    Cause.WEBSOCKET_TIMEOUT,
    WSS,
    "",
    "hub.example:443 speaks TLS but did not answer the request for a WebSocket; " +
      "a proxy may stand in the way",
  ],
  [
    Cause.WEBSOCKET_FORBIDDEN,
    WSS,
    "403 Forbidden",
    "hub.example:443 does not allow a WebSocket (403 Forbidden); " +
      "the hub's IP filter or a proxy may be why",
  ],
  [
    Cause.WEBSOCKET_NOT_FOUND,
    WSS,
    "404 Not Found",
    "hub.example:443 knows no WebSocket for MQTT (404 Not Found); " +
      "it may be no IoT Hub, check https-port",
  ],
  [
    Cause.WEBSOCKET_REFUSED,
    WSS,
    "503 Busy",
    "hub.example:443 opened no WebSocket (503 Busy); it may be busy, or a proxy answers for it",
  ],
  [
    Cause.WEBSOCKET_BROKEN,
    WSS,
    "a text frame",
    "the WebSocket to hub.example:443 breaks its rules (a text frame); " +
      "check that it is an IoT Hub, and that no proxy stands in the way",
  ],
];

describe("each obstacle", () => {
  test.each(LINES)("%d", (cause, way, detail, text) => {
    expect(line(cause, way, detail)).toBe(text);
  });

  test("has a line", () => {
    const all = Object.values(Cause).filter((cause) => typeof cause === "number");
    const covered = new Set(LINES.map(([cause]) => cause));
    expect(all.filter((cause) => isObstacle(cause) !== covered.has(cause))).toEqual([]);
  });
});

describe("other causes name the port that was tried", () => {
  test("443 where MQTT goes over WebSocket", () => {
    expect(line(Cause.DIAL_TIMEOUT, WSS)).toBe(
      "no answer from hub.example:443; a firewall may drop port 443",
    );
    expect(line(Cause.REFUSED, WSS)).toBe(
      "refused: nothing listens at hub.example:443; check https-port, or a firewall rejects it",
    );
    expect(line(Cause.TLS_HANDSHAKE_FAILED, WSS, "WRONG_VERSION_NUMBER", LinkState.SECURING)).toBe(
      "TLS: hub.example:443 does not speak TLS there; check https-port",
    );
  });

  test("8883 where it does not, said or not", () => {
    const unsaid = { upMs: 0, unanswered: "", expiredS: Number.NaN, shortLived: 0, endpoint };
    const facts = { cause: Cause.DIAL_TIMEOUT, detail: "", step: LinkState.DIALING, ...unsaid };
    expect(diagnose(facts)).toBe(line(Cause.DIAL_TIMEOUT, TLS));
    expect(diagnose(facts)).not.toContain(KEY);
  });
});
