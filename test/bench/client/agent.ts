// The agent as a publishing client: production turn, machines and ports, put together as `main`
// does; a producer offers messages as fast as they are used up.
// Neighbours: `publish.ts` starts it; `src/main.ts` is the original of what is built here.
// Invariant: every message is accepted into the real outbox and leaves by its PUBACK; nothing of
// the agent is replaced but the alarm, which arms the real one and then wakes the producer.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { telemetryTopic } from "../../../src/codec/topic.ts";
import { Level, type UplinkEvents } from "../../../src/core/effects.ts";
import { Refused } from "../../../src/core/outbox.ts";
import type { Settings } from "../../../src/core/settings.ts";
import { Fate } from "../../../src/core/tally.ts";
import { Prng } from "../../../src/kit/prng.ts";
import { TimerAlarm } from "../../../src/port/alarm.ts";
import { SystemClock } from "../../../src/port/clock.ts";
import { ControlServer } from "../../../src/port/control.ts";
import { Dialer } from "../../../src/port/dial.ts";
import { bootId, seed } from "../../../src/port/entropy.ts";
import { GpioPins } from "../../../src/port/gpio.ts";
import { HttpsProbe } from "../../../src/port/https.ts";
import { StderrLog } from "../../../src/port/log.ts";
import { Salvage } from "../../../src/port/salvage.ts";
import { KeySigner } from "../../../src/port/signer.ts";
import { SqliteStore } from "../../../src/port/store.ts";
import { Tls } from "../../../src/port/tls.ts";
import { Vault } from "../../../src/port/vault.ts";
import { Turn } from "../../../src/turn.ts";
import { CALM } from "../../calm.ts";
import { settings } from "../../given.ts";
import { Meter } from "./meter.ts";
import { type Order, readOrder } from "./order.ts";

const PRIORITY = 7;
const STORE_BYTES_MAX = 256 * 1024 * 1024;

function settingsFor(order: Order): Settings {
  const { hubName, host, port, httpsPort, deviceId, key, caFile, window } = order;
  return settings({
    endpoint: { hubName, host, mqttPort: port, httpsPort, deviceId, key, caFile },
    data: { inFlightMax: window, isDurable: order.store !== "" },
    network: { transport: "mqtts", proxy: null },
    lamps: [],
    agent: { controlSocket: "", logLevel: Level.WARNING, stateFolder: order.store },
  });
}

/** Keeps a window's worth of messages waiting behind those in flight. */
class Producer {
  private readonly bag: string;
  private readonly payload: Uint8Array;
  private readonly meter: Meter;
  private offered = 0;
  private isComing = false;

  constructor(private readonly order: Order) {
    const prefix = telemetryTopic(order.deviceId, "");
    if (!order.topic.startsWith(prefix)) throw new Error(`the topic must begin with ${prefix}`);
    this.bag = order.topic.slice(prefix.length);
    this.payload = Buffer.from(order.payload);
    this.meter = new Meter(order.warm, order.messages);
  }

  /** After each turn: what was used up is offered again, as an input of its own. */
  look(turn: Turn): void {
    const { outbox } = turn.agent.machines;
    this.meter.onAcknowledged(outbox.tally.of(PRIORITY, Fate.ACKNOWLEDGED));
    if (this.isComing || !this.isShort(turn)) return;
    this.isComing = true;
    queueMicrotask(() => {
      this.isComing = false;
      this.fill(turn);
      turn.onAlarm();
    });
  }

  private isShort(turn: Turn): boolean {
    const { window, messages } = this.order;
    return turn.agent.machines.outbox.waiting < window && this.offered < messages;
  }

  private fill(turn: Turn): void {
    const { outbox } = turn.agent.machines;
    for (; this.isShort(turn); this.offered++) {
      const refused = outbox.offer(PRIORITY, 0, this.bag, this.payload, Date.now() / 1000);
      if (refused !== Refused.NO) throw new Error(`a message is refused: ${Refused[refused]}`);
    }
  }
}

/** The store of the product: on disk, or of the same kind in memory. */
function storeOf(order: Order, turn: () => Turn): SqliteStore {
  const path = order.store === "" ? ":memory:" : join(order.store, "queue.db");
  const vault = new Vault(path, STORE_BYTES_MAX, new Salvage());
  return new SqliteStore(vault, { onStoreSynced: (detail) => turn().onStoreSynced(detail) });
}

function run(order: Order): void {
  const given = settingsFor(order);
  const producer = new Producer(order);
  const timer = new TimerAlarm(() => turn.onAlarm());
  const alarm = {
    arm(atMs: number): void {
      timer.arm(atMs);
      producer.look(turn);
    },
  };
  const signer = new KeySigner(
    {
      onSigned: (signature) => turn.onSigned(signature),
      onSignFailed: (detail) => turn.onSignFailed(detail),
    },
    order.key,
  );
  const dial = new Dialer().open;
  const events: UplinkEvents = {
    onOpened: () => turn.onOpened(),
    onSecured: () => turn.onSecured(),
    onData: (chunk) => turn.onData(chunk),
    onWritable: () => turn.onWritable(),
    // A measured connection holds, or the figure is none.
    onClosed: (_cause, detail) => end(`the connection ended: ${detail}`),
  };
  const uplink = new Tls(events, dial);
  const end = (text: string): never => {
    process.stderr.write(`${text}\n`);
    process.exit(1);
  };
  const noTpm = () => end("nobody asks for a TPM here");
  const ports = {
    clock: new SystemClock(),
    uplink,
    signer,
    probe: new HttpsProbe({ onProbed: (probed) => turn.onProbed(probed) }, dial),
    pins: new GpioPins(given.lamps),
    alarm,
    control: new ControlServer({ onCommand: (client, words) => turn.onCommand(client, words) }),
    log: new StderrLog({ level: given.agent.logLevel }),
    reload: () => end("nobody asks for a reload here"),
    exit: (code: number) => process.exit(code),
    tpm: { perform: noTpm, flushAll: noTpm },
    web: { ask: noTpm },
    memo: { text: "", save: noTpm },
    store: storeOf(order, () => turn),
    upkeep: CALM,
    sha256: (bytes: Uint8Array) => bytes,
  };
  const roots = readFileSync(order.caFile, "utf8");
  const turn: Turn = new Turn(ports, given, roots, new Prng(seed()), bootId());
  turn.start();
}

run(readOrder());
