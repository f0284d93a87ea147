// Run: `azimuth run`, the agent in the foreground: builds the ports and the turn, and starts it.
// Neighbours: `configuration` has the settings, `turn` does the rest.
// Invariant: a port's event comes to the turn and to nobody else; a defect ends the process.

import { join } from "node:path";
import { ENDORSEMENT, OWNER } from "../codec/request.ts";
import { parseAssignment } from "../core/assignment.ts";
import {
  Level,
  type Ports,
  type Probed,
  type Shown,
  type Store,
  type TpmEvents,
  type UplinkEvents,
  type WebEvents,
} from "../core/effects.ts";
import { parsePlace } from "../core/place.ts";
import { ConnectProxy } from "../core/proxy.ts";
import { isInTpm, outcomeOf, type Settings } from "../core/settings.ts";
import { WebSocketUplink } from "../core/websocket.ts";
import { assert } from "../kit/assert.ts";
import { Prng } from "../kit/prng.ts";
import { VERSION } from "../kit/version.ts";
import { TimerAlarm } from "../port/alarm.ts";
import { SystemClock } from "../port/clock.ts";
import { ControlServer } from "../port/control.ts";
import type { Courier } from "../port/courier.ts";
import { Dialer } from "../port/dial.ts";
import { bootId, SystemEntropy, seed } from "../port/entropy.ts";
import { GpioPins } from "../port/gpio.ts";
import { HttpsProbe, HttpsWeb } from "../port/https.ts";
import { StderrLog } from "../port/log.ts";
import { FileMemo } from "../port/memo.ts";
import { Salvage } from "../port/salvage.ts";
import { derivedKey, KeySigner } from "../port/signer.ts";
import { SqliteStore } from "../port/store.ts";
import { Tls } from "../port/tls.ts";
import { Vault } from "../port/vault.ts";
import { Turn } from "../turn.ts";
import { Caretaker } from "./caretaker.ts";
import { configure } from "./configuration.ts";
import { fail } from "./speech.ts";

const ASSIGNMENT_FILE = "assignment.json";
const QUEUE_FILE = "queue.db";
/** The database file may grow to so many times what the queue may hold. */
const GUARD = 4;

/** `azimuth run`. */
export async function run(file: string): Promise<void> {
  const configured = await configure(file);
  if (!("settings" in configured)) fail(configured, 1);
  const { settings, roots, shown, warnings, calendar } = configured;
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
    upkeep.close();
    process.exit(code);
  };
  const reload = (client: number): void => {
    queueMicrotask(() => onReload(file, client, settings, turn, pins, log, control, upkeep));
  };
  const signer = new KeySigner(
    {
      onSigned: (signature) => turn.onSigned(signature),
      onSignFailed: (detail) => turn.onSignFailed(detail),
    },
    keyOf(settings),
  );
  const { proxy } = settings.network;
  const dial = new Dialer(proxy === null ? null : new ConnectProxy(proxy)).open;
  const clock = new SystemClock();
  const { uplink, tls } = uplinkOf(() => turn, dial, shown, clock);
  const upkeep = new Caretaker({ onClimbed: (detail) => turn.onClimbed(detail) }, log, () =>
    tls.forget(),
  );
  upkeep.calendar = calendar;
  const probing = { onProbed: (probed: Probed) => turn.onProbed(probed) };
  const probe = new HttpsProbe(probing, dial, undefined, shown);
  const tpm = isInTpm(settings.endpoint) ? await tpmOf(settings, () => turn) : undefined;
  const isRegistered = settings.endpoint.idScope !== "";
  const reach = { dial, shown };
  const dps = isRegistered ? dpsOf(settings, reach, () => turn, log) : NO_DPS;
  const store = storeOf(settings, () => turn);
  const others = { clock, uplink, signer, probe, pins, alarm, control, log, reload, exit, store };
  const ports: Ports = { ...others, ...dps, tpm: tpm ?? NO_TPM, upkeep, sha256 };
  const turn: Turn = new Turn(ports, settings, roots, new Prng(seed()), bootId());
  const refused = await control.open(settings.agent.controlSocket);
  if (refused !== "") fail([refused], 1);
  onSignals(turn, exit, upkeep);
  log.write(Level.NOTICE, `azimuth ${VERSION} starts with ${file}`);
  upkeep.open(settings.metrics);
  turn.start();
  // Not sooner: a damaged store may take longer to be saved than a watchdog waits.
  const timeoutMs = upkeep.watch(settings.watchdog);
  if (timeoutMs > 0) turn.onWatched(timeoutMs);
  upkeep.onReady();
  tpm?.open();
}

