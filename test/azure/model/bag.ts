/**
 * Property bags: the `key=value&…` part of a topic. Neighbours: `publish.ts` decodes, `mailbox.ts`
 * encodes. Facts: IoT Hub MQTT guide, system property keys `$.mid` and so on; both `%24.` and raw
 * `$.` occur in the wild. Invariant: `+` is no space; a key without `=` is null, `key=` is empty.
 */
import type { Bag, Properties } from "./events.ts";

/** Key on the wire to the name in events. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ["$.mid", "messageId"],
  ["$.cid", "correlationId"],
  ["$.uid", "userId"],
  ["$.to", "to"],
  ["$.on", "outputName"],
  ["$.sub", "component"],
  ["$.cdid", "connectionDeviceId"],
  ["$.cmid", "connectionModuleId"],
  ["$.ct", "contentType"],
  ["$.ce", "contentEncoding"],
  ["$.ctime", "creationTime"],
  ["$.exp", "expiry"],
  ["$.ifid", "interfaceId"],
  ["$.schema", "schema"],
  ["$.diagid", "traceId"],
  ["$.diagctx", "traceContext"],
]);

/** The same by what is seen on the wire, encoded and raw: most keys need no decoding. */
const SEEN: ReadonlyMap<string, string> = new Map(
  [...NAMES].flatMap(([key, name]) => [
    [key, name],
    [key.replace("$", "%24"), name],
  ]),
);

const KEYS: ReadonlyMap<string, string> = new Map([...NAMES].map(([key, name]) => [name, key]));

/** Key on the wire of a system property's name; unknown names go as they are. */
export function wireKey(name: string): string {
  return KEYS.get(name) ?? name;
}

const HAS_ESCAPE = /%/;

/** Percent-decodes, or gives null when the text is not well-formed. */
export function percentDecoded(text: string): string | null {
  if (!HAS_ESCAPE.test(text)) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** Sets a property whatever its name, `__proto__` included. */
export function put(target: Properties, key: string, value: string | null): void {
  if (key === "__proto__") {
    const own = { value, enumerable: true, writable: true, configurable: true };
    Object.defineProperty(target, key, own);
  } else {
    target[key] = value;
  }
}

/** Decodes a bag; a text instead is the problem. An empty bag is allowed. */
export function decodeBag(text: string): Bag | string {
  const bag: Bag = { app: {}, system: {} };
  if (text === "") return bag;
  for (const pair of text.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const seen = equals < 0 ? pair : pair.slice(0, equals);
    const value = equals < 0 ? null : percentDecoded(pair.slice(equals + 1));
    const name = SEEN.get(seen);
    if (name !== undefined && (equals < 0 || value !== null)) {
      bag.system[name] = value;
      continue;
    }
    const key = percentDecoded(seen);
    if (key === null || (equals >= 0 && value === null)) {
      return "property bag with a percent sign that encodes nothing";
    }
    if (key === "") return "property bag with an empty key";
    if (key.startsWith("$.")) put(bag.system, NAMES.get(key) ?? key, value);
    else put(bag.app, key, value);
  }
  return bag;
}

/** `encodeURIComponent` that also covers `!'()*`: nothing but unreserved characters is left. */
export function percentEncoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Writes a bag in wire keys (`$.mid`), in the order given. */
export function encodeBag(pairs: Iterable<[string, string | null]>, rawDollar: boolean): string {
  const parts: string[] = [];
  for (const [key, value] of pairs) {
    const name =
      rawDollar && key.startsWith("$") ? `$${percentEncoded(key.slice(1))}` : percentEncoded(key);
    parts.push(value === null ? name : `${name}=${percentEncoded(value)}`);
  }
  return parts.join("&");
}
