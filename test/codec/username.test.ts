// Tests of src/codec/username.ts: the user name of CONNECT, against forms seen on the wire.
// Neighbours: the link sends it, the emulator of test/azure reads it with a parser of its own.
// Invariant: expected texts are written out by hand.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { username } from "../../src/codec/username.ts";

test("of a device", () => {
  expect(username("hub.azure-devices.net", "dev-1", "", "azimuth/0.1.0", "")).toBe(
    "hub.azure-devices.net/dev-1/?api-version=2021-04-12&DeviceClientType=azimuth%2F0.1.0",
  );
});

test("of a module", () => {
  expect(username("h", "d", "m", "a", "")).toBe("h/d/m/?api-version=2021-04-12&DeviceClientType=a");
});

test("with a plug-and-play model", () => {
  expect(username("h", "d", "", "a", "dtmi:com:example:gateway;1")).toBe(
    "h/d/?api-version=2021-04-12&DeviceClientType=a&model-id=dtmi%3Acom%3Aexample%3Agateway%3B1",
  );
});

test("whatever agent and model say, they stay one parameter each", () => {
  const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(text, text, (agent, model) => {
      const query = username("h", "d", "", agent, model).split("/?")[1]!;
      const parameters = query.split("&").map((one) => one.split("="));
      expect(parameters.map(([key]) => key)).toEqual([
        "api-version",
        "DeviceClientType",
        "model-id",
      ]);
      expect(parameters.map((one) => decodeURIComponent(one[1]!)).slice(1)).toEqual([agent, model]);
    }),
  );
});
