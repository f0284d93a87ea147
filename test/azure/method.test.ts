/**
 * Direct methods (azure.md 4.8). Neighbours: `lab.ts`; `rest.test.ts` has them
 * over HTTPS. Invariant: each call ends exactly once, with the device's answer or
 * with one reason.
 */
import { describe, expect, test } from "bun:test";
import { Lab, type LabDevice, type Seen, textOf } from "./lab.ts";
import { HubCode, ServiceError } from "./model/errors.ts";
import type { MethodRequest, MethodResult } from "./model/methods.ts";

function call(lab: Lab, request: Partial<MethodRequest> = {}): (MethodResult | ServiceError)[] {
  const results: (MethodResult | ServiceError)[] = [];
  lab.hub.invokeMethod("d1", { methodName: "blink", ...request }, (result) => {
    results.push(result);
  });
  return results;
}

const ridOf = (packet: Seen | undefined) => /\$rid=(.*)$/.exec(packet?.topic ?? "")?.[1] ?? "";
const answer = (device: LabDevice, status: string, rid: string, body: string) =>
  device.publish(`$iothub/methods/res/${status}/?$rid=${rid}`, body);

function listener(lab: Lab): LabDevice {
  const device = lab.connected("d1");
  device.subscribeAll();
  return device;
}

function codeOf(work: () => unknown): HubCode {
  try {
    work();
  } catch (error) {
    return (error as ServiceError).code;
  }
  return HubCode.None;
}

describe("a call", () => {
  test("reaches the device and comes back with status and payload", () => {
    const lab = new Lab();
    const device = listener(lab);
    const results = call(lab, { payload: { times: 3 } });
    const [packet] = device.take();
    expect(packet!.topic).toMatch(/^\$iothub\/methods\/POST\/blink\/\?\$rid=[0-9a-f]+$/);
    expect(packet!.qos).toBe(0);
    expect(textOf(packet)).toBe('{"times":3}');
    expect(results).toEqual([]);
    answer(device, "200", ridOf(packet), '{"done":true}');
    expect(results).toEqual([{ status: 200, payload: { done: true } }]);
    expect(lab.log("method").map((event) => event.state)).toEqual(["sent", "answered"]);
  });

  test("without payload sends null; an empty answer is null; any status goes", () => {
    const lab = new Lab();
    const device = listener(lab);
    const results = call(lab);
    const [packet] = device.take();
    expect(textOf(packet)).toBe("null");
    answer(device, "-7", ridOf(packet), "");
    expect(results).toEqual([{ status: -7, payload: null }]);
  });

  test("to a device that is away, or not subscribed, is 404103", () => {
    const lab = new Lab();
    lab.create("d1");
    expect(call(lab)[0]).toMatchObject({ code: HubCode.DeviceNotOnline, status: 404 });
    lab.connected("d1");
    expect(call(lab)[0]).toMatchObject({ code: HubCode.DeviceNotOnline, status: 404 });
  });

  test("waits connectTimeout for the device", () => {
    const lab = new Lab();
    lab.create("d1");
    const results = call(lab, { connectTimeoutInSeconds: 20 });
    lab.pass(19);
    expect(results).toEqual([]);
    const device = lab.connected("d1");
    device.subscribe("$iothub/methods/POST/#");
    const packets = device.take();
    expect(packets.map((packet) => packet.cmd)).toEqual(["suback", "publish"]);
    answer(device, "200", ridOf(packets[1]), "1");
    expect(results).toEqual([{ status: 200, payload: 1 }]);

    device.cut();
    const late = call(lab, { connectTimeoutInSeconds: 20 });
    lab.pass(20);
    expect(late[0]).toMatchObject({ code: HubCode.DeviceNotOnline });
  });

  test("goes to a stored subscription right behind CONNACK", () => {
    const lab = new Lab();
    listener(lab).cut();
    call(lab, { connectTimeoutInSeconds: 20 });
    const device = lab.device("d1");
    device.connect();
    expect(device.take().map((packet) => packet.cmd)).toEqual(["connack", "publish"]);
  });

  test("without answer is 504101 after its time; a late answer is only logged", () => {
    const lab = new Lab();
    const device = listener(lab);
    const results = call(lab, { responseTimeoutInSeconds: 5 });
    lab.pass(4.9);
    expect(results).toEqual([]);
    lab.pass(0.1);
    expect(results[0]).toMatchObject({ code: HubCode.GatewayTimeout, status: 504 });
    answer(device, "200", ridOf(device.take()[0]), "{}");
    expect(results).toHaveLength(1);
    expect(device.closed).toBeUndefined();
    expect(lab.log("method").map((event) => event.state)).toEqual(["sent", "timeout", "late"]);
  });

  test("with an answer that is no JSON is 502", () => {
    const lab = new Lab();
    const device = listener(lab);
    const results = call(lab);
    answer(device, "200", ridOf(device.take()[0]), "{");
    expect(results[0]).toMatchObject({ code: HubCode.BadDeviceResponse, status: 502 });
  });

  test("cannot be answered by another device", () => {
    const lab = new Lab();
    const device = listener(lab);
    const other = lab.connected("d2");
    const results = call(lab);
    answer(other, "200", ridOf(device.take()[0]), "{}");
    expect(results).toEqual([]);
  });

  test("ends when the device is deleted", () => {
    const lab = new Lab();
    listener(lab);
    const results = call(lab);
    lab.hub.deleteDevice("d1");
    expect(results).toHaveLength(1);
    expect(results[0]).toBeInstanceOf(ServiceError);
  });
});

describe("refused at once", () => {
  const cases: [string, Partial<MethodRequest>, HubCode][] = [
    ["a name with a slash", { methodName: "a/b" }, HubCode.ArgumentInvalid],
    ["a name with a wildcard", { methodName: "a#" }, HubCode.ArgumentInvalid],
    ["an empty name", { methodName: "" }, HubCode.ArgumentInvalid],
    ["a response time of 4 s", { responseTimeoutInSeconds: 4 }, HubCode.ArgumentInvalid],
    ["a connect time of 301 s", { connectTimeoutInSeconds: 301 }, HubCode.ArgumentInvalid],
    ["a payload over 128 KB", { payload: "x".repeat(131_071) }, HubCode.MessageTooLarge],
  ];
  for (const [name, request, code] of cases) {
    test(name, () => {
      const lab = new Lab();
      listener(lab);
      expect(codeOf(() => call(lab, request))).toBe(code);
      expect(lab.log("method")).toEqual([]);
    });
  }

  test("the eleventh at once", () => {
    const lab = new Lab();
    listener(lab);
    for (let count = 0; count < 10; count++) call(lab);
    expect(codeOf(() => call(lab))).toBe(HubCode.TooManyDirectMethods);
  });
});
