/**
 * HTTPS calls of tests against a running emulator: service calls with a token, control calls, and
 * lines of an event stream. Neighbours: `rest.test.ts`, `control.test.ts`.
 * Invariant: certificates are always checked.
 */
import { readFileSync } from "node:fs";
import { makeSas } from "./model/sas.ts";
import type { Ready } from "./server/ready.ts";
import type { Shown } from "./wire.ts";

/** What a call came back with. */
export interface Called {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any;
}

/** Extra parts of a call. */
export interface Extra {
  headers?: Record<string, string>;
  body?: unknown;
  /** Instead of a token of the owner. */
  authorization?: string;
  /** Certificate to show in the TLS handshake. */
  shown?: Shown;
}

/** Calls of one emulator. */
export class Caller {
  readonly url: string;
  private readonly ca: string;

  constructor(private readonly ready: Ready) {
    this.url = `https://localhost:${ready.httpsPort}`;
    this.ca = readFileSync(ready.caFile, "utf8");
  }

  /** A token that ends `seconds` from now. */
  token(resource: string, key: string, policy = "", seconds = 60): string {
    return makeSas(resource, Math.floor(Date.now() / 1000) + seconds, key, policy);
  }

  /** A call with a token of the owner and an api-version. */
  async service(method: string, path: string, extra: Extra = {}): Promise<Called> {
    const { hubName, serviceKey, servicePolicy } = this.ready;
    const authorization = extra.authorization ?? this.token(hubName, serviceKey, servicePolicy);
    const question = path.includes("?") ? "&" : "?";
    const headers = { authorization, ...extra.headers };
    const target = `${path}${question}api-version=2021-04-12`;
    return this.call(method, target, { ...extra, headers });
  }

  /** A call of the provisioning service with a token of its owner. */
  async provision(method: string, path: string, extra: Extra = {}): Promise<Called> {
    const { dpsKey, dpsPolicy, host } = this.ready;
    const authorization = extra.authorization ?? this.token(host, dpsKey, dpsPolicy);
    const headers = { authorization, "content-type": "application/json", ...extra.headers };
    return this.call(method, `${path}?api-version=2021-10-01`, { ...extra, headers });
  }

  /** A call as it stands. A body that is no string goes as JSON. */
  async call(method: string, path: string, extra: Extra = {}): Promise<Called> {
    const response = await this.fetch(method, path, extra);
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json") === true;
    const body = isJson ? JSON.parse(text) : text;
    return { status: response.status, headers: response.headers, body };
  }

  /** The answer with its body unread. */
  fetch(method: string, path: string, extra: Extra = {}): Promise<Response> {
    const init: RequestInit = { method, headers: extra.headers ?? {} };
    if (extra.body !== undefined) {
      init.body = typeof extra.body === "string" ? extra.body : JSON.stringify(extra.body);
    }
    return fetch(this.url + path, { ...init, tls: { ca: this.ca, ...extra.shown } });
  }
}

/** Parsed lines of an event stream; `stop` ends it. */
export class Lines {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private readonly decoder = new TextDecoder();
  private rest = "";
  private readonly parsed: Record<string, unknown>[] = [];

  constructor(response: Response) {
    this.reader = response.body!.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  }

  /** The next event that fits; the stream must not end before. */
  async next(isIt: (event: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    for (;;) {
      for (let event = this.parsed.shift(); event !== undefined; event = this.parsed.shift()) {
        if (isIt(event)) return event;
      }
      const { done, value } = await this.reader.read();
      if (done) throw new Error("the event stream has ended");
      const parts = (this.rest + this.decoder.decode(value, { stream: true })).split("\n");
      this.rest = parts.pop() ?? "";
      this.parsed.push(...parts.filter((line) => line !== "").map((line) => JSON.parse(line)));
    }
  }

  stop(): Promise<void> {
    return this.reader.cancel();
  }
}
