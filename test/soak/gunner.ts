// Gunner: the production turn with a producer that never rests, to be killed at any moment.
// Neighbours: `kill` starts and kills it; `src/command/run.ts` is the original of what is built.
// Invariant: the id of a message is in the log of acceptance once the store has called it durable,
// and never before; nothing of the agent is replaced but the telemetry.

import { openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { encodeBag } from "../../src/codec/bag.ts";
import { Level, type Ports } from "../../src/core/effects.ts";
import { type Outbox, Refused } from "../../src/core/outbox.ts";
import { Prng } from "../../src/kit/prng.ts";
import { TimerAlarm } from "../../src/port/alarm.ts";
import { SystemClock } from "../../src/port/clock.ts";
import { ControlServer } from "../../src/port/control.ts";
import { Dialer } from "../../src/port/dial.ts";
import { seed } from "../../src/port/entropy.ts";
import { GpioPins } from "../../src/port/gpio.ts";
import { HttpsProbe } from "../../src/port/https.ts";
import { StderrLog } from "../../src/port/log.ts";
import { Salvage } from "../../src/port/salvage.ts";
import { KeySigner } from "../../src/port/signer.ts";
import { SqliteStore } from "../../src/port/store.ts";
import { Tls } from "../../src/port/tls.ts";
import { Vault } from "../../src/port/vault.ts";
import { Turn } from "../../src/turn.ts";
import { CALM } from "../calm.ts";
import { settings } from "../given.ts";

const dial = new Dialer(null).open;

/** What a life of the gunner is told. */
export interface Mission {
  readonly host: string;
  readonly mqttPort: number;
  readonly httpsPort: number;
  readonly hubName: string;
  readonly deviceId: string;
  readonly key: string;
  readonly caFile: string;
  /** Where the queue is, and the log of acceptance. */
  readonly folder: string;
  /** Tells this life from others in the ids of its messages. */
  readonly life: number;
  /** Messages in flight at most. */
  readonly window: number;
  /** Offers nothing; ends when the queue is empty. */
  readonly isLast: boolean;
}

export const ACCEPTED_LOG = "accepted.log";
const STORE_BYTES_MAX = 1024 * 1024 * 1024;
const BATCH_MAX = 8;
const PAUSE_MS_MAX = 12;
const BODY_BYTES_MAX = 400;
const LOOK_MS = 20;

/** Offers messages of all priorities, and writes down which were accepted. */
class Producer {
  private readonly prng = new Prng(seed());
  private readonly log: number;
  private waiting: { readonly sequence: number; readonly id: string }[] = [];
  private count = 0;

  constructor(
    private readonly mission: Mission,
    private readonly turn: Turn,
  ) {
    this.log = openSync(join(mission.folder, ACCEPTED_LOG), "a", 0o600);
    const { outbox } = turn.agent.machines;
    const accepted = outbox.onAccepted.bind(outbox);
    outbox.onAccepted = (sequence) => {
      accepted(sequence);
      this.onAccepted(sequence);
    };
    const refused = outbox.onRefused.bind(outbox);
    outbox.onRefused = (first, last, why, detail) => {
      refused(first, last, why, detail);
      this.waiting = this.waiting.filter(({ sequence }) => sequence > last);
    };
  }

  /** A few messages within a turn, again and again. */
  fire(): void {
    const { outbox } = this.turn.agent.machines;
    const count = 1 + this.prng.below(BATCH_MAX);
    for (let at = 0; at < count; at++) this.offer(outbox);
    this.turn.onAlarm();
    setTimeout(() => this.fire(), this.prng.below(PAUSE_MS_MAX));
  }

  private offer(outbox: Outbox): void {
    const priority = this.prng.below(10);
    const id = `${this.mission.life}p${priority}.${++this.count}`;
    const bag = encodeBag([["$.mid", id]]);
    const body = new Uint8Array(this.prng.below(BODY_BYTES_MAX));
    const refused = outbox.offer(priority, 0, bag, body, Date.now() / 1000);
    if (refused !== Refused.NO) throw new Error(`refused: ${Refused[refused]}`);
    this.waiting.push({ sequence: outbox.journal.ledger.last, id });
  }

  private onAccepted(last: number): void {
    let text = "";
    while (this.waiting.length > 0 && this.waiting[0]!.sequence <= last) {
      text += `${this.waiting.shift()!.id}\n`;
    }
    if (text !== "") writeSync(this.log, text);
  }
}

function portsOf(mission: Mission, turn: () => Turn): Ports {
  const never = (): never => {
    throw new Error("a gunner has no TPM, no DPS and no settings file");
  };
  const vault = new Vault(join(mission.folder, "queue.db"), STORE_BYTES_MAX, new Salvage());
  return {
    clock: new SystemClock(),
    uplink: new Tls(
      {
        onOpened: () => turn().onOpened(),
        onSecured: () => turn().onSecured(),
        onData: (chunk) => turn().onData(chunk),
        onWritable: () => turn().onWritable(),
        onClosed: (cause, detail) => turn().onClosed(cause, detail),
      },
      dial,
    ),
    signer: new KeySigner(
      {
        onSigned: (signature) => turn().onSigned(signature),
        onSignFailed: (detail) => turn().onSignFailed(detail),
      },
      mission.key,
    ),
    probe: new HttpsProbe({ onProbed: (probed) => turn().onProbed(probed) }, dial),
    pins: new GpioPins([]),
    alarm: new TimerAlarm(() => turn().onAlarm()),
    control: new ControlServer({ onCommand: (client, words) => turn().onCommand(client, words) }),
    log: new StderrLog({ level: Level.WARNING }),
    tpm: { perform: never, flushAll: never },
    web: { ask: never },
    memo: { text: "", save: never },
    store: new SqliteStore(vault, { onStoreSynced: (detail) => turn().onStoreSynced(detail) }),
    upkeep: CALM,
    sha256: (bytes) => new Bun.CryptoHasher("sha256").update(bytes).digest(),
    reload: never,
    exit: (code) => process.exit(code),
  };
}

function run(mission: Mission): void {
  const { host, mqttPort, httpsPort, hubName, deviceId, key, caFile, window } = mission;
  const given = settings({
    endpoint: { host, mqttPort, httpsPort, hubName, deviceId, key, caFile },
    data: { inFlightMax: window },
    lamps: [],
  });
  const roots = readFileSync(caFile, "utf8");
  const ports = portsOf(mission, () => turn);
  const turn: Turn = new Turn(ports, given, roots, new Prng(seed()), `${mission.life}`);
  const producer = new Producer(mission, turn);
  turn.start();
  if (!mission.isLast) return producer.fire();
  const { outbox } = turn.agent.machines;
  setInterval(() => {
    if (outbox.isEmpty) turn.stop();
  }, LOOK_MS);
}

if (import.meta.main) run(JSON.parse(process.argv[2]!) as Mission);
