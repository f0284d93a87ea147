// Tests of src/codec/topic.ts: every inbound form of azure.md section 4.4, and what is none.
// Neighbours: bag.test.ts reads the bags that are found here.
// Invariant: topics are written out as the hub sends them; positions are checked by their text.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  DESIRED_FILTER,
  deviceboundFilter,
  METHOD_FILTER,
  methodAnswerTopic,
  Topic,
  TopicKind,
  TWIN_ANSWER_FILTER,
  telemetryTopic,
  twinGetTopic,
  twinReportedTopic,
} from "../../src/codec/topic.ts";

const bytesOf = new TextEncoder();
const textOf = new TextDecoder();

interface Seen {
  readonly topic: Topic;
  readonly kind: TopicKind;
  part(start: number, end: number): string;
}

// The topic lies inside other bytes, as it does in the receive buffer.
function read(text: string, topic = new Topic("d1")): Seen {
  const bytes = bytesOf.encode(`$rid=9${text}&$rid=8`);
  const kind = topic.read(bytes, 6, bytes.length - 7);
  expect(topic.kind).toBe(kind);
  return { topic, kind, part: (start, end) => textOf.decode(bytes.subarray(start, end)) };
}

describe("twin answers", () => {
  test.each([
    ["$iothub/twin/res/200/?$rid=7", 200, 7, -1],
    ["$iothub/twin/res/204/?$rid=1&$version=42", 204, 1, 42],
    ["$iothub/twin/res/204/?$version=42&$rid=1", 204, 1, 42],
    ["$iothub/twin/res/204/?%24rid=1&%24version=0", 204, 1, 0],
    ["$iothub/twin/res/429/?x=1&$rid=2147483647&y", 429, 2_147_483_647, -1],
    ["$iothub/twin/res/204/?$rid=1&$version=9007199254740991", 204, 1, 2 ** 53 - 1],
    ["$iothub/twin/res/200/?$rid=5&$rid=6", 200, 5, -1],
  ])("%s", (text, status, rid, version) => {
    const { topic, kind } = read(text);
    expect(kind).toBe(TopicKind.TWIN_ANSWER);
    expect([topic.status, topic.rid, topic.version]).toEqual([status, rid, version]);
  });

  test.each([
    "",
    "?",
    "?$rid",
    "?$rid=",
    "?$rid=07",
    "?$rid=2147483648",
    "?$rid=99999999999999999999",
    "?$rid=-1",
    "?$rid=+1",
    "?$rid=0x1",
    "?$rid=1a",
    "?$rid=1.0",
    "?$rid=%31",
    "?$Rid=1",
    "?rid=1",
    "?$rid2=1",
    "?$ri=1",
    "?%25rid=1",
    "?x$rid=1",
  ])("a request number that is not ours: %p", (tail) => {
    const { topic, kind } = read(`$iothub/twin/res/200/${tail === "" ? "?" : tail}`);
    expect(kind).toBe(TopicKind.TWIN_ANSWER);
    expect(topic.rid).toBe(-1);
  });

  test.each([
    "$iothub/twin/res/",
    "$iothub/twin/res/200",
    "$iothub/twin/res/200/",
    "$iothub/twin/res/200?$rid=1",
    "$iothub/twin/res/20/?$rid=1",
    "$iothub/twin/res/2000/?$rid=1",
    "$iothub/twin/res/099/?$rid=1",
    "$iothub/twin/res/2x0/?$rid=1",
    "$iothub/twin/res//?$rid=1",
    "$iothub/twin/RES/200/?$rid=1",
    "$iothub/twin/re",
  ])("no twin answer: %s", (text) => {
    expect(read(text).kind).toBe(TopicKind.UNKNOWN);
  });
});

describe("desired changes", () => {
  test.each([
    ["?$version=12", 12],
    ["?%24version=12", 12],
    ["?a=b&$version=3&c", 3],
    ["?", -1],
    ["?$version=", -1],
    ["?$version=9007199254740992", -1],
    ["?$version=012", -1],
  ])("%s", (tail, version) => {
    const { topic, kind } = read(`$iothub/twin/PATCH/properties/desired/${tail}`);
    expect(kind).toBe(TopicKind.DESIRED);
    expect(topic.version).toBe(version);
  });

  test("without its question mark it is none", () => {
    expect(read("$iothub/twin/PATCH/properties/desired/").kind).toBe(TopicKind.UNKNOWN);
    expect(read("$iothub/twin/PATCH/properties/desired/x?$version=1").kind).toBe(TopicKind.UNKNOWN);
    expect(read("$iothub/twin/PATCH/properties/reported/?$rid=1").kind).toBe(TopicKind.UNKNOWN);
  });
});

describe("method calls", () => {
  test.each([
    ["$iothub/methods/POST/reboot/?$rid=1f", "reboot", "1f"],
    ["$iothub/methods/POST/a.b-c/?x=1&%24rid=%2Fopaque=&z=2", "a.b-c", "%2Fopaque="],
    ["$iothub/methods/POST/m/?$rid=a&$rid=b", "m", "a"],
  ])("%s", (text, name, rid) => {
    const { topic, kind, part } = read(text);
    expect(kind).toBe(TopicKind.METHOD);
    expect(part(topic.nameStart, topic.nameEnd)).toBe(name);
    expect(part(topic.ridStart, topic.ridEnd)).toBe(rid);
  });

  test.each([
    "$iothub/methods/POST/",
    "$iothub/methods/POST/reboot",
    "$iothub/methods/POST/reboot/",
    "$iothub/methods/POST//?$rid=1",
    "$iothub/methods/POST/a/b/?$rid=1",
    "$iothub/methods/POST/reboot/?",
    "$iothub/methods/POST/reboot/?$rid=",
    "$iothub/methods/GET/reboot/?$rid=1",
  ])("no method call: %s", (text) => {
    expect(read(text).kind).toBe(TopicKind.UNKNOWN);
  });
});

