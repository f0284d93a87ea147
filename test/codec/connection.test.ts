// Tests of src/codec/connection.ts: device connection strings, and every way to get one wrong.
// Neighbours: base64.test.ts has the key's form.
// Invariant: no problem repeats a value, whatever is put where.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseConnection } from "../../src/codec/connection.ts";

const KEY = "c2VjcmV0IGRldmljZSBrZXkgb2Ygbm8gdmFsdWU=";
const PLAIN = {
  hostName: "hub.azure-devices.net",
  host: "hub.azure-devices.net",
  port: 0,
  deviceId: "d1",
  moduleId: "",
  key: KEY,
  x509: false,
};

function problemOf(text: string): string {
  const result = parseConnection(text);
  if (!("problem" in result)) throw new Error("taken");
  expect(result.problem).not.toContain("\n");
  return result.problem;
}

describe("taken", () => {
  test.each([
    `HostName=hub.azure-devices.net;DeviceId=d1;SharedAccessKey=${KEY}`,
    `SharedAccessKey=${KEY};DeviceId=d1;HostName=hub.azure-devices.net`,
    `hostname=hub.azure-devices.net;DEVICEID=d1;sharedAccessKey=${KEY};`,
    `  HostName=hub.azure-devices.net; DeviceId=d1 ;SharedAccessKey=${KEY}\n`,
    `HostName=hub.azure-devices.net;DeviceId=d1;SharedAccessKey=${KEY};x509=false`,
  ])("%s", (text) => {
    expect(parseConnection(text)).toEqual(PLAIN);
  });

  test("a module", () => {
    const text = `HostName=hub.azure-devices.net;DeviceId=d1;ModuleId=m1;SharedAccessKey=${KEY}`;
    expect(parseConnection(text)).toEqual({ ...PLAIN, moduleId: "m1" });
  });

  test("no key, where that is elsewhere", () => {
    const keyless = "HostName=hub.azure-devices.net;DeviceId=d1";
    expect(parseConnection(keyless, true)).toEqual({ ...PLAIN, key: "" });
  });

  test("X.509 instead of a key", () => {
    const text = "HostName=hub.azure-devices.net;DeviceId=d1;x509=True";
    expect(parseConnection(text)).toEqual({ ...PLAIN, key: "", x509: true });
  });

  test("a port, and a gateway that is dialled in the hub's place", () => {
    const device = `DeviceId=d1;SharedAccessKey=${KEY}`;
    expect(parseConnection(`HostName=localhost:28483;${device}`)).toEqual({
      ...PLAIN,
      hostName: "localhost",
      host: "localhost",
      port: 28_483,
    });
    const hub = "HostName=hub.azure-devices.net:443";
    expect(parseConnection(`${hub};${device};GatewayHostName=edge-1:8884`)).toEqual({
      ...PLAIN,
      host: "edge-1",
      port: 8884,
    });
    expect(parseConnection(`${hub};${device};GatewayHostName=10.0.0.1`)).toEqual({
      ...PLAIN,
      host: "10.0.0.1",
      port: 0,
    });
  });

  test("an id may have every character that Azure allows and MQTT can address", () => {
    const odd = "aZ09-:.%_*?!(),=@$'";
    const id = odd + "x".repeat(128 - odd.length);
    const text = `HostName=h;DeviceId=${id};SharedAccessKey=${KEY}`;
    expect(parseConnection(text)).toMatchObject({ deviceId: id });
  });
});

