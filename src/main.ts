// main: reads the arguments, builds ports and machines, starts the turn.
// Neighbours: the only file that knows every room; `usage` understands the arguments, `validate`
// the settings, `turn` does the rest.
// Invariant: exit codes as documented: 0 done, 1 refused or failed with a reason, 2 usage.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { ENDORSEMENT, OWNER } from "./codec/request.ts";
import type {
  Chip,
  ChipEvents,
  Entry,
  Ports,
  Problem,
  Tpm,
  TpmEvents,
  WebEvents,
} from "./core/effects.ts";
import { Level } from "./core/effects.ts";
import { outcomeOf, type Settings } from "./core/settings.ts";
import { Sheet } from "./core/sheet.ts";
import { type Command, HELP, parseArguments, type Reach } from "./core/usage.ts";
import { filesWanted, formatProblem, validate } from "./core/validate.ts";
import { assert } from "./kit/assert.ts";
import { Prng } from "./kit/prng.ts";
import { VERSION } from "./kit/version.ts";
import { TimerAlarm } from "./port/alarm.ts";
import { SystemClock } from "./port/clock.ts";
import { ask, ControlServer } from "./port/control.ts";
import { Courier } from "./port/courier.ts";
import { DeviceChip } from "./port/device.ts";
import { bootId, seed } from "./port/entropy.ts";
import { GpioPins } from "./port/gpio.ts";
import { HttpsProbe, HttpsWeb } from "./port/https.ts";
import { StderrLog } from "./port/log.ts";
import { macAddress } from "./port/network.ts";
import { loadRoots } from "./port/roots.ts";
import { load, readSecret } from "./port/settings.ts";
import { KeySigner } from "./port/signer.ts";
import { TextFile } from "./port/store.ts";
import { SocketChip } from "./port/swtpm.ts";
import { Tls } from "./port/tls.ts";
import { Library } from "./port/tpm.ts";
import { Turn } from "./turn.ts";

/** Longer than any attempt to connect can take: dial, TLS and CONNACK each have their deadline. */
const ASK_MS = 120_000;

const LIBRARY = "libazimuth.so";
/** Beside the executable, in `lib` beside its folder, in the tree. */
const LIBRARY_FOLDERS = [
  dirname(process.execPath),
  join(dirname(process.execPath), "../lib"),
  join(import.meta.dir, "../build"),
];
const ASSIGNMENT_FILE = "assignment.json";

/** Settings ready to run with, and what is worth a word although it is allowed. */
interface Configuration {
  readonly settings: Settings;
  readonly roots: string;
  readonly warnings: readonly string[];
}

/** Reads and checks a settings file with the files it names; or one line for each problem. */
function configure(file: string): Configuration | readonly string[] {
  const parsed = load(file);
  const warnings: string[] = [];
  const secrets = new Map(filesWanted(parsed.entries).map((path) => [path, readSecret(path)]));
  for (const secret of secrets.values()) {
    if ("warning" in secret && secret.warning !== "") warnings.push(secret.warning);
  }
  const validated = validate(parsed.entries, parsed.problems, (path) => {
    return secrets.get(path) ?? { problem: `${path}: not read` };
  });
  if ("problems" in validated) {
    return validated.problems.map((problem) => formatProblem(file, problem));
  }
  const settings = named(validated.settings);
  if (settings === undefined) {
    const text = "there is no network interface whose MAC address could be taken";
    return [formatProblem(file, problemAt(parsed.entries, "registration-id", text))];
  }
  try {
    return { settings, roots: loadRoots(settings.endpoint.caFile), warnings };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return [formatProblem(file, problemAt(parsed.entries, "ca-file", text))];
  }
}

function problemAt(entries: readonly Entry[], key: string, text: string): Problem {
  const entry = entries.find((one) => one.section === "endpoint" && one.key === key);
  return { line: entry?.line ?? 0, section: "endpoint", key, text };
}

/** The settings with the MAC address where they ask for it; undefined when there is none. */
function named(settings: Settings): Settings | undefined {
  if (settings.endpoint.registrationId.toLowerCase() !== "mac") return settings;
  const registrationId = macAddress();
  if (registrationId === "") return undefined;
  return { ...settings, endpoint: { ...settings.endpoint, registrationId } };
}

