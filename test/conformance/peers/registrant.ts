// Registrant: the official provisioning device SDK as a peer, on Node and on Bun, and the
// official device SDK for what comes after. Neighbours: `strings.ts` brings the calls
// of `applicant.ts` of the harness, `tpmline.ts` is the way to the TPM. Invariant: nothing here
// knows what is expected; it does what it is told and says what it sees.

import { Agent } from "node:https";
import { NoRetry, type TransportConfig } from "azure-iot-common";
import {
  Client,
  Message,
  SharedAccessKeyAuthenticationProvider,
  X509AuthenticationProvider,
} from "azure-iot-device";
import { Mqtt as HubMqtt } from "azure-iot-device-mqtt";
import { ProvisioningDeviceClient } from "azure-iot-provisioning-device";
import { Http } from "azure-iot-provisioning-device-http";
import { Mqtt } from "azure-iot-provisioning-device-mqtt";
import { SymmetricKeySecurityClient } from "azure-iot-security-symmetric-key";
import { TpmAuthenticationProvider, TpmSecurityClient } from "azure-iot-security-tpm";
import { X509Security } from "azure-iot-security-x509";
import { Tpm } from "tss.js";
import { perform, tellError } from "./strings.ts";
import { TpmLine } from "./tpmline.ts";

interface Making {
  over: "mqtt" | "http";
  host: string;
  mqttPort: number;
  httpsPort: number;
  idScope: string;
  ca: string;
  /** Absent for a TPM: derived from its endorsement key. */
  id?: string;
  key?: string;
  cert?: { cert: string; key: string };
  /** Path of the socket of a TPM. */
  tpm?: string;
  payload?: object;
}

interface Registration {
  register(done: (error: Error | null, result?: unknown) => void): void;
  setProvisioningPayload(payload: object): void;
}

interface Optional {
  setOptions(options: object): void;
}

const registrations = new Map<string, Registration>();
const chips = new Map<string, TpmSecurityClient>();
const lines = new Map<string, TpmLine>();
const clients = new Map<string, Client>();

/** The transport, made to trust local Azure and to find its port (azure.md 5.1). */
function transport({ over, ca, httpsPort }: Making): Mqtt | Http {
  if (over === "mqtt") {
    const mqtt = new Mqtt();
    (mqtt as unknown as { _mqttBase: Optional })._mqttBase.setOptions({ ca });
    return mqtt;
  }
  const agent = new Agent({ ca }) as Agent & { defaultPort: number };
  agent.defaultPort = httpsPort;
  const http = new Http();
  (http as unknown as { _httpBase: Optional })._httpBase.setOptions({ http: { agent } });
  return http;
}

function security(name: string, { id, key, cert, tpm }: Making): object {
  if (cert !== undefined) return new X509Security(id!, cert);
  if (key !== undefined) return new SymmetricKeySecurityClient(id!, key);
  const whole = new Tpm(false);
  const line = new TpmLine(tpm!);
  (whole as unknown as { device: TpmLine }).device = line;
  lines.set(name, line);
  const chip = new TpmSecurityClient(id as string, whole);
  chips.set(name, chip);
  return chip;
}

function make(name: string, making: Making): void {
  const { over, host, mqttPort, idScope, payload } = making;
  const address = over === "mqtt" ? `${host}:${mqttPort}` : host;
  const proof = security(name, making);
  const way = transport(making);
  const made = ProvisioningDeviceClient.create(address, idScope, way as never, proof as never);
  const registration = made as unknown as Registration;
  if (payload !== undefined) registration.setProvisioningPayload(payload);
  registrations.set(name, registration);
}

function taken<T>(work: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    work((error, value) => {
      if (error) reject(error);
      else resolve(value as T);
    });
  });
}

/** `registrationState`: with a TPM the SDK gives the whole body, else the state alone. */
async function register(name: string): Promise<object> {
  type Result = { registrationState?: object };
  const result = await taken<Result>((done) => registrations.get(name)!.register(done as never));
  return result.registrationState ?? result;
}

/** What an operator needs to enroll a TPM. */
async function facts(name: string): Promise<object> {
  const chip = chips.get(name)!;
  const endorsementKey = await taken<Buffer>((done) => chip.getEndorsementKey(done as never));
  const registrationId = await taken<string>((done) => chip.getRegistrationId(done as never));
  return { endorsementKey: endorsementKey.toString("base64"), registrationId };
}

interface Entering {
  hub: string;
  deviceId: string;
  /** Address to dial. */
  gateway: string;
  ca: string;
  /** What the device has beside a TPM. */
  key?: string;
  cert?: { cert: string; key: string };
}

/** What the hub is shown; only so do the SDK's providers take an address to dial. */
function provider(name: string, { hub, deviceId, gateway, key, cert }: Entering) {
  const where = { host: hub, deviceId, gatewayHostName: gateway };
  if (cert !== undefined) return new X509AuthenticationProvider({ ...where, x509: cert });
  if (key !== undefined) {
    const credentials = { ...where, sharedAccessKey: key };
    return new SharedAccessKeyAuthenticationProvider(credentials as TransportConfig);
  }
  return new TpmAuthenticationProvider(where as TransportConfig, chips.get(name)!);
}

/** Connects to the hub with what a registration has led to. */
async function enter(name: string, entering: Entering): Promise<void> {
  const client = Client.fromAuthenticationProvider(provider(name, entering), HubMqtt);
  await client.setOptions({ ca: entering.ca, ...entering.cert });
  client.setRetryPolicy(new NoRetry());
  client.on("error", (error) => tellError(name, error));
  await client.open();
  clients.set(name, client);
}

perform({
  make,
  register,
  facts,
  enter,
  send: async (name, { body }: { body: string }) => {
    await clients.get(name)!.sendEvent(new Message(body));
  },
  /** Lets go of the TPM, which serves one at a time. */
  release: (name) => lines.get(name)!.close(),
  close: async (name) => {
    await clients.get(name)!.close();
    clients.delete(name);
  },
});
