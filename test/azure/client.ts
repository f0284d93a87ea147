/**
 * The small client: look after devices, twins, methods and messages of a running emulator.
 * Neighbours: `main.ts` hands over the command words; `remote.ts` talks to the emulator.
 * Invariant: results go to stdout, one-line errors are thrown as `Refused` or `Usage`.
 */
import { type EnrollOptions, enroll, enrollment, registration } from "./enrollment.ts";
import type { Remote } from "./remote.ts";
import { Refused } from "./remote.ts";
import { eventLine } from "./server/line.ts";
import { need, noMore, parse, print, printJson, type Row, Usage } from "./words.ts";

/** Options that belong to single commands. */
export interface CommandOptions {
  bag?: string | undefined;
  key?: string | undefined;
  json?: boolean | undefined;
  enroll?: EnrollOptions | undefined;
}

const MQTT_PORT = 8883;

/** Connection strings of a device: the plain one, and one for a port other than 8883. */
async function connectionStrings(remote: Remote, device: Row): Promise<string[]> {
  const authentication = device.authentication as { symmetricKey: { primaryKey: string | null } };
  const key = authentication.symmetricKey.primaryKey;
  if (key === null) return [];
  const { hubName, url } = remote.place;
  const plain = `HostName=${hubName};DeviceId=${device.deviceId};SharedAccessKey=${key}`;
  const state = (await remote.control("GET", "state")) as { mqttPort: number };
  if (state.mqttPort === MQTT_PORT) return [plain];
  return [plain, `${plain};GatewayHostName=${new URL(url).hostname}:${state.mqttPort}`];
}

async function setStatus(remote: Remote, path: string, status: string): Promise<void> {
  const device = (await remote.call("GET", path)) as Row;
  await remote.call("PUT", path, { ...device, status }, "*");
}

async function device(remote: Remote, words: string[], options: CommandOptions): Promise<void> {
  const verb = need(words[0], "what to do with devices (create|list|show|delete|enable|disable)");
  noMore(words, verb === "list" ? 1 : 2);
  if (verb === "list") {
    for (const row of (await remote.call("GET", "/devices")) as Row[]) {
      print(`${row.deviceId} ${row.status} ${row.connectionState}`);
    }
    return;
  }
  const id = need(words[1], "a device id");
  const path = `/devices/${encodeURIComponent(id)}`;
  switch (verb) {
    case "create": {
      const symmetricKey = { primaryKey: options.key ?? "", secondaryKey: "" };
      const body = { deviceId: id, authentication: { type: "sas", symmetricKey } };
      const made = (await remote.call("PUT", path, body)) as Row;
      for (const line of await connectionStrings(remote, made)) print(line);
      return;
    }
    case "show": {
      const found = (await remote.call("GET", path)) as Row;
      printJson(found);
      for (const line of await connectionStrings(remote, found)) print(line);
      return;
    }
    case "delete":
      await remote.call("DELETE", path, undefined, "*");
      return;
    case "enable":
    case "disable":
      await setStatus(remote, path, `${verb}d`);
      return;
    default:
      throw new Usage(`device ${verb} is unknown; allowed: create list show delete enable disable`);
  }
}

async function twin(remote: Remote, words: string[]): Promise<void> {
  const verb = need(words[0], "get or set");
  const path = `/twins/${encodeURIComponent(need(words[1], "a device id"))}`;
  noMore(words, verb === "get" ? 2 : 3);
  if (verb === "get") {
    printJson(await remote.call("GET", path));
    return;
  }
  if (verb !== "set") throw new Usage(`twin ${verb} is unknown; allowed: get set`);
  const given = parse(need(words[2], "the JSON to set"), "the twin patch") as Row;
  const isTwin =
    given !== null && typeof given === "object" && ("properties" in given || "tags" in given);
  printJson(await remote.call("PATCH", path, isTwin ? given : { properties: { desired: given } }));
}

async function method(remote: Remote, words: string[]): Promise<void> {
  const path = `/twins/${encodeURIComponent(need(words[0], "a device id"))}/methods`;
  noMore(words, 3);
  const methodName = need(words[1], "a method name");
  const payload = words[2] === undefined ? null : parse(words[2], "the method payload");
  printJson(await remote.call("POST", path, { methodName, payload }));
}

async function mail(remote: Remote, words: string[], options: CommandOptions): Promise<void> {
  const id = encodeURIComponent(need(words[0], "a device id"));
  noMore(words, 2);
  const bag = options.bag === undefined ? "" : `?bag=${options.bag}`;
  const sent = await remote.control("POST", `c2d/${id}${bag}`, need(words[1], "the text to send"));
  print((sent as { messageId: string }).messageId);
}

async function tail(remote: Remote, words: string[], options: CommandOptions): Promise<void> {
  noMore(words, 1);
  const id = words[0] === undefined ? "" : encodeURIComponent(words[0]);
  const of = id === "" ? "" : `?device=${id}`;
  // Events of a device that is not there would never come.
  if (id !== "" && remote.place.key !== "") await remote.call("GET", `/devices/${id}`);
  for await (const line of remote.lines(`events${of}`)) {
    print(options.json === true ? line : eventLine(JSON.parse(line)));
  }
}

/** Runs one command. Throws `Usage` or `Refused`. */
export async function runCommand(
  remote: Remote,
  command: string,
  words: string[],
  options: CommandOptions,
): Promise<void> {
  switch (command) {
    case "device":
      return device(remote, words, options);
    case "twin":
      return twin(remote, words);
    case "method":
      return method(remote, words);
    case "c2d":
      return mail(remote, words, options);
    case "tail":
      return tail(remote, words, options);
    case "enroll":
      noMore(words, 0);
      return enroll(remote, options.enroll ?? {});
    case "enrollment":
      return enrollment(remote, words);
    case "registration":
      return registration(remote, words);
    default:
      throw new Refused(`${command} is not a command`);
  }
}
