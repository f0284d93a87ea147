/**
 * Puts one emulator together: keys, certificates, hub, listeners, and the way to stop it all.
 * Neighbours: `main.ts` starts it from the command line, tests start it in their own process.
 * Invariant: after `stop` no socket, timer or temporary folder of it is left.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { completeDps, type DpsOptions } from "../model/dps/options.ts";
import { DPS_OWNER } from "../model/dps/policy.ts";
import { HubCode } from "../model/errors.ts";
import type { HubEvent } from "../model/events.ts";
import type { Hub } from "../model/hub.ts";
import type { HubSetup } from "../model/options.ts";
import { POLICY_NAMES } from "../model/policy.ts";
import { type CertificateType, type Credentials, credentials } from "./authority.ts";
import { History } from "./history.ts";
import { HttpsServer } from "./https.ts";
import { MqttServer } from "./mqtt.ts";
import { type Kept, readKept, writeWhole } from "./persistence.ts";
import { claim, type Ready, release } from "./ready.ts";
import { Runner } from "./runner.ts";

const OWNER = "iothubowner";
const KEY_BYTES = 32;

/** What may be chosen. */
export interface EmulatorOptions {
  /** Name that clients use; loopback addresses are listened on when it is a loopback name. */
  host?: string;
  /** Address to listen on instead. */
  listen?: string;
  /** More names for the server certificate. */
  names?: readonly string[];
  /** 0: any free port. */
  httpsPort?: number;
  /** 0: any free port. */
  mqttPort?: number;
  /** Folder to keep certificates, keys, registry and twins in; absent: a temporary one. */
  data?: string;
  /** Host name in connection strings, user names and tokens; default: `host`. */
  hubName?: string;
  idScope?: string;
  /** Host names of more hubs that the provisioning service may assign to; this one serves them. */
  moreHubs?: readonly string[];
  /** What else may be chosen about the provisioning service. */
  dps?: Partial<Omit<DpsOptions, "name" | "idScope" | "keys" | "moreHubs">>;
  /** Key of policy iothubowner, base64. */
  serviceKey?: string;
  certificateType?: CertificateType;
  hub?: Omit<HubSetup, "name" | "keys" | "dps">;
  onEvent?: (event: HubEvent) => void;
}

/** A running emulator. */
export interface Emulator {
  readonly ready: Ready;
  /** The model, for tests in the same process; call `settle` after each call into it. */
  readonly hub: Hub;
  settle(): void;
  stop(): void;
}

const makeKey = (): string => randomBytes(KEY_BYTES).toString("base64");

function makeKeys(serviceKey: string | undefined, kept: Kept | undefined): Record<string, string> {
  const keys: Record<string, string> = {};
  for (const name of POLICY_NAMES) keys[name] = kept?.keys[name] ?? makeKey();
  if (serviceKey !== undefined) keys[OWNER] = serviceKey;
  return keys;
}

function addresses(host: string, listen: string | undefined): string[] {
  if (listen !== undefined) return [listen];
  return ["localhost", "127.0.0.1", "::1"].includes(host) ? ["127.0.0.1", "::1"] : [host];
}

interface Listener {
  readonly port?: number | undefined;
  stop(closeActive: boolean): unknown;
}

function openOne<T>(address: string, port: number, open: (address: string, port: number) => T): T {
  try {
    return open(address, port);
  } catch (error) {
    const code = (error as { code?: string }).code ?? (error as Error).message;
    throw new Error(`cannot listen on ${address} port ${port}: ${code}`);
  }
}

/**
 * Listens on the first address, and under the same port on the others where that is possible:
 * a machine without IPv6 has no ::1, and 127.0.0.1 is enough then.
 */
function listenOn<T extends Listener>(
  all: readonly string[],
  port: number,
  open: (address: string, port: number) => T,
): T[] {
  const [first, ...others] = all;
  const listeners = [openOne(first!, port, open)];
  for (const address of others) {
    try {
      listeners.push(open(address, listeners[0]!.port!));
    } catch {}
  }
  return listeners;
}

