// The agent as a publishing client: production turn, machines and ports, put together as `main`
// does; the outbox is filled from the end of each turn.
// Neighbours: `publish.ts` starts it; `src/main.ts` is the original of what is built here.
// Invariant: every message is accepted into the real outbox and leaves by its PUBACK; nothing of
// the agent is replaced but the alarm, which fills and then arms the real one.

import { readFileSync } from "node:fs";
import { Level, type UplinkEvents } from "../../../src/core/effects.ts";
import type { Settings } from "../../../src/core/settings.ts";
import { Prng } from "../../../src/kit/prng.ts";
import { TimerAlarm } from "../../../src/port/alarm.ts";
import { SystemClock } from "../../../src/port/clock.ts";
import { ControlServer } from "../../../src/port/control.ts";
import { Dialer } from "../../../src/port/dial.ts";
import { bootId, seed } from "../../../src/port/entropy.ts";
import { GpioPins } from "../../../src/port/gpio.ts";
import { HttpsProbe } from "../../../src/port/https.ts";
import { StderrLog } from "../../../src/port/log.ts";
import { KeySigner } from "../../../src/port/signer.ts";
import { Tls } from "../../../src/port/tls.ts";
import { Turn } from "../../../src/turn.ts";
import { Meter } from "./meter.ts";
import { type Order, readOrder } from "./order.ts";

function settingsFor(order: Order): Settings {
  return {
    endpoint: {
      type: "sas",
      hubName: order.hubName,
      host: order.host,
      mqttPort: order.port,
      httpsPort: order.httpsPort,
      deviceId: order.deviceId,
      moduleId: "",
      key: order.key,
      isSealed: false,
      isGroup: false,
      certificateFile: "",
      privateKeyFile: "",
      certificate: undefined,
      caFile: order.caFile,
      keepAliveS: 240,
      modelId: "",
      dpsHost: "",
      dpsPort: 443,
      idScope: "",
      registrationId: "",
      tpm: "",
      isHidden: true,
      ownerPassword: "",
      endorsementPassword: "",
    },
    network: { transport: "mqtts", proxy: null },
    data: {
      autoOnStartup: true,
      retryIntervalS: 60,
      quiesceTimeoutS: 10,
      inFlightMax: order.window,
    },
    telemetry: { intervalS: 0 },
    lamps: [],
    agent: { controlSocket: "", logLevel: Level.WARNING, stateFolder: "" },
  };
}

/** Keeps a window's worth of messages waiting behind those in flight. */
class Producer {
  private readonly topic: Uint8Array;
  private readonly payload: Uint8Array;
  private readonly meter: Meter;

  constructor(private readonly order: Order) {
    this.topic = Buffer.from(order.topic);
    this.payload = Buffer.from(order.payload);
    this.meter = new Meter(order.warm, order.messages);
  }

  fill(turn: Turn): void {
    const { outbox } = turn.agent.machines;
    const { window, messages } = this.order;
    this.meter.onAcknowledged(outbox.acknowledged);
    while (outbox.waiting < window && outbox.accepted < messages) {
      outbox.accept(this.topic, this.payload);
    }
  }
}

function run(order: Order): void {
  const settings = settingsFor(order);
  const producer = new Producer(order);
  const timer = new TimerAlarm(() => turn.onAlarm());
  const alarm = {
    arm(atMs: number): void {
      producer.fill(turn);
      timer.arm(atMs);
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
    pins: new GpioPins(settings.lamps),
    alarm,
    control: new ControlServer({ onCommand: (client, words) => turn.onCommand(client, words) }),
    log: new StderrLog({ level: settings.agent.logLevel }),
    reload: () => end("nobody asks for a reload here"),
    exit: (code: number) => process.exit(code),
    tpm: { perform: noTpm, flushAll: noTpm },
    web: { ask: noTpm },
    memo: { text: "", save: noTpm },
    sha256: (bytes: Uint8Array) => bytes,
  };
  const roots = readFileSync(order.caFile, "utf8");
  const turn: Turn = new Turn(ports, settings, roots, new Prng(seed()), bootId());
  turn.start();
}

run(readOrder());
