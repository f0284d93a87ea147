// Settings: what a valid settings file means, typed; all values in the units of their names.
// Neighbours: `schema` says what is allowed and builds this; `agent` and its machines read it.
// Invariant: a Settings object is complete and valid; nobody checks its values again.

import type { MetricsSettings, RecoverySettings, WatchdogSettings } from "./care.ts";
import type { DrainSettings } from "./drain.ts";
import type { Level, PinSettings } from "./effects.ts";
import type { Bounds } from "./outbox.ts";
import type { ProxySettings } from "./proxy.ts";
import type { Transport } from "./route.ts";
import type { TimetableSettings } from "./timetable.ts";

/** One lamp: its pin and the state it takes until the twin says otherwise. */
export interface LampSettings extends PinSettings {
  readonly initial: boolean;
}

/**
 * How the device proves who it is. `sas`: by the key in its connection string; `tpm`: by a key in
 * the TPM, given by DPS; `symmetric-key`: by the key of its enrollment at DPS; `x509`: by a
 * certificate, at DPS or at the hub of its connection string.
 */
export type EndpointType = "sas" | "tpm" | "symmetric-key" | "x509";

/** What the device's certificate says. */
export interface Certificate {
  readonly commonName: string;
  /** SHA-256 of the certificate in hexadecimal. */
  readonly fingerprint: string;
  /** From when until when it is good, in Unix s. */
  readonly fromS: number;
  readonly untilS: number;
}

/** The hub and our identity at it. */
export interface EndpointSettings {
  readonly type: EndpointType;
  /** The hub's host name: part of the user name and of what is signed. */
  readonly hubName: string;
  /** The host dialled: the hub itself, or a gateway in front of it. */
  readonly host: string;
  readonly mqttPort: number;
  readonly httpsPort: number;
  readonly deviceId: string;
  /** "" for a device identity. */
  readonly moduleId: string;
  /** Device key in base64, of `symmetric-key` as enrolled, "" where the TPM has it; secret. */
  readonly key: string;
  /** Of `sas`: the TPM signs with the key that `azimuth seal` has put there. */
  readonly isSealed: boolean;
  /** Of `symmetric-key`: the key is the enrollment group's, and ours is derived from it. */
  readonly isGroup: boolean;
  /** Of `x509`: PEM files of the certificate with its chain, and of its key. */
  readonly certificateFile: string;
  readonly privateKeyFile: string;
  /** What that file says, once it was read; undefined for other types. */
  readonly certificate: Certificate | undefined;
  /** PEM file of trusted roots; "" for the roots that Azure publishes. */
  readonly caFile: string;
  readonly keepAliveS: number;
  /** Plug-and-play model id (DTMI), "" for none. */
  readonly modelId: string;
  /** DPS, if it is DPS that says where we belong; else its scope is "". */
  readonly dpsHost: string;
  readonly dpsPort: number;
  readonly idScope: string;
  /** Who we are there; "" for the id that an endorsement key or a certificate gives. */
  readonly registrationId: string;
  /** Where the TPM is: `/dev/tpmrm0`, `swtpm:HOST:PORT` or `swtpm:/PATH`. */
  readonly tpm: string;
  /** Hide keys from whoever listens on the TPM's bus, at some cost of time. */
  readonly isHidden: boolean;
  /** Passwords of the hierarchies; secret. */
  readonly ownerPassword: string;
  readonly endorsementPassword: string;
}

/** True when the device key is in the TPM, however it came there. */
export function isInTpm({ type, isSealed }: EndpointSettings): boolean {
  return type === "tpm" || isSealed;
}

/** The way out of the site. */
export interface NetworkSettings {
  readonly transport: Transport;
  /** The proxy for hub and DPS; null for none. */
  readonly proxy: ProxySettings | null;
}

