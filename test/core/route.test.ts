// Route, tested: its table cell by cell, what counts as blocked, and whole stories of a site.
// Neighbours: `src/core/route.ts`.
// Invariant: states are reached through the public methods alone.

import { describe, expect, test } from "bun:test";
import { Cause } from "../../src/core/effects.ts";
import { LinkState } from "../../src/core/link.ts";
import { Route, RouteState } from "../../src/core/route.ts";
import { DETOUR_MS } from "../../src/limits.ts";
import { walkTable } from "./table.ts";

const { DIALING, SECURING, GREETING, UP, CLOSING } = LinkState;

function blocked(route: Route): Route {
  route.onEnded(Cause.DIAL_TIMEOUT, DIALING);
  return route;
}

function auto(): Route {
  return new Route("auto", "mqtts", 0);
}

function settled(): Route {
  const route = blocked(auto());
  route.onReached(1000);
  return route;
}

walkTable<Route>({
  file: "core/route.ts",
  states: {
    MQTTS: () => new Route("mqtts", "wss", 0),
    WSS: () => new Route("wss", "mqtts", 0),
    DIRECT: auto,
    DETOUR: () => blocked(auto()),
    SETTLED: settled,
  },
  stateOf: (route) => RouteState[route.state]!,
  events: {
    reached: (route) => void route.onReached(1),
    blocked: (route) => void blocked(route),
    failed: (route) => void route.onEnded(Cause.TLS_NAME_MISMATCH, SECURING),
    deadline: (route) => void route.onDeadline(1_000_000_000),
  },
  look: () => [],
});

describe("what moves to the other port", () => {
  const MOVES = [
    "REFUSED UNREACHABLE TCP_RESET CLOSED_BY_PEER DIAL_TIMEOUT TLS_TIMEOUT",
    "TLS_HANDSHAKE_FAILED PROXY_TIMEOUT PROXY_REFUSED PROXY_FAILED WEBSOCKET_TIMEOUT",
    "WEBSOCKET_FORBIDDEN WEBSOCKET_NOT_FOUND WEBSOCKET_REFUSED WEBSOCKET_BROKEN",
  ];
  const moves = MOVES.join(" ").split(" ");
  const causes = Object.keys(Cause).filter((name) => Number.isNaN(Number(name)));

  test.each(causes)("%s", (name) => {
    const cause = Cause[name as keyof typeof Cause];
    for (const step of [DIALING, SECURING]) {
      const route = auto();
      route.onEnded(cause, step);
      expect(route.isDetour).toBe(moves.includes(name));
    }
    for (const step of [GREETING, UP, CLOSING]) {
      const route = auto();
      route.onEnded(cause, step);
      expect(route.isDetour).toBe(false);
    }
  });

  test("trouble that is alike on both ports leaves a detour where it is", () => {
    for (const cause of [Cause.PROXY_CREDENTIALS, Cause.NAME_NOT_FOUND, Cause.SOCKET_FAILED]) {
      const route = blocked(auto());
      route.onEnded(cause, DIALING);
      expect(route.isDetour).toBe(true);
    }
  });
});

test("a site that blocks 8883: 443 from the second attempt on, 8883 once a day", () => {
  const route = auto();
  const ports: number[] = [];
  const hourMs = 3_600_000;
  for (let hour = 0; hour < 50; hour++) {
    const nowMs = hour * hourMs;
    // Each hour the link is lost, and attempts are made until one succeeds.
    for (;;) {
      route.onDeadline(nowMs);
      ports.push(route.isDetour ? 443 : 8883);
      if (route.isDetour) break;
      blocked(route);
    }
    route.onReached(nowMs);
    route.onEnded(Cause.TCP_RESET, UP);
  }
  expect(ports.slice(0, 4)).toEqual([8883, 443, 443, 443]);
  expect(ports.filter((port) => port === 8883)).toHaveLength(3);
});

test("a network that is down altogether: both ports in turn, and back to what worked", () => {
  const route = settled();
  const tried = Array.from({ length: 6 }, () => {
    const port = route.isDetour ? 443 : 8883;
    route.onEnded(Cause.UNREACHABLE, DIALING);
    return port;
  });
  expect(tried).toEqual([443, 8883, 443, 8883, 443, 8883]);
  route.onReached(9000);
  expect(route.preferred).toBe("wss");
});

test("a hub that refuses over 443 has been reached there", () => {
  const route = blocked(auto());
  route.onReached(5);
  route.onEnded(Cause.CONNACK_NOT_AUTHORISED, GREETING);
  expect(RouteState[route.state]).toBe("SETTLED");
});

test("a remembered detour holds for its time after a start", () => {
  const route = new Route("auto", "wss", 500);
  expect(route.isDetour).toBe(true);
  route.onDeadline(500 + DETOUR_MS - 1);
  expect(route.isDetour).toBe(true);
  route.onDeadline(500 + DETOUR_MS);
  expect(route.isDetour).toBe(false);
  expect(route.preferred).toBe("mqtts");
});

test("what is worth remembering", () => {
  expect(auto().preferred).toBe("mqtts");
  expect(blocked(auto()).preferred).toBe("mqtts");
  expect(settled().preferred).toBe("wss");
  expect(new Route("wss", "mqtts", 0).preferred).toBe("wss");
});
