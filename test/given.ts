// Given: valid settings for tests, with the parts that one wants otherwise.
// Neighbours: `rig` and the simulator run the production turn with them.
// Invariant: nothing in here names a real host, and the key opens nothing.

import { WhenFull } from "../src/core/outbox.ts";
import type { LampSettings, Settings } from "../src/core/settings.ts";
import { MESSAGE_BYTES_MAX } from "../src/limits.ts";

/** A key of the tests, base64 of 32 bytes counting from 0; it opens nothing. */
export const KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

export function lamp(name: string, initial = false): LampSettings {
  return { name, driver: "file", target: `/nowhere/${name}`, activeLow: false, initial };
}

/** Of what keeps a gateway going: nothing, unless a test wants it. */
export interface CareParts {
  schedule?: Partial<Settings["schedule"]>;
  recovery?: Partial<Settings["recovery"]>;
  metrics?: Partial<Settings["metrics"]>;
}

function careOf(parts: CareParts): Pick<Settings, keyof CareParts | "watchdog"> {
  return {
    schedule: {
      isEnabled: false,
      expression: "0 0 0 ? * * *",
      zone: "",
      overrideThreshold: -1,
      inactivityS: 60,
      ...parts.schedule,
    },
    recovery: {
      isEnabled: false,
      failuresMax: 10,
      perDay: [0, 0, 0, 0, 0],
      hook: [],
      ...parts.recovery,
    },
    watchdog: { device: "", timeoutS: 60 },
    metrics: { file: "", port: 0, intervalS: 15, ...parts.metrics },
  };
}

/** The parts of settings that a test wants otherwise. */
export interface Parts extends CareParts {
  endpoint?: Partial<Settings["endpoint"]>;
  network?: Partial<Settings["network"]>;
  data?: Partial<Settings["data"]>;
  telemetry?: Partial<Settings["telemetry"]>;
  lamps?: readonly LampSettings[];
  agent?: Partial<Settings["agent"]>;
}

/** Valid settings with the parts that a test wants otherwise. */
export function settings(parts: Parts): Settings {
  return {
    endpoint: {
      type: "sas",
      hubName: "hub.example",
      host: "hub.example",
      mqttPort: 8883,
      httpsPort: 443,
      deviceId: "dev1",
      moduleId: "",
      key: KEY,
      isSealed: false,
      isGroup: false,
      certificateFile: "",
      privateKeyFile: "",
      certificate: undefined,
      caFile: "",
      keepAliveS: 240,
      modelId: "",
      dpsHost: "dps.example",
      dpsPort: 443,
      idScope: "",
      registrationId: "",
      tpm: "",
      isHidden: true,
      ownerPassword: "",
      endorsementPassword: "",
      ...parts.endpoint,
    },
    network: { transport: "mqtts", proxy: null, ...parts.network },
    data: {
      autoOnStartup: true,
      retryIntervalS: 60,
      connectSpreadS: 0,
      quiesceTimeoutS: 10,
      inFlightMax: 8,
      isRepublished: true,
      congestionS: 0,
      bounds: {
        bytesMax: 64 * 1024 * 1024,
        countMax: 0,
        whenFull: WhenFull.DROP_OLDEST,
        messageBytesMax: MESSAGE_BYTES_MAX,
        bodyBytesMax: 262_144,
      },
      drain: { sharePercent: 20, limit: null },
      purgeIntervalS: 900,
      isDurable: true,
      ...parts.data,
    },
    ...careOf(parts),
    telemetry: { intervalS: 0, priority: 7, ttlS: 0, ...parts.telemetry },
    lamps: parts.lamps ?? [lamp("LED1")],
    agent: {
      controlSocket: "/nowhere/control.sock",
      logLevel: 7,
      stateFolder: "/nowhere/state",
      ...parts.agent,
    },
  };
}
