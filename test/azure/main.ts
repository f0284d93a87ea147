/**
 * Command line of local Azure: `serve` runs the emulator, the other commands are its small client.
 * Neighbours: `server/emulator.ts` and `client.ts` do the work. Invariant: one ready line on
 * stdout, the log on stderr; exit codes 0 done, 1 refused with one line, 2 usage.
 */
import { parseArgs } from "node:util";
import { runCommand } from "./client.ts";
import type { HubEvent } from "./model/events.ts";
import type { UnknownFilter } from "./model/options.ts";
import { findPlace, Remote } from "./remote.ts";
import { type Emulator, type EmulatorOptions, startEmulator } from "./server/emulator.ts";
import { eventLine } from "./server/line.ts";
import { base64, lineOf, noMore, Usage } from "./words.ts";

const HELP = `usage: bun test/azure/main.ts COMMAND
  serve [--host NAME] [--listen ADDRESS] [--name NAME]… [--https-port N] [--mqtt-port N]
        [--data DIR] [--hub-name NAME] [--id-scope ID] [--service-key B64] [--cert-type ec|rsa]
        [--grace S] [--sas-skew S] [--unknown-filter close|refuse|grant] [--any-ack-order]
        [--overload N] [--second-hub NAME]… [--retry-after S] [--assign-ms N]
        [--device ID[:KEY]]… [--fault JSON]… [--quiet]
  device create ID [--device-key B64] | list | show ID | delete ID | enable ID | disable ID
  twin get ID | set ID JSON        method ID NAME [JSON]
  c2d ID TEXT [--bag BAG]          tail [ID] [--json]
  enroll --tpm FILE|JSON | --symmetric ID | --x509 ID --cert FILE | --group ID [--cert FILE]
         [--device-id ID] [--primary-key B64] [--twin JSON] [--hub NAME] [--disabled]
         [--reprovision migrate|reset|keep]
  enrollment list | show ID | delete ID | enable ID | disable ID | key GROUP REGISTRATION-ID
  registration show ID | delete ID
  where: --data DIR, or --url URL --ca FILE --key B64 [--policy NAME] [--hub-name NAME]
         (provisioning: --dps-key B64)
`;