/** The way to the hub, and what of it remembers TLS sessions. */
function uplinkOf(
  turn: () => Turn,
  dial: Dialer["open"],
  shown: Shown,
  clock: SystemClock,
): { uplink: WebSocketUplink; tls: Tls } {
  const events: UplinkEvents = {
    onOpened: () => turn().onOpened(),
    onSecured: () => turn().onSecured(),
    onData: (chunk) => turn().onData(chunk),
    onWritable: () => turn().onWritable(),
    onClosed: (cause, detail) => turn().onClosed(cause, detail),
  };
  let tls: Tls | undefined;
  const uplink = new WebSocketUplink(
    events,
    (below) => {
      tls = new Tls(below, dial, shown);
      return tls;
    },
    (onAlarm) => new TimerAlarm(onAlarm),
    clock,
    new SystemEntropy(),
  );
  assert(tls !== undefined, "an uplink makes the one below it at once");
  return { uplink, tls };
}

/** Where messages wait for the hub. */
function storeOf({ agent, data }: Settings, turn: () => Turn): Store {
  const path = data.isDurable ? join(agent.stateFolder, QUEUE_FILE) : ":memory:";
  const vault = new Vault(path, GUARD * data.bounds.bytesMax, new Salvage());
  return new SqliteStore(vault, { onStoreSynced: (detail) => turn().onStoreSynced(detail) });
}

/** The device's key, "" where it has none. */
function keyOf({ endpoint }: Settings): string {
  const { key, isGroup, registrationId } = endpoint;
  return isGroup ? derivedKey(key, registrationId) : key;
}

/** What an endpoint asks that registers at DPS. */
function dpsOf(
  { agent }: Settings,
  { dial, shown }: { readonly dial: Dialer["open"]; readonly shown: Shown },
  turn: () => Turn,
  log: StderrLog,
): typeof NO_DPS {
  const path = join(agent.stateFolder, ASSIGNMENT_FILE);
  const memo = new FileMemo({ onSaved: (problem) => turn().onSaved(problem) }, path);
  if (memo.problem !== "") log.write(Level.WARNING, memo.problem);
  if (memo.text !== "" && parseAssignment(memo.text) === undefined) {
    log.write(Level.WARNING, `${path}: damaged and not used; DPS is asked again`);
  }
  const events: WebEvents = { onFetched: (ticket, answer) => turn().onFetched(ticket, answer) };
  return { memo, web: new HttpsWeb(events, dial, undefined, shown) };
}

/** What an endpoint never asks for that has no TPM, or nothing to do with DPS. */
const NO_TPM: Ports["tpm"] = { perform: () => never(), flushAll: () => never() };
const NO_DPS: Pick<Ports, "web" | "memo"> = {
  web: { ask: () => never() },
  memo: { text: "", save: () => never() },
};

function never(): void {
  assert(false, "an endpoint asks only for what its type has");
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(bytes).digest();
}

/** The TPM that the settings name, with the passwords of its hierarchies. */
async function tpmOf({ endpoint }: Settings, turn: () => Turn): Promise<Courier> {
  const place = parsePlace(endpoint.tpm);
  assert(place !== undefined, "validated settings name a place");
  const events: TpmEvents = {
    onTpmOpened: () => turn().onTpmOpened(),
    onTpmClosed: (detail) => turn().onTpmClosed(detail),
    onTpmDone: (ticket, rc, handle, output) => turn().onTpmDone(ticket, rc, handle, output),
  };
  // Not sooner: who has no TPM needs no memory for it.
  const { makeCourier } = await import("./chip.ts");
  const tpm = makeCourier(events, place, "", "azimuth run");
  tpm.setPassword(OWNER, Buffer.from(endpoint.ownerPassword));
  tpm.setPassword(ENDORSEMENT, Buffer.from(endpoint.endorsementPassword));
  return tpm;
}

function onSignals(turn: Turn, exit: (code: number) => void, upkeep: Caretaker): void {
  let asked = 0;
  const stop = (): void => {
    // Asked twice, in-flight messages get no more time: they are sent again after the next start.
    if (++asked > 1) exit(1);
    upkeep.onStopping();
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

async function onReload(
  file: string,
  client: number,
  running: Settings,
  turn: Turn,
  pins: GpioPins,
  log: StderrLog,
  control: ControlServer,
  upkeep: Caretaker,
): Promise<void> {
  const configured = await configure(file);
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
  upkeep.calendar = configured.calendar;
  turn.onSettings(settings);
  log.write(Level.NOTICE, `${file}: ${outcome}`);
  for (const warning of configured.warnings) log.write(Level.WARNING, warning);
  const warnings = configured.warnings.map((warning) => `\nwarning: ${warning}`).join("");
  control.reply(client, true, `${file}: ${outcome}${warnings}`);
}
