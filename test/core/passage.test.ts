// Passage, tested: the way of each attempt, in words, as a target and in a diagnosis.
// Neighbours: `src/core/passage.ts`; `route.test` has the decisions; `test/ways.test.ts` the whole.
// Invariant: a way changes between attempts only.

import { describe, expect, test } from "bun:test";
import { Cause } from "../../src/core/effects.ts";
import { LinkState } from "../../src/core/link.ts";
import { Passage } from "../../src/core/passage.ts";
import { DETOUR_MS } from "../../src/limits.ts";
import { settings } from "../given.ts";
import { Rig } from "../rig.ts";

const { endpoint } = settings({ endpoint: { mqttPort: 18_883, httpsPort: 8443 } });
const proxy = { host: "proxy.example", port: 3128, user: "site", password: "hush" };
const WAYS = { mqtts: 18_883, wss: 8443 };

describe("the way of an attempt", () => {
  test.each(["mqtts", "wss"] as const)("%s", (transport) => {
    const passage = new Passage({ transport, proxy: null }, endpoint);
    const isWebSocket = transport === "wss";
    const place = `hub.example:${WAYS[transport]}${isWebSocket ? " by WebSocket" : ""}`;
    expect(passage.choose(endpoint, 0)).toBe(place);
    expect(passage.way).toEqual({ port: WAYS[transport], isWebSocket, proxy: "" });
    const path = "/$iothub/websocket?iothub-no-client-cert=true";
    const target = { host: "hub.example", port: WAYS[transport], roots: "pem" };
    expect(passage.target("hub.example", "pem")).toEqual(
      isWebSocket ? { ...target, webSocketPath: path } : target,
    );
  });

  test("names the proxy, without its credentials", () => {
    const passage = new Passage({ transport: "wss", proxy }, endpoint);
    const text = passage.choose(endpoint, 0);
    expect(text).toBe("hub.example:8443 by WebSocket through proxy.example:3128");
    expect(JSON.stringify(passage.way)).not.toContain("hush");
  });

  test("stays that of the attempt until the next one is chosen", () => {
    const passage = new Passage({ transport: "auto", proxy: null }, endpoint);
    passage.choose(endpoint, 0);
    passage.onEnded(Cause.DIAL_TIMEOUT, LinkState.DIALING, 1);
    expect(passage.way.port).toBe(18_883);
    passage.choose(endpoint, 2);
    expect(passage.way.port).toBe(8443);
    passage.onEnded(Cause.CONNACK_NOT_AUTHORISED, LinkState.GREETING, 3);
    passage.choose(endpoint, 3 + DETOUR_MS - 1);
    expect(passage.way.port).toBe(8443);
    passage.choose(endpoint, 3 + DETOUR_MS);
    expect(passage.way.port).toBe(18_883);
  });
});

test("the agent tries 443 in the attempt after one that 8883 did not answer", () => {
  const rig = new Rig(settings({ network: { transport: "auto" } }));
  rig.greet();
  rig.close(Cause.TCP_RESET);
  const ports: number[] = [];
  const { passage } = rig.turn.agent.machines;
  for (const step of [1, 2, 3]) {
    rig.pass(60_000);
    ports.push(passage.way.port);
    if (step < 3) rig.close(Cause.REFUSED);
  }
  expect(ports).toEqual([8883, 443, 8883]);
});