function tlsRefusal(remote: string, reason: string): HubEvent {
  return {
    type: "close",
    at: new Date().toISOString(),
    deviceId: "",
    remote,
    by: "device",
    code: HubCode.DeviceConnectionClosedRemotely,
    codeName: HubCode[HubCode.DeviceConnectionClosedRemotely],
    reason: `TLS handshake failed: ${reason}`,
  };
}

/** An emulator whose listeners may be open already. */
class Running implements Emulator {
  readonly history = new History();
  readonly runner: Runner;
  private readonly listeners: Listener[] = [];
  private found: Ready | undefined;

  constructor(
    private readonly data: string,
    private readonly options: EmulatorOptions,
  ) {
    claim(data);
    const file = join(data, "hub.json");
    const kept = readKept(file);
    const host = options.host ?? "localhost";
    const hubName = options.hubName ?? kept?.hubName ?? host;
    const keys = makeKeys(options.serviceKey, kept);
    const dpsKey = kept?.dpsKey ?? makeKey();
    const save = (hub: Hub): void => {
      const content: Kept = { hubName, keys, dpsKey, hub: hub.snapshot() };
      writeWhole(file, `${JSON.stringify(content)}\n`);
    };
    const { idScope = completeDps().idScope, moreHubs = [] } = options;
    const dpsKeys = { [DPS_OWNER]: dpsKey };
    const dps = { ...options.dps, name: host, idScope, moreHubs, keys: dpsKeys };
    const setup = { ...options.hub, name: hubName, keys, dps };
    const onEvent = (event: HubEvent): void => this.onEvent(event);
    this.runner = new Runner(setup, onEvent, options.data === undefined ? undefined : save);
    if (kept !== undefined) this.hub.restore(kept.hub);
    if (options.data !== undefined) save(this.hub);
    const names = [host, hubName, ...moreHubs, ...(options.names ?? [])];
    const certificate = credentials(data, names, options.certificateType ?? "ec");
    const ports = this.listen(host, certificate);
    this.found = {
      ready: true,
      host,
      ...ports,
      hubName,
      idScope,
      caFile: certificate.caFile,
      servicePolicy: OWNER,
      serviceKey: keys[OWNER]!,
      dpsPolicy: DPS_OWNER,
      dpsKey,
    };
    claim(data, this.found);
  }

  get hub(): Hub {
    return this.runner.hub;
  }

  get ready(): Ready {
    return this.found!;
  }

  settle(): void {
    this.runner.settle();
  }

  stop(): void {
    for (const listener of this.listeners) listener.stop(true);
    this.runner.stop();
    release(this.data);
  }

  private onEvent(event: HubEvent): void {
    this.history.add(event);
    this.options.onEvent?.(event);
  }

  private listen(host: string, certificate: Credentials) {
    const { listen, mqttPort = 0, httpsPort = 0 } = this.options;
    const all = addresses(host, listen);
    const mqtt = new MqttServer(this.runner, certificate, (remote, reason) =>
      this.onEvent(tlsRefusal(remote, reason)),
    );
    const https = new HttpsServer(this.runner, this.history, certificate);
    this.listeners.push(https);
    try {
      const devices = listenOn(all, mqttPort, (name, port) => mqtt.listen(name, port));
      this.listeners.push(...devices);
      https.mqttPort = devices[0]!.port;
      const services = listenOn(all, httpsPort, (name, port) => https.listen(name, port));
      this.listeners.push(...services);
      return { httpsPort: services[0]!.port!, mqttPort: devices[0]!.port };
    } catch (error) {
      this.stop();
      throw error;
    }
  }
}

/** Starts an emulator. Throws one-line errors: port taken, folder in use, openssl missing. */
export function startEmulator(options: EmulatorOptions = {}): Emulator {
  if (options.data !== undefined) return new Running(resolve(options.data), options);
  const data = mkdtempSync(join(tmpdir(), "azimuth-azure-"));
  const remove = (): void => rmSync(data, { recursive: true, force: true });
  let running: Running;
  try {
    running = new Running(data, options);
  } catch (error) {
    remove();
    throw error;
  }
  return {
    ready: running.ready,
    hub: running.hub,
    settle: () => running.settle(),
    stop: () => {
      running.stop();
      remove();
    },
  };
}