function fail(lines: readonly string[], code: number): never {
  process.stderr.write(`${lines.join("\n")}\n`);
  process.exit(code);
}

/** `azimuth check`. */
function check(file: string): void {
  const configured = configure(file);
  if (!("settings" in configured)) fail(configured, 1);
  for (const warning of configured.warnings) process.stderr.write(`warning: ${warning}\n`);
  process.stdout.write(`${file}: valid\n`);
}

/** `azimuth run`. */
async function run(file: string): Promise<void> {
  const configured = configure(file);
  if (!("settings" in configured)) fail(configured, 1);
  const { settings, roots, warnings } = configured;
  const log = new StderrLog({ level: settings.agent.logLevel });
  for (const warning of warnings) log.write(Level.WARNING, warning);
  dieLoudly(log);
  const pins = new GpioPins(settings.lamps);
  const control = new ControlServer({
    onCommand: (client, words) => turn.onCommand(client, words),
  });
  const alarm = new TimerAlarm(() => turn.onAlarm());
  const exit = (code: number): void => {
    control.close();
    pins.close();
    process.exit(code);
  };
  const reload = (client: number): void => {
    queueMicrotask(() => onReload(file, client, settings, turn, pins, log, control));
  };
  const signer = new KeySigner(
    {
      onSigned: (signature) => turn.onSigned(signature),
      onSignFailed: (detail) => turn.onSignFailed(detail),
    },
    settings.endpoint.key,
  );
  const uplink = new Tls({
    onOpened: () => turn.onOpened(),
    onSecured: () => turn.onSecured(),
    onData: (chunk) => turn.onData(chunk),
    onWritable: () => turn.onWritable(),
    onClosed: (cause, detail) => turn.onClosed(cause, detail),
  });
  const probe = new HttpsProbe({ onProbed: (probed) => turn.onProbed(probed) });
  const clock = new SystemClock();
  const path = join(settings.agent.stateFolder, ASSIGNMENT_FILE);
  const store = new TextFile({ onSaved: (problem) => turn.onSaved(problem) }, path);
  const isTpm = settings.endpoint.type === "tpm";
  if (isTpm && store.problem !== "") log.write(Level.WARNING, store.problem);
  const tpm = isTpm
    ? tpmOf(
        settings,
        eventsOf(() => turn),
      )
    : undefined;
  const identity = tpm === undefined ? NO_IDENTITY : { tpm, store, web: webOf(() => turn) };
  const others = { clock, uplink, signer, probe, pins, alarm, control, log, reload, exit };
  const ports: Ports = { ...others, ...identity, sha256 };
  const turn: Turn = new Turn(ports, settings, roots, new Prng(seed()), bootId());
  const refused = await control.open(settings.agent.controlSocket);
  if (refused !== "") fail([refused], 1);
  onSignals(turn, exit);
  log.write(Level.NOTICE, `azimuth ${VERSION} starts with ${file}`);
  turn.start();
  tpm?.open();
}

/** What an endpoint with a key of its own never asks for. */
const NO_IDENTITY: Pick<Ports, "tpm" | "web" | "store"> = {
  tpm: { perform: () => never(), flushAll: () => never() },
  web: { ask: () => never() },
  store: { text: "", save: () => never() },
};

function never(): void {
  assert(false, "only an endpoint of type tpm asks for its TPM, for DPS and for its assignment");
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(bytes).digest();
}

function eventsOf(turn: () => Turn): TpmEvents {
  return {
    onTpmOpened: () => turn().onTpmOpened(),
    onTpmClosed: (detail) => turn().onTpmClosed(detail),
    onTpmDone: (ticket, rc, handle, output) => turn().onTpmDone(ticket, rc, handle, output),
  };
}

function webOf(turn: () => Turn): HttpsWeb {
  const events: WebEvents = { onFetched: (ticket, answer) => turn().onFetched(ticket, answer) };
  return new HttpsWeb(events);
}

