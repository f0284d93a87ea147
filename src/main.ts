// main: reads the arguments, builds ports and machines, starts the turn.
// Neighbours: the only file that knows every room; `usage` understands the arguments, `validate`
// the settings, `turn` does the rest.
// Invariant: exit codes as documented: 0 done, 1 refused or failed with a reason, 2 usage.

import { createHash } from "node:crypto";
import { drawBarcode } from "./core/barcode.ts";
import type { Chip, ChipEvents, Entry, Problem } from "./core/effects.ts";
import { Level } from "./core/effects.ts";
import { Inquiry } from "./core/inquiry.ts";
import type { TpmPlace } from "./core/place.ts";
import { outcomeOf, type Settings } from "./core/settings.ts";
import { Sheet } from "./core/sheet.ts";
import { Survey } from "./core/survey.ts";
import {
  enrollmentJson,
  infoJson,
  infoText,
  scanText,
  type TpmInfo,
  tpmInfo,
} from "./core/tpminfo.ts";
import { type Command, HELP, parseArguments, type Reach, type TpmCommand } from "./core/usage.ts";
import { filesWanted, formatProblem, validate } from "./core/validate.ts";
import { Prng } from "./kit/prng.ts";
import { VERSION } from "./kit/version.ts";
import { TimerAlarm } from "./port/alarm.ts";
import { barcode } from "./port/barcode.ts";
import { SystemClock } from "./port/clock.ts";
import { ask, ControlServer } from "./port/control.ts";
import { Courier } from "./port/courier.ts";
import { DeviceChip } from "./port/device.ts";
import { bootId, seed } from "./port/entropy.ts";
import { GpioPins } from "./port/gpio.ts";
import { HttpsProbe } from "./port/https.ts";
import { findLibrary } from "./port/library.ts";
import { StderrLog } from "./port/log.ts";
import { macAddress } from "./port/network.ts";
import { put, STDERR, STDOUT } from "./port/output.ts";
import { loadRoots } from "./port/roots.ts";
import { isSameFile, load, readSecret } from "./port/settings.ts";
import { KeySigner } from "./port/signer.ts";
import { SocketChip } from "./port/swtpm.ts";
import { Tls } from "./port/tls.ts";
import { Library } from "./port/tpm.ts";
import { Turn } from "./turn.ts";

/** Longer than any attempt to connect can take: dial, TLS and CONNACK each have their deadline. */
const ASK_MS = 120_000;
/** swtpm serves one program at a time and lets others wait without a word. */
const FIRST_ANSWER_MS = 5_000;
/** Columns that are drawn into when nothing tells how many there are: a serial console's. */
const COLUMNS = 80;

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
  const problems = [...parsed.problems, ...selfProblems(file, parsed.entries)];
  const fileOf = (path: string) => secrets.get(path) ?? { problem: `${path}: not read` };
  const validated = validate(parsed.entries, problems, fileOf, parsed.sections);
  if ("problems" in validated) {
    return validated.problems.map((problem) => formatProblem(file, problem));
  }
  const { settings } = validated;
  try {
    return { settings, roots: loadRoots(settings.endpoint.caFile), warnings };
  } catch (error) {
    return [formatProblem(file, caProblem(parsed.entries, error))];
  }
}

function caProblem(entries: readonly Entry[], error: unknown): Problem {
  const entry = entries.find(({ section, key }) => section === "endpoint" && key === "ca-file");
  const text = error instanceof Error ? error.message : String(error);
  return { line: entry?.line ?? 0, section: "endpoint", key: "ca-file", text };
}

/** Lamps that would overwrite the very file that names them. */
function selfProblems(file: string, entries: readonly Entry[]): Problem[] {
  const targets = entries.filter(({ key, value }) => key === "target" && value.startsWith("/"));
  return targets
    .filter(({ value }) => isSameFile(value, file))
    .map(({ line, section, key }) => {
      return { line, section, key, text: "is this settings file; allowed: a file of its own" };
    });
}

function fail(lines: readonly string[], code: number): never {
  put(STDERR, `${lines.join("\n")}\n`);
  process.exit(code);
}

function say(text: string): void {
  const problem = put(STDOUT, `${text}\n`);
  if (problem !== "") fail([`azimuth: ${problem}`], 1);
}

/** `azimuth check`. */
function check(file: string): void {
  const configured = configure(file);
  if (!("settings" in configured)) fail(configured, 1);
  for (const warning of configured.warnings) put(STDERR, `warning: ${warning}\n`);
  say(`${file}: valid`);
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
    queueMicrotask(() => onReload(file, client, turn, pins, log, control));
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
  const ports = { clock, uplink, signer, probe, pins, alarm, control, log, reload, exit };
  const turn = new Turn(ports, settings, roots, new Prng(seed()), bootId());
  const refused = await control.open(settings.agent.controlSocket);
  if (refused !== "") fail([refused], 1);
  onSignals(turn, exit);
  log.write(Level.NOTICE, `azimuth ${VERSION} starts with ${file}`);
  turn.start();
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
  const die = (error: unknown): void => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log.write(Level.ERROR, `internal error: ${text}`.replace(/\s+/g, " "));
    process.exit(1);
  };
  process.on("uncaughtException", die);
  process.on("unhandledRejection", die);
}