const text = { type: "string" } as const;
const many = { type: "string", multiple: true } as const;
const flag = { type: "boolean" } as const;
const OPTIONS = {
  host: text,
  listen: text,
  name: many,
  "https-port": text,
  "mqtt-port": text,
  data: text,
  "hub-name": text,
  "id-scope": text,
  "service-key": text,
  "cert-type": text,
  grace: text,
  "sas-skew": text,
  "unknown-filter": text,
  "any-ack-order": flag,
  overload: text,
  device: many,
  fault: many,
  quiet: flag,
  url: text,
  ca: text,
  key: text,
  policy: text,
  bag: text,
  "device-key": text,
  json: flag,
  "second-hub": many,
  "retry-after": text,
  "assign-ms": text,
  tpm: text,
  symmetric: text,
  x509: text,
  group: text,
  cert: text,
  "device-id": text,
  "primary-key": text,
  twin: text,
  hub: text,
  reprovision: text,
  disabled: flag,
  "dps-key": text,
  help: flag,
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

function whole(values: Values, name: keyof Values, max: number): number | undefined {
  const given = values[name];
  if (given === undefined) return undefined;
  const value = Number(given);
  if (!/^\d+$/.test(String(given)) || value > max) {
    throw new Usage(`--${name} must be a whole number from 0 to ${max}`);
  }
  return value;
}

function oneOf<T extends string>(
  values: Values,
  name: keyof Values,
  all: readonly T[],
): T | undefined {
  const given = values[name] as T | undefined;
  if (given === undefined || all.includes(given)) return given;
  throw new Usage(`--${name} must be one of ${all.join(", ")}`);
}

const NAME = /^[A-Za-z0-9:]([A-Za-z0-9._:-]{0,251}[A-Za-z0-9])?$/;

/** Host names and addresses: they go into certificates. */
function checkNames(values: Values): void {
  for (const name of ["host", "listen", "name", "hub-name", "second-hub"] as const) {
    const bad = [values[name] ?? []].flat().find((one) => !NAME.test(one));
    if (bad !== undefined) throw new Usage(`--${name} "${bad}" is not a host name or address`);
  }
}

/** Leaves out what was not given, so that defaults stay in one place. */
function given<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

function emulatorOptions(values: Values): EmulatorOptions {
  checkNames(values);
  const yearS = 31_536_000;
  const log = (event: HubEvent): void => {
    process.stderr.write(`${eventLine(event)}\n`);
  };
  return given({
    host: values.host,
    listen: values.listen,
    names: values.name,
    httpsPort: whole(values, "https-port", 65_535),
    mqttPort: whole(values, "mqtt-port", 65_535),
    data: values.data,
    hubName: values["hub-name"],
    idScope: values["id-scope"],
    moreHubs: values["second-hub"],
    dps: given({
      retryAfterS: whole(values, "retry-after", 86_400),
      assignMs: whole(values, "assign-ms", 86_400_000),
    }),
    serviceKey: base64(values["service-key"], "service-key"),
    certificateType: oneOf(values, "cert-type", ["ec", "rsa"] as const),
    hub: given({
      graceS: whole(values, "grace", yearS),
      skewS: whole(values, "sas-skew", yearS),
      unknownFilter: oneOf<UnknownFilter>(values, "unknown-filter", ["close", "refuse", "grant"]),
      strictAckOrder: values["any-ack-order"] === true ? false : undefined,
      overloadPerS: whole(values, "overload", 1_000_000),
    }),
    onEvent: values.quiet === true ? undefined : log,
  }) as EmulatorOptions;
}

function prepare(emulator: Emulator, values: Values): void {
  const known = new Set(
    emulator.hub.listDevices(Number.MAX_SAFE_INTEGER).map((row) => row.deviceId),
  );
  for (const spec of values.device ?? []) {
    const colon = spec.indexOf(":");
    const id = colon < 0 ? spec : spec.slice(0, colon);
    const primaryKey = colon < 0 ? "" : spec.slice(colon + 1);
    const body = {
      authentication: { type: "sas", symmetricKey: { primaryKey, secondaryKey: "" } },
    };
    if (known.has(id)) emulator.hub.updateDevice(id, body);
    else emulator.hub.createDevice(id, body);
  }
  for (const spec of values.fault ?? []) {
    let fault: unknown;
    try {
      fault = JSON.parse(spec);
    } catch {
      throw new Usage("--fault is not JSON");
    }
    emulator.hub.faults.add(fault);
  }
  emulator.settle();
}

function serve(values: Values): void {
  const emulator = startEmulator(emulatorOptions(values));
  const stop = (): void => {
    emulator.stop();
    process.exit(0);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  try {
    prepare(emulator, values);
  } catch (error) {
    emulator.stop();
    throw error;
  }
  process.stdout.write(`${JSON.stringify(emulator.ready)}\n`);
}

async function run(): Promise<number> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [command, ...words] = positionals;
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  switch (command) {
    case undefined:
      throw new Usage("a command is missing; --help lists them");
    case "serve":
      noMore(words, 0);
      serve(values);
      return -1;
    case "enroll":
    case "enrollment":
    case "registration":
    case "device":
    case "twin":
    case "method":
    case "c2d":
    case "tail": {
      const dpsKey = values["dps-key"];
      const place = findPlace({ ...values, hubName: values["hub-name"], dpsKey });
      const own = {
        bag: values.bag,
        key: values["device-key"],
        json: values.json,
        enroll: {
          ...values,
          deviceId: values["device-id"],
          primaryKey: values["primary-key"],
        },
      };
      await runCommand(new Remote(place), command, words, own);
      return 0;
    }
    default:
      throw new Usage(`${command} is not a command; --help lists them`);
  }
}

try {
  const code = await run();
  if (code >= 0) process.exit(code);
} catch (error) {
  const isUsage =
    error instanceof Usage || String((error as { code?: unknown }).code).startsWith("ERR_PARSE");
  process.stderr.write(`azure: ${lineOf(error)}\n`);
  process.exit(isUsage ? 2 : 1);
}
