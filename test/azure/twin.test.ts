/**
 * Twins: get, report, push, patch, replace, limits, etags (azure.md 4.7). Neighbours:
 * `lab.ts`; `rest.test.ts` has the same over HTTPS. Invariant: a refused change changes
 * nothing.
 */
import { describe, expect, test } from "bun:test";
import { Lab, type LabDevice, textOf } from "./lab.ts";
import { HubCode, type ServiceError } from "./model/errors.ts";
import type { Json, JsonObject } from "./model/merge.ts";

const GET = "$iothub/twin/GET/?$rid=";
const REPORT = "$iothub/twin/PATCH/properties/reported/?$rid=";

function listener(lab: Lab): LabDevice {
  const device = lab.connected("d1");
  device.subscribeAll();
  return device;
}

const desired = (value: JsonObject) => ({ properties: { desired: value } });
const section = (lab: Lab, name: "desired" | "reported") =>
  (lab.hub.getTwin("d1").properties as JsonObject)[name] as JsonObject;

function codeOf(work: () => unknown): HubCode {
  try {
    work();
  } catch (error) {
    return (error as ServiceError).code;
  }
  return HubCode.None;
}

/** Objects nested `depth` deep. */
function nested(depth: number): JsonObject {
  let value: JsonObject = { end: 1 };
  for (let level = 1; level < depth; level++) value = { a: value };
  return value;
}

describe("from the device", () => {
  test("GET answers 200 without metadata and echoes the request id", () => {
    const lab = new Lab();
    const device = listener(lab);
    lab.hub.patchTwin("d1", desired({ a: { b: [1, 2] } }));
    device.take();
    device.publish(`${GET}0A-ü&x=1`, " ");
    const [answer] = device.take();
    expect(answer!.topic).toBe("$iothub/twin/res/200/?$rid=0A-ü");
    expect(answer!.qos).toBe(0);
    expect(textOf(answer)).toBe(
      '{"desired":{"a":{"b":[1,2]},"$version":2},"reported":{"$version":1}}',
    );
  });

  test("nothing is answered to a device that does not listen", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.publish(`${GET}1`);
    expect(device.take()).toEqual([]);
  });

  test("a report answers 204 with the new version and merges", () => {
    const lab = new Lab();
    const device = listener(lab);
    device.publish(`${REPORT}1`, '{"a":{"b":1,"c":2},"d":[1]}');
    device.publish(`${REPORT}2`, '{"a":{"b":null},"d":null,"e":null}');
    expect(device.take().map((packet) => packet.topic)).toEqual([
      "$iothub/twin/res/204/?$rid=1&$version=2",
      "$iothub/twin/res/204/?$rid=2&$version=3",
    ]);
    device.publish(`${GET}3`);
    expect(JSON.parse(textOf(device.take()[0])).reported).toEqual({ a: { c: 2 }, $version: 3 });
  });

  test("a report with QoS 1 is acknowledged as well", () => {
    const lab = new Lab();
    const device = listener(lab);
    device.publish(`${REPORT}1`, "{}", 1);
    expect(device.take().map((packet) => packet.cmd)).toEqual(["publish", "puback"]);
  });

  test("a report without request id is taken and not answered", () => {
    const lab = new Lab();
    const device = listener(lab);
    device.publish("$iothub/twin/PATCH/properties/reported/", '{"a":1}');
    expect(device.take()).toEqual([]);
    expect(section(lab, "reported").a).toBe(1);
  });

  const refused: [string, Json | string, RegExp][] = [
    ["no JSON", "{", /not JSON/],
    ["an array", [], /not a JSON object/],
    ["a key with a dot", { "a.b": 1 }, /dot/],
    ["a key with a dollar", { $a: 1 }, /dollar/],
    ["a key with a space", { a: { "b c": 1 } }, /space/],
    ["a key with a control character", { "a\u0001": 1 }, /control/],
    ["a key of more than 1 KB", { ["k".repeat(1025)]: 1 }, /1024 bytes/],
    ["a string of more than 4 KB", { a: "x".repeat(4097) }, /4096 bytes/],
    ["an integer too large", { a: 4_503_599_627_370_497 }, /beyond/],
    ["nesting of eleven", { a: nested(11) }, /deeper than 10/],
    [
      "more than 32 KB",
      Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`k${n}`, "x".repeat(4000)])),
      /32768 are allowed/,
    ],
  ];
  for (const [name, patch, reason] of refused) {
    test(`${name} answers 400 with an error body and changes nothing`, () => {
      const lab = new Lab();
      const device = listener(lab);
      device.publish(`${REPORT}1`, typeof patch === "string" ? patch : JSON.stringify(patch));
      const [answer] = device.take();
      expect(answer!.topic).toBe("$iothub/twin/res/400/?$rid=1");
      const body = JSON.parse(textOf(answer));
      expect(body.errorCode).toBe(HubCode.ArgumentInvalid);
      expect(body.message).toMatch(reason);
      expect(body.timestampUtc).toBe("2026-01-01T00:00:00.000Z");
      expect(section(lab, "reported").$version).toBe(1);
      expect(lab.log("twin").at(-1)).toMatchObject({ status: 400, part: "reported" });
    });
  }

  test("the largest of everything is taken", () => {
    const lab = new Lab();
    const device = listener(lab);
    const patch = {
      ["k".repeat(1024)]: "x".repeat(4096),
      n: -4_503_599_627_370_496,
      a: nested(10),
    };
    device.publish(`${REPORT}1`, JSON.stringify(patch));
    expect(device.take()[0]!.topic).toContain("/204/");
  });
});

