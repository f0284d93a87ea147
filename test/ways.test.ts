// Tests of the ways out of a site as a process: WebSocket, a real proxy, and auto where 8883 is
// blocked; what an operator reads when something stands in the way.
// Neighbours: `site.ts`, `port/tinyproxy.ts`.
// Invariant: nothing waits for a fixed time; whatever is not seen in 30 s has failed.

import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { type Tinyproxy, tinyproxy } from "./port/tinyproxy.ts";
import { Site, until } from "./site.ts";

setDefaultTimeout(60_000);

let site: Site;
let proxy: Tinyproxy | undefined;
beforeEach(async () => {
  site = await Site.open();
});
afterEach(async () => {
  await site.close();
  await proxy?.stop();
  proxy = undefined;
});

/** Telemetry comes through, a desired property goes in. */
async function works(): Promise<void> {
  await site.logged("connected to ");
  await until("telemetry", () => site.received().length > 0);
  site.desire({ LED1: true });
  await until("the lamp", () => site.lamp() === "1");
}

test("by WebSocket alone", async () => {
  site.settings({ "network transport": "wss", "endpoint mqtt-port": "1" });
  site.start();
  await works();
  expect(site.log).toContain(`connecting to localhost:${site.azure.ready.httpsPort} by WebSocket`);
});

test("auto goes by WebSocket where the MQTT port is closed, and says what is closed", async () => {
  site.settings({ "endpoint mqtt-port": "1", "data connect.retry-interval": "1" });
  site.start();
  await site.logged("refused: nothing listens at localhost:1; check mqtt-port");
  await works();
});

test("auto goes by WebSocket where the hub is what refuses the MQTT port of a proxy", async () => {
  const { httpsPort, mqttPort } = site.azure.ready;
  proxy = await tinyproxy("BasicAuth site word", `ConnectPort ${httpsPort}`);
  writeFileSync(site.path("password"), "word\n", { mode: 0o600 });
  site.settings({
    "data connect.retry-interval": "1",
    "network proxy": `http://127.0.0.1:${proxy.port}`,
    "network proxy-user": "site",
    "network proxy-password-file": site.path("password"),
  });
  site.start();
  const place = `127.0.0.1:${proxy.port}`;
  await site.logged(`the proxy ${place} does not let through to localhost:${mqttPort} (403`);
  await site.logged(`connecting to localhost:${httpsPort} by WebSocket through ${place}`);
  await works();
  expect(site.log).not.toContain("word");
});

test("a proxy that wants other credentials, then none that can be reached", async () => {
  proxy = await tinyproxy("BasicAuth site word");
  const place = `127.0.0.1:${proxy.port}`;
  site.settings({ "network proxy": `http://${place}`, "data connect.retry-interval": "1" });
  site.start();
  await site.logged(`the proxy ${place} wants user name and password (none are given); check`);
  await proxy.stop();
  proxy = undefined;
  await site.logged(`the proxy ${place} cannot be reached (ECONNREFUSED); check proxy`);
});

test("why the hub refuses is asked through the proxy, too", async () => {
  proxy = await tinyproxy();
  const { hubName, httpsPort, mqttPort } = site.azure.ready;
  const key = Buffer.alloc(32, 1).toString("base64");
  const identity = `HostName=${hubName}:${mqttPort};DeviceId=site1;SharedAccessKey=${key}`;
  site.settings({
    "endpoint connection-string": identity,
    "network proxy": `http://127.0.0.1:${proxy.port}`,
  });
  site.start();
  await site.logged("refused by the hub: key wrong for device site1");
  expect(proxy.log()).toContain(`CONNECT localhost:${mqttPort} `);
  expect(proxy.log()).toContain(`CONNECT localhost:${httpsPort} `);
});

test("a hub that refuses the WebSocket for a while", async () => {
  site.settings({ "network transport": "wss", "data connect.retry-interval": "1" });
  site.azure.hub.faults.add({ kind: "refuse-websocket", code: 503, count: 1 });
  site.start();
  await site.logged("opened no WebSocket (503");
  await works();
});
