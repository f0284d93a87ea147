/**
 * The client's way to a running emulator: service REST with a token, and the control calls.
 * Neighbours: `client.ts` has the commands. Invariant: TLS is checked against the emulator's own
 * authority; an answer that is no success becomes a one-line error.
 */
import { readFileSync } from "node:fs";
import { makeSas } from "./model/sas.ts";
import { readReady } from "./server/ready.ts";
import { base64, Usage } from "./words.ts";

/** An error whose message is the whole story, for exit code 1. */
export class Refused extends Error {}

/** Where and who. */
export interface Place {
  url: string;
  /** PEM of the authority. */
  ca: string;
  hubName: string;
  policy: string;
  key: string;
  /** Of the provisioning service, if known. */
  dps?: { policy: string; key: string } | undefined;
}

/** Options that say where the emulator is. */
export interface PlaceOptions {
  data?: string | undefined;
  url?: string | undefined;
  ca?: string | undefined;
  key?: string | undefined;
  policy?: string | undefined;
  hubName?: string | undefined;
  dpsKey?: string | undefined;
}

const TOKEN_S = 600;
const API_VERSION = "2021-04-12";
const DPS_API_VERSION = "2021-10-01";
const DPS_OWNER = "provisioningserviceowner";

/** Finds the emulator by its folder or by address, authority and key. */
export function findPlace(options: PlaceOptions): Place {
  if (options.data !== undefined) {
    const ready = readReady(options.data);
    if (ready === undefined) throw new Refused(`${options.data}: no emulator runs in this folder`);
    return {
      url: `https://${ready.host}:${ready.httpsPort}`,
      ca: readFileSync(ready.caFile, "utf8"),
      hubName: ready.hubName,
      policy: ready.servicePolicy,
      key: ready.serviceKey,
      dps: { policy: ready.dpsPolicy, key: ready.dpsKey },
    };
  }
  const { url, ca, dpsKey } = options;
  const key = options.key ?? (dpsKey === undefined ? undefined : "");
  if (url === undefined || ca === undefined || key === undefined) {
    throw new Usage("where is the emulator? give --data DIR, or --url URL --ca FILE --key KEY");
  }
  base64(options.key, "key");
  base64(dpsKey, "dps-key");
  if (!URL.canParse(url) || new URL(url).protocol !== "https:") {
    throw new Usage("--url must be https://HOST:PORT");
  }
  const hubName = options.hubName ?? new URL(url).hostname;
  const policy = options.policy ?? "iothubowner";
  const dps = dpsKey === undefined ? undefined : { policy: DPS_OWNER, key: dpsKey };
  const trust = readTrust(ca);
  return { url: url.replace(/\/$/, ""), ca: trust, hubName, policy, key, dps };
}

function readTrust(path: string): string {
  let text = "";
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Refused(`${path}: cannot be read (${(error as { code?: string }).code})`);
  }
  if (!text.includes("-----BEGIN CERTIFICATE-----")) {
    throw new Refused(`${path}: holds no certificate in PEM`);
  }
  return text;
}

/** Why there was no answer, as a user of the client can act on it. */
function absence(error: unknown): string {
  const { code = "", message } = error as { code?: string; message: string };
  switch (code) {
    case "ConnectionRefused":
    case "ECONNREFUSED":
    case "FailedToOpenSocket":
      return "nothing listens there";
    case "ECONNRESET":
      return "ended the connection without an answer";
    default:
      if (!/CERT|SIGNATURE|ISSUER/i.test(code)) return message.split("\n")[0] ?? code;
      return `its certificate is not one of this authority (${code})`;
  }
}

/** A running emulator, seen from outside. */
export class Remote {
  constructor(readonly place: Place) {}

  /** A service call; the JSON of its answer, null for none. */
  async call(method: string, path: string, body?: unknown, match?: string): Promise<unknown> {
    const { hubName, key, policy } = this.place;
    const token = makeSas(hubName, Math.floor(Date.now() / 1000) + TOKEN_S, key, policy);
    const headers: Record<string, string> = { authorization: token };
    if (match !== undefined) headers["if-match"] = match;
    const question = path.includes("?") ? "&" : "?";
    const text = body === undefined ? undefined : JSON.stringify(body);
    return this.json(`${path}${question}api-version=${API_VERSION}`, method, headers, text);
  }

  /** A call of the provisioning service; the JSON of its answer, null for none. */
  async provision(method: string, path: string, body?: unknown, match?: string): Promise<unknown> {
    const { dps, url } = this.place;
    if (dps === undefined) throw new Refused("the provisioning service wants --dps-key B64");
    const expiryS = Math.floor(Date.now() / 1000) + TOKEN_S;
    const authorization = makeSas(new URL(url).hostname, expiryS, dps.key, dps.policy);
    const type = "application/json; charset=utf-8";
    const headers: Record<string, string> = { authorization, "content-type": type };
    if (match !== undefined) headers["if-match"] = match;
    const text = body === undefined ? undefined : JSON.stringify(body);
    return this.json(`${path}?api-version=${DPS_API_VERSION}`, method, headers, text);
  }

  /** A control call; the JSON of its answer, null for none. */
  control(method: string, path: string, body?: string): Promise<unknown> {
    return this.json(`/control/${path}`, method, {}, body);
  }

  /** Lines of a control stream until it ends. */
  async *lines(path: string): AsyncGenerator<string> {
    const response = await this.fetch(`/control/${path}`, { method: "GET" });
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of response.body ?? []) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) if (line !== "") yield line;
    }
  }

  private async json(
    path: string,
    method: string,
    headers: Record<string, string>,
    body: string | undefined,
  ): Promise<unknown> {
    const init: RequestInit = { method, headers };
    if (body !== undefined) init.body = body;
    const response = await this.fetch(path, init);
    const text = await response.text();
    const value: unknown = text === "" ? null : JSON.parse(text);
    if (response.ok) return value;
    const refusal = value as { Message?: string; errorCode?: number; message?: string } | null;
    if (refusal?.errorCode !== undefined) {
      throw new Refused(`${refusal.errorCode} ${refusal.message ?? ""}`);
    }
    const message = refusal?.Message ?? "";
    throw new Refused(
      `${response.status} ${message.replace(/^ErrorCode:/, "").replace(";", ": ")}`,
    );
  }

  private async fetch(path: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(this.place.url + path, { ...init, tls: { ca: this.place.ca } });
    } catch (error) {
      throw new Refused(`${this.place.url}: ${absence(error)}`);
    }
  }
}