function onReload(
  file: string,
  client: number,
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
  const outcome = outcomeOf(turn.agent.settings, settings);
  log.setLevel(settings.agent.logLevel);
  pins.configure(settings.lamps);
  turn.onSettings(settings);
  log.write(Level.NOTICE, `${file}: ${outcome}`);
  for (const warning of configured.warnings) log.write(Level.WARNING, warning);
  const warnings = configured.warnings.map((warning) => `\nwarning: ${warning}`).join("");
  control.reply(client, true, `${file}: ${outcome}${warnings}`);
}

/** The control socket that the settings file names, however broken the rest of it is. */
function socketOf(reach: Reach): string {
  if (reach.socket !== "") return reach.socket;
  const { entries, problems } = load(reach.file);
  const unread = problems.find((problem) => problem.line === 0);
  if (unread !== undefined) {
    const [reason = ""] = unread.text.split(";");
    const first = reason === "permission denied" ? "run as root or give" : "give --config FILE or";
    fail([`azimuth: ${reach.file}: ${reason}; ${first} --socket PATH`], 1);
  }
  return new Sheet(entries, []).text("agent", "control-socket");
}

/** A command that the running agent carries out. */
async function forward(reach: Reach, words: readonly string[]): Promise<void> {
  const answer = await ask(socketOf(reach), words, ASK_MS);
  if (!answer.ok) fail([`azimuth: ${answer.text}`], 1);
  say(answer.text);
}

function makeChip(events: ChipEvents, place: TpmPlace): Chip {
  return "device" in place ? new DeviceChip(events, place.device) : new SocketChip(events, place);
}

function openLibrary(path: string): Library {
  try {
    return new Library(path === "" ? findLibrary(process.execPath, import.meta.dir) : path);
  } catch (error) {
    return fail([`azimuth tpm: ${error instanceof Error ? error.message : String(error)}`], 1);
  }
}

/** Asks the TPM; what was found, or a problem, is in the inquiry afterwards. */
async function inquire(command: TpmCommand): Promise<Inquiry> {
  const { place, placeText, isCreating } = command;
  const isRaw = !("device" in place);
  const inquiry = new Inquiry(isRaw, isCreating);
  const { promise, resolve } = Promise.withResolvers<void>();
  const survey = new Survey(inquiry, resolve);
  const courier = new Courier(
    survey,
    openLibrary(command.library),
    new SystemClock(),
    (events) => makeChip(events, place),
    (onAlarm) => new TimerAlarm(onAlarm),
  );
  if (isRaw) setTimeout(() => survey.onOverdue(placeText), FIRST_ANSWER_MS);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => survey.onCancel());
  survey.start(courier);
  await promise;
  courier.close();
  return inquiry;
}

/** `azimuth tpm`. */
async function tpm(command: TpmCommand): Promise<void> {
  const { problem, findings } = await inquire(command);
  if (problem !== "") fail([`azimuth tpm: ${problem}`], 1);
  const info = tpmInfo(findings, (bytes) => createHash("sha256").update(bytes).digest());
  const text = await written(info, command);
  say(text.replace(/\n$/, ""));
  // A socket that was let go of keeps its timers, and the process with them.
  process.exit(0);
}

/** What is asked for, as text. */
async function written(info: TpmInfo, command: TpmCommand): Promise<string> {
  if (command.output === "json") return infoJson(info);
  if (command.output === "enrollment") return enrollment(info, command.deviceId);
  const scanned = command.isScanned ? scanText(info) : undefined;
  if (scanned === undefined) return infoText(info);
  const columns = process.stdout.columns ?? COLUMNS;
  const squares = await barcode(scanned, columns);
  if (typeof squares === "number") {
    fail([`azimuth tpm: --qr wants ${squares} columns, here are ${columns}`], 1);
  }
  return `${infoText(info)}\n${drawBarcode(squares)}`;
}

function enrollment(info: TpmInfo, wanted: string): string {
  const deviceId = wanted || macAddress();
  if (deviceId === "") {
    fail(["azimuth tpm: no network interface to name the device after; give --device-id"], 1);
  }
  const text = enrollmentJson(info, deviceId);
  const notes = info.notes.map((note) => `azimuth tpm: ${note}`);
  if (text === undefined) fail(notes, 1);
  for (const note of notes) put(STDERR, `${note}\n`);
  return text;
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
    case "tpm":
      return tpm(command);
    case "version":
      say(`azimuth ${VERSION}`);
      return;
    case "help":
      say(HELP.trimEnd());
      return;
  }
}

const command = parseArguments(process.argv.slice(2));
if ("problem" in command) fail([`azimuth: ${command.problem}`], 2);
await carryOut(command);