describe("cloud-to-device messages", () => {
  test("with a bag, and with none", () => {
    const full = read("devices/d1/messages/devicebound/%24.mid=1&a=b");
    expect(full.kind).toBe(TopicKind.DEVICEBOUND);
    expect(full.part(full.topic.bagStart, full.topic.bagEnd)).toBe("%24.mid=1&a=b");
    const bare = read("devices/d1/messages/devicebound/");
    expect(bare.kind).toBe(TopicKind.DEVICEBOUND);
    expect(bare.part(bare.topic.bagStart, bare.topic.bagEnd)).toBe("");
  });

  test("ids are compared as they are, never decoded", () => {
    const odd = new Topic("a%2Fb#+$'");
    const topic = "devices/a%2Fb#+$'/messages/devicebound/x";
    expect(read(topic, odd).kind).toBe(TopicKind.DEVICEBOUND);
    expect(read("devices/a/b#+$'/messages/devicebound/x", odd).kind).toBe(TopicKind.UNKNOWN);
  });

  test("a module has its own", () => {
    const module = new Topic("d1", "m1");
    const topic = "devices/d1/modules/m1/messages/devicebound/x";
    expect(read(topic, module).kind).toBe(TopicKind.DEVICEBOUND);
    expect(read("devices/d1/messages/devicebound/x", module).kind).toBe(TopicKind.UNKNOWN);
    expect(read(topic).kind).toBe(TopicKind.UNKNOWN);
  });

  test.each([
    "devices/d2/messages/devicebound/x",
    "devices/d1/messages/devicebound",
    "devices/d1/messages/events/x",
    "devices/d",
    "Devices/d1/messages/devicebound/x",
  ])("not ours: %s", (text) => {
    expect(read(text).kind).toBe(TopicKind.UNKNOWN);
  });
});

describe("any topic", () => {
  const tokens = ["?", "&", "=", "/", "$rid", "%24rid=1f", "$rid=12&", "$version=7&", "x=1&", "9"];
  const texts = fc.string({ unit: fc.constantFrom(...tokens), maxLength: 8 });
  const forms = fc.constantFrom(
    "$iothub/twin/res/200/",
    "$iothub/twin/PATCH/properties/desired/",
    "$iothub/methods/POST/m/",
    "devices/d1/messages/devicebound/",
  );

  test("positions stay inside it, and what came before leaves no trace", () => {
    const worn = new Topic("d1");
    fc.assert(
      fc.property(forms, texts, fc.constantFrom("", "?", "cut"), (form, tail, between) => {
        const bytes = bytesOf.encode(between === "cut" ? tail : form + between + tail);
        const fresh = new Topic("d1");
        expect(worn.read(bytes, 0, bytes.length)).toBe(fresh.read(bytes, 0, bytes.length));
        const fields = (topic: Topic) => {
          const rid = [topic.ridStart, topic.ridEnd];
          switch (topic.kind) {
            case TopicKind.TWIN_ANSWER:
              return [topic.status, topic.rid, topic.version];
            case TopicKind.DESIRED:
              return [topic.version];
            case TopicKind.METHOD:
              return [topic.nameStart, topic.nameEnd, ...rid];
            default:
              return topic.kind === TopicKind.UNKNOWN ? [] : [topic.bagStart, topic.bagEnd];
          }
        };
        expect(fields(worn)).toEqual(fields(fresh));
        if (fresh.kind === TopicKind.METHOD) {
          expect(fresh.nameStart).toBeLessThan(fresh.nameEnd);
          expect(fresh.nameEnd).toBeLessThan(fresh.ridStart);
          expect(fresh.ridStart).toBeLessThan(fresh.ridEnd);
          expect(fresh.ridEnd).toBeLessThanOrEqual(bytes.length);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("built", () => {
  test("topics and filters", () => {
    expect(telemetryTopic("d1")).toBe("devices/d1/messages/events/");
    expect(telemetryTopic("d1", "m1")).toBe("devices/d1/modules/m1/messages/events/");
    expect(twinGetTopic(0)).toBe("$iothub/twin/GET/?$rid=0");
    expect(twinReportedTopic(2_147_483_647)).toBe(
      "$iothub/twin/PATCH/properties/reported/?$rid=2147483647",
    );
    expect(methodAnswerTopic(200, "1f")).toBe("$iothub/methods/res/200/?$rid=1f");
    expect(methodAnswerTopic(-1, "%2F")).toBe("$iothub/methods/res/-1/?$rid=%2F");
    expect(TWIN_ANSWER_FILTER).toBe("$iothub/twin/res/#");
    expect(DESIRED_FILTER).toBe("$iothub/twin/PATCH/properties/desired/#");
    expect(METHOD_FILTER).toBe("$iothub/methods/POST/#");
    expect(deviceboundFilter("d1")).toBe("devices/d1/messages/devicebound/#");
    expect(deviceboundFilter("d1", "m1")).toBe("devices/d1/modules/m1/messages/devicebound/#");
  });

  test.each([-1, 1.5, 2_147_483_648, Number.NaN])("no request has the number %p", (rid) => {
    expect(() => twinGetTopic(rid)).toThrow("request number");
    expect(() => twinReportedTopic(rid)).toThrow("request number");
  });

  test.each([1.5, 2_147_483_648, Number.NaN])("no method answers with %p", (status) => {
    expect(() => methodAnswerTopic(status, "1")).toThrow("status");
  });
});
