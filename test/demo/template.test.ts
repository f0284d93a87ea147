// Tests of template: the shipped settings of the demonstration, filled in.
// Neighbours: template.ts, conf/demo-sas.ini, conf/azimuth.env.
// Invariant: the files tested are those that are shipped.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { validate } from "../../src/core/validate.ts";
import { parse } from "../../src/port/settings.ts";
import { fileLamp } from "./lamp.ts";
import { fill, variables } from "./template.ts";

const conf = join(import.meta.dir, "../../conf");
const template = readFileSync(join(conf, "demo-sas.ini"), "utf8");
const values = {
  FOLDER: "/tmp/folder",
  MQTT_PORT: "40001",
  HTTPS_PORT: "40002",
  ID_SCOPE: "0ne00000000",
};
const secret = "HostName=localhost;DeviceId=d;SharedAccessKey=AAAA";

function settings(lamp: Parameters<typeof fill>[2]) {
  const { entries, problems } = parse(fill(template, values, lamp));
  const made = validate(entries, problems, () => ({ text: secret, warning: "" }));
  if ("problems" in made) throw new Error(JSON.stringify(made.problems));
  return made.settings;
}

test("the agent accepts the filled settings, and they say what was filled in", () => {
  const { endpoint, lamps, agent } = settings(fileLamp("/tmp/folder/LED1"));
  expect([endpoint.mqttPort, endpoint.httpsPort]).toEqual([40001, 40002]);
  expect(agent.controlSocket).toBe("/tmp/folder/control.sock");
  expect(lamps[0]).toMatchObject({ name: "LED1", driver: "file", target: "/tmp/folder/LED1" });
});

test("another lamp takes the place of the file, whatever its name holds", () => {
  const led = { driver: "leds", target: "user:green;1", file: "" } as const;
  expect(settings(led).lamps[0]).toMatchObject({ driver: "leds", target: "user:green;1" });
  const odd = settings(fileLamp("/tmp/a $& b/LED1"));
  expect(odd.lamps[0]?.target).toBe("/tmp/a $& b/LED1");
});

test("a name that nobody fills in is an error", () => {
  expect(() => fill("key = @OTHER@", values, fileLamp("/x"))).toThrow("@OTHER@");
});

test("variables are read past comments, and only the first = divides", () => {
  expect(variables("# A=1\nB=2\n\nC=d=e\n")).toEqual({ B: "2", C: "d=e" });
  const shipped = variables(readFileSync(join(conf, "azimuth.env"), "utf8"));
  expect(Object.keys(shipped).length).toBeGreaterThan(0);
});