/** The TPM that the settings name, with the passwords of its hierarchies. */
function tpmOf({ endpoint }: Settings, events: TpmEvents): Tpm {
  const makeChip = (chipEvents: ChipEvents): Chip => chipOf(endpoint.tpm, chipEvents);
  const makeAlarm = (onAlarm: () => void) => new TimerAlarm(onAlarm);
  const tpm = new Courier(events, libraryOf(), new SystemClock(), makeChip, makeAlarm);
  tpm.setPassword(OWNER, Buffer.from(endpoint.ownerPassword));
  tpm.setPassword(ENDORSEMENT, Buffer.from(endpoint.endorsementPassword));
  return tpm;
}

function libraryOf(): Library {
  const places = LIBRARY_FOLDERS.map((folder) => join(folder, LIBRARY));
  const path = places.find((place) => existsSync(place));
  if (path === undefined) {
    return fail([`${LIBRARY} is missing, type tpm needs it; looked at: ${places.join(", ")}`], 1);
  }
  try {
    return new Library(path);
  } catch (error) {
    return fail([error instanceof Error ? error.message : String(error)], 1);
  }
}

/** `swtpm:/PATH`, `swtpm:HOST:PORT` or a device. */
function chipOf(place: string, events: ChipEvents): Chip {
  const socket = /^swtpm:(?:(\/.*)|(.*):([0-9]+))$/.exec(place);
  if (socket === null) return new DeviceChip(events, place);
  const [, path, host = "", port] = socket;
  return new SocketChip(events, path === undefined ? { host, port: Number(port) } : { path });
}

function onSignals(turn: Turn, exit: (code: number) => void): void {
  let asked = 0;
  const stop = (): void => {
    // Asked twice, in-flight messages get no more time: they are sent again after the next start.
    if (++asked > 1) exit(1);
    turn.stop();
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  process.on("SIGHUP", () => turn.onCommand(-1, ["reload"]));
}

/** A defect ends the process, with its place in the log; init brings it back. */
function dieLoudly(log: StderrLog): void {
  process.on("uncaughtException", (error) => {
    log.write(Level.ERROR, `internal error: ${error.stack ?? error.message}`.replace(/\s+/g, " "));
    process.exit(1);
  });
}

function onReload(
  file: string,
  client: number,
  running: Settings,
  turn: Turn,
  pins: GpioPins,
  log: StderrLog,
  control: ControlServer,
): void {
  const configured = configure(file);
  if (!("settings" in configured)) {
    for (const problem of configured) log.write(Level.ERROR, problem);
    log.write(Level.ERROR, "settings not applied; the agent goes on with those it had");
    control.reply(client, false, configured.join("\n"));
    return;
  }
  const { settings } = configured;
  const outcome = outcomeOf(running, settings);
  log.setLevel(settings.agent.logLevel);
  pins.configure(settings.lamps);
  turn.onSettings(settings);
  log.write(Level.NOTICE, `${outcome} (${file})`);
  control.reply(client, true, outcome);
}

/** The control socket that the settings file names, however broken the rest of it is. */
function socketOf(reach: Reach): string {
  if (reach.socket !== "") return reach.socket;
  return new Sheet(load(reach.file).entries, []).text("agent", "control-socket");
}

/** A command that the running agent carries out. */
async function forward(reach: Reach, words: readonly string[]): Promise<void> {
  const answer = await ask(socketOf(reach), words, ASK_MS);
  if (!answer.ok) fail([`azimuth: ${answer.text}`], 1);
  process.stdout.write(`${answer.text}\n`);
}

function carryOut(command: Command): void | Promise<void> {
  switch (command.name) {
    case "run":
      return run(command.file);
    case "check":
      return check(command.file);
    case "status":
      return forward(command.reach, command.isJson ? ["status", "--json"] : ["status"]);
    case "connect":
    case "disconnect":
    case "reload":
      return forward(command.reach, [command.name]);
    case "led":
      return forward(command.reach, ["led", command.lamp, command.action]);
    case "version":
      process.stdout.write(`azimuth ${VERSION}\n`);
      return;
    case "help":
      process.stdout.write(HELP);
      return;
  }
}

const command = parseArguments(process.argv.slice(2));
if ("problem" in command) fail([`azimuth: ${command.problem}`], 2);
await carryOut(command);