/** How the connection is kept; the names are Kura's. */
export interface DataSettings {
  readonly autoOnStartup: boolean;
  /** Cap of the backoff between attempts. */
  readonly retryIntervalS: number;
  /** Within this the first attempt comes after the hub has ended a connection; 0: at once. */
  readonly connectSpreadS: number;
  readonly quiesceTimeoutS: number;
  readonly inFlightMax: number;
  /** Unacknowledged messages go out again in a new session. */
  readonly isRepublished: boolean;
  /** A window that stays full so long ends the connection; 0: never. */
  readonly congestionS: number;
  readonly bounds: Bounds;
  readonly drain: DrainSettings;
  /** Between two looks for messages that have expired. */
  readonly purgeIntervalS: number;
  /** Whether messages outlive the process. */
  readonly isDurable: boolean;
}

/** The built-in telemetry; 0 switches it off. */
export interface TelemetrySettings {
  readonly intervalS: number;
  /** 0, the most urgent, .. 9. */
  readonly priority: number;
  /** Seconds after which nobody wants a message any more; 0: never. */
  readonly ttlS: number;
}

/** The process itself. */
export interface AgentSettings {
  readonly controlSocket: string;
  readonly logLevel: Level;
  /** Where messages and the assignment are kept. */
  readonly stateFolder: string;
}

/** A whole valid settings file. */
export interface Settings {
  readonly endpoint: EndpointSettings;
  readonly network: NetworkSettings;
  readonly data: DataSettings;
  readonly schedule: TimetableSettings;
  readonly telemetry: TelemetrySettings;
  readonly lamps: readonly LampSettings[];
  readonly recovery: RecoverySettings;
  readonly watchdog: WatchdogSettings;
  readonly metrics: MetricsSettings;
  readonly agent: AgentSettings;
}

/** The settings after a reload: what was read, but for what waits for a restart of the process. */
export function joined(running: Settings, read: Settings): Settings {
  const { controlSocket, stateFolder } = running.agent;
  const agent = { ...read.agent, controlSocket, stateFolder };
  const { isDurable, bounds } = running.data;
  const { bytesMax } = bounds;
  const data = { ...read.data, isDurable, bounds: { ...read.data.bounds, bytesMax } };
  const { endpoint, network, watchdog } = running;
  const metrics = { ...running.metrics, intervalS: read.metrics.intervalS };
  return { ...read, endpoint, network, watchdog, data, metrics, agent };
}

/**
 * What came of a reload, in one line: applied, and what of it waits for a restart of the process.
 * @param running what the process was started with; @param read what the file says now
 */
export function outcomeOf(running: Settings, read: Settings): string {
  const waiting: string[] = [];
  if (JSON.stringify(running.endpoint) !== JSON.stringify(read.endpoint)) {
    waiting.push("[endpoint]");
  }
  if (JSON.stringify(running.network) !== JSON.stringify(read.network)) waiting.push("[network]");
  if (running.data.isDurable !== read.data.isDurable) waiting.push("[data] store.place");
  if (running.data.bounds.bytesMax !== read.data.bounds.bytesMax) {
    waiting.push("[data] store.size");
  }
  if (JSON.stringify(running.watchdog) !== JSON.stringify(read.watchdog)) {
    waiting.push("[watchdog]");
  }
  const { file, port } = running.metrics;
  if (file !== read.metrics.file) waiting.push("[metrics] file");
  if (port !== read.metrics.port) waiting.push("[metrics] port");
  if (running.agent.controlSocket !== read.agent.controlSocket) {
    waiting.push("[agent] control-socket");
  }
  if (running.agent.stateFolder !== read.agent.stateFolder) {
    waiting.push("[agent] state-dir");
  }
  if (waiting.length === 0) return "settings applied";
  const outcome = `settings applied, but ${waiting.join(" and ")} must wait for a restart`;
  return running.agent.controlSocket === read.agent.controlSocket
    ? outcome
    : `${outcome}; until then reach the agent with --socket ${running.agent.controlSocket}`;
}