describe("from the service", () => {
  test("a patch is pushed to a device that listens, with nulls and $version", () => {
    const lab = new Lab();
    const device = listener(lab);
    lab.hub.patchTwin("d1", desired({ a: 1, b: { c: 2 } }));
    lab.hub.patchTwin("d1", desired({ a: null, b: { d: 3 } }));
    const pushes = device.take();
    expect(pushes.map((packet) => packet.topic)).toEqual([
      "$iothub/twin/PATCH/properties/desired/?$version=2",
      "$iothub/twin/PATCH/properties/desired/?$version=3",
    ]);
    expect(textOf(pushes[1])).toBe('{"a":null,"b":{"d":3},"$version":3}');
    expect(lab.log("twin").map((event) => event.pushed)).toEqual([true, true]);
  });

  test("nothing is pushed later for changes while away", () => {
    const lab = new Lab();
    listener(lab).cut();
    lab.hub.patchTwin("d1", desired({ a: 1 }));
    const device = lab.connected("d1");
    expect(device.take()).toEqual([]);
    device.subscribe("$iothub/twin/PATCH/properties/desired/#");
    expect(device.take().map((packet) => packet.cmd)).toEqual(["suback"]);
  });

  test("a replacement is pushed as the patch that leads there", () => {
    const lab = new Lab();
    const device = listener(lab);
    lab.hub.patchTwin("d1", desired({ a: 1, b: { c: 2, d: 3 } }));
    device.take();
    const twin = lab.hub.getTwin("d1");
    (twin.properties as JsonObject).desired = { b: { d: 4 }, $metadata: {}, $version: 1 };
    lab.hub.replaceTwin("d1", twin);
    expect(textOf(device.take()[0])).toBe('{"b":{"d":4,"c":null},"a":null,"$version":3}');
    expect(section(lab, "desired").b).toEqual({ d: 4 });
  });

  test("tags are not pushed and not shown to the device", () => {
    const lab = new Lab();
    const device = listener(lab);
    lab.hub.patchTwin("d1", { tags: { place: "roof" } });
    expect(device.take()).toEqual([]);
    expect(lab.hub.getTwin("d1").tags).toEqual({ place: "roof" });
  });

  test("metadata says when and in which version each key changed", () => {
    const lab = new Lab();
    lab.create("d1");
    lab.hub.patchTwin("d1", desired({ a: 1, b: { c: 2, d: 3 } }));
    lab.pass(60);
    lab.hub.patchTwin("d1", desired({ b: { c: 5 } }));
    const old = { $lastUpdated: "2026-01-01T00:00:00.000Z", $lastUpdatedVersion: 2 };
    const late = { $lastUpdated: "2026-01-01T00:01:00.000Z", $lastUpdatedVersion: 3 };
    expect(section(lab, "desired").$metadata).toEqual({
      ...late,
      a: old,
      b: { ...late, c: late, d: old },
    });
    expect(section(lab, "reported").$metadata).toEqual({
      $lastUpdated: "2026-01-01T00:00:00.000Z",
    });
  });

  test("etags guard: a stale one gives 412, the star and the right one pass", () => {
    const lab = new Lab();
    lab.create("d1");
    const etag = lab.hub.getTwin("d1").etag as string;
    lab.hub.patchTwin("d1", desired({ a: 1 }), etag);
    const stale = () => lab.hub.patchTwin("d1", desired({ a: 2 }), etag);
    expect(codeOf(stale)).toBe(HubCode.PreconditionFailed);
    expect(section(lab, "desired").a).toBe(1);
    lab.hub.patchTwin("d1", desired({ a: 3 }), "*");
    expect(section(lab, "desired").a).toBe(3);
  });

  test("a report leaves the etag alone and moves the version", () => {
    const lab = new Lab();
    const device = listener(lab);
    const before = lab.hub.getTwin("d1");
    device.publish(`${REPORT}1`, '{"a":1}');
    const after = lab.hub.getTwin("d1");
    expect(after.etag).toBe(before.etag!);
    expect(after.version).toBe((before.version as number) + 1);
  });

  test("tags and desired are taken both or not at all", () => {
    const lab = new Lab();
    lab.create("d1");
    const before = JSON.stringify(lab.hub.getTwin("d1"));
    const body = { tags: { a: 1 }, properties: { desired: { "b.c": 1 } } };
    expect(codeOf(() => lab.hub.patchTwin("d1", body))).toBe(HubCode.ArgumentInvalid);
    expect(codeOf(() => lab.hub.replaceTwin("d1", body))).toBe(HubCode.ArgumentInvalid);
    expect(codeOf(() => lab.hub.patchTwin("d1", { tags: 1 }))).toBe(HubCode.ArgumentInvalid);
    expect(JSON.stringify(lab.hub.getTwin("d1"))).toBe(before);
  });

  test("tags are bounded by 8 KB", () => {
    const lab = new Lab();
    lab.create("d1");
    const tags = { a: "x".repeat(4096), b: "x".repeat(4094) };
    lab.hub.patchTwin("d1", { tags });
    expect(codeOf(() => lab.hub.patchTwin("d1", { tags: { c: 1 } }))).toBe(400004);
  });

  test("a key named __proto__ is a key", () => {
    const lab = new Lab();
    const device = listener(lab);
    device.publish(`${REPORT}1`, '{"__proto__":{"a":1}}');
    device.take();
    device.publish(`${GET}2`);
    expect(textOf(device.take()[0])).toContain('"reported":{"__proto__":{"a":1},"$version":2}');
    expect(({} as { a?: number }).a).toBeUndefined();
  });

  test("an unknown device is 404", () => {
    const lab = new Lab();
    expect(codeOf(() => lab.hub.getTwin("dx"))).toBe(HubCode.DeviceNotFound);
  });
});