describe("not taken", () => {
  test.each([
    ["", "HostName is missing"],
    ["hello", "entry 1 has no name; allowed: HostName"],
    [`HostName=h;DeviceId=d1;SharedAccessKey=${KEY} ; my hub`, "entry 4 has no name; allowed"],
    [`DeviceId=d1;SharedAccessKey=${KEY}`, "HostName is missing"],
    [`HostName=h;SharedAccessKey=${KEY}`, "DeviceId is missing"],
    ["HostName=h;DeviceId=d1", "SharedAccessKey is missing"],
    ["HostName=h;DeviceId=d1;x509=false", "SharedAccessKey is missing"],
    ["HostName=h;DeviceId=d1;x509=yes", "SharedAccessKey is missing"],
    [`HostName=h;DeviceId=d1;x509=yes;SharedAccessKey=${KEY}`, "x509 is neither"],
    [`HostName=h;DeviceId=d1;x509=true;SharedAccessKey=${KEY}`, "exclude each other"],
    [`HostName=h;DeviceId=;SharedAccessKey=${KEY}`, "DeviceId is empty"],
    ["HostName=h;DeviceId=d1;SharedAccessKey=", "SharedAccessKey is empty"],
    [`HostName=h;hostname=i;DeviceId=d1;SharedAccessKey=${KEY}`, "HostName is given twice"],
    [`HostName=h;DeviceId=d1;Colour=blue;SharedAccessKey=${KEY}`, "unknown name Colour; allowed"],
    [`HostName=h;DeviceId=d1;=x;SharedAccessKey=${KEY}`, "entry 3 has no name"],
    [`HostName=h;DeviceId=d 1;SharedAccessKey=${KEY}`, "DeviceId has a character"],
    [`HostName=h;DeviceId=d/1;SharedAccessKey=${KEY}`, "DeviceId has a character"],
    [`HostName=h;DeviceId=dé;SharedAccessKey=${KEY}`, "DeviceId has a character"],
    [`HostName=h;DeviceId=d;ModuleId=a/b;SharedAccessKey=${KEY}`, "ModuleId has a character"],
    [`HostName=h;DeviceId=d+1;SharedAccessKey=${KEY}`, "DeviceId has + or #, which MQTT cannot"],
    [`HostName=h;DeviceId=d#;SharedAccessKey=${KEY}`, "DeviceId has + or #, which MQTT cannot"],
    [`HostName=h;DeviceId=d;ModuleId=#;SharedAccessKey=${KEY}`, "ModuleId has + or #, which MQTT"],
    [`HostName=h;DeviceId=${"d".repeat(129)};SharedAccessKey=${KEY}`, "has 129 characters"],
    ["HostName=h;DeviceId=d1;SharedAccessKey=not*base64", "SharedAccessKey is not base64"],
    [`HostName=h;DeviceId=d1;SharedAccessKey=${KEY.slice(0, -1)}`, "SharedAccessKey is not base64"],
    [`HostName=-h;DeviceId=d1;SharedAccessKey=${KEY}`, "HostName is no host name"],
    [`HostName=h..i;DeviceId=d1;SharedAccessKey=${KEY}`, "HostName is no host name"],
    [`HostName=h_i;DeviceId=d1;SharedAccessKey=${KEY}`, "HostName is no host name"],
    [`HostName=https://h;DeviceId=d1;SharedAccessKey=${KEY}`, "HostName has no port"],
    [`HostName=${"a".repeat(64)};DeviceId=d1;SharedAccessKey=${KEY}`, "HostName is no host name"],
    [`HostName=${"a.".repeat(127)}a;DeviceId=d;SharedAccessKey=${KEY}`, "HostName is no host name"],
    [`HostName=:8883;DeviceId=d1;SharedAccessKey=${KEY}`, "HostName is no host name"],
    [`HostName=h:;DeviceId=d1;SharedAccessKey=${KEY}`, "HostName has no port"],
    [`HostName=h:0;DeviceId=d1;SharedAccessKey=${KEY}`, "HostName has no port"],
    [`HostName=h:65536;DeviceId=d1;SharedAccessKey=${KEY}`, "HostName has no port"],
    [`HostName=h:8883x;DeviceId=d1;SharedAccessKey=${KEY}`, "HostName has no port"],
    [`HostName=h;GatewayHostName=g:x;DeviceId=d;SharedAccessKey=${KEY}`, "GatewayHostName has no"],
    [`HostName=h;GatewayHostName=g/;DeviceId=d;SharedAccessKey=${KEY}`, "GatewayHostName is no"],
  ])("%s", (text, problem) => {
    expect(problemOf(text)).toContain(problem);
  });

  test("other kinds of strings get their own answer", () => {
    const service = `HostName=h;SharedAccessKeyName=iothubowner;SharedAccessKey=${KEY}`;
    expect(problemOf(service)).toContain("service connection string");
    const signature =
      "HostName=h;DeviceId=d;SharedAccessSignature=SharedAccessSignature sr=x&sig=y";
    expect(problemOf(signature)).toContain("a token that expires");
  });
});

describe("secrets", () => {
  test("a key never shows, wherever it was put", () => {
    const bodies = fc.uint8Array({ minLength: 6, maxLength: 48 });
    const forms = fc.constantFrom(
      (key: string) => `HostName=h;DeviceId=${key}`,
      (key: string) => `HostName=${key};DeviceId=d`,
      (key: string) => `HostName=h;DeviceId=d;${key}`,
      (key: string) => `HostName=h;DeviceId=d;${key}=`,
      (key: string) => key,
      (key: string) => `HostName=h;DeviceId=d;SharedAccessKey=${key};SharedAccessKey=${key}`,
      (key: string) => `HostName=h;DeviceId=d;SharedAccessKey=${key}!`,
      (key: string) => `HostName=h:${key};DeviceId=d;SharedAccessKey=AA==`,
      (key: string) => `HostName=h;DeviceId=d;SharedAccesKey=${key}`,
      (key: string) => `HostName=h;DeviceId=d;x509=${key};SharedAccessKey=AA==`,
      (key: string) => `HostName=h;SharedAccessKeyName=x;DeviceId=d;SharedAccessKey=${key}`,
    );
    fc.assert(
      fc.property(bodies, forms, (bytes, form) => {
        const key = Buffer.from(bytes).toString("base64");
        const result = parseConnection(form(key));
        if ("problem" in result) expect(result.problem).not.toContain(key.replaceAll("=", ""));
      }),
      { numRuns: 2000 },
    );
  });
});
