// Proxy: asks an HTTP proxy for a tunnel (CONNECT, RFC 9110, 9.3.6) and understands its answer.
// Neighbours: head.ts reads the head; core/proxy.ts makes causes of the outcomes.
// Invariant: nothing that is given can break out of its place in the request; the password is in
// the request and in nothing else; whatever is not a clear yes is a no.

import { encodeBase64 } from "./base64.ts";
import { Head, HeadResult } from "./head.ts";
import { utf8, utf8Length } from "./utf8.ts";

/** What a proxy's answer means. */
export enum ProxyOutcome {
  /** Not whole yet. */
  MORE,
  /** The tunnel stands. */
  OPEN,
  /** It wants a user name and password (407), or other ones (tinyproxy 1.11 says 401 then). */
  CREDENTIALS,
  /** It does not allow this (every other 3xx and 4xx). */
  REFUSED,
  /** It could not reach the target (5xx). */
  FAILED,
  /** No HTTP, or HTTP that breaks the rules. */
  BROKEN,
}

/** Longest user name and password, in bytes of UTF-8; a request stays far below 8 KB. */
export const CREDENTIAL_BYTES_MAX = 255;

// RFC 7617, 2: no control characters in either, and no colon in the user name.
const CONTROL = /[\x00-\x1f\x7f]/;

/** Why a user name or password cannot be sent, in a few words without it; "" when it can. */
export function credentialProblem(user: string, password: string): string {
  if (user.includes(":")) return "a user name holds no colon";
  for (const text of [user, password]) {
    const bytes = utf8Length(text);
    if (CONTROL.test(text) || bytes < 0) return "no control characters or broken text";
    if (bytes > CREDENTIAL_BYTES_MAX) return `at most ${CREDENTIAL_BYTES_MAX} bytes`;
  }
  return "";
}

/** Where a proxy listens. */
export interface ProxyPlace {
  readonly host: string;
  readonly port: number;
}

/**
 * The place that `http://host:port` names; an IPv6 address stands in brackets. Or one line that
 * says what is wrong, without the text, which may hold a password.
 */
export function parseProxy(text: string): ProxyPlace | string {
  if (/^https:/i.test(text)) return "TLS to the proxy itself is not spoken";
  if (!/^http:\/\//i.test(text)) return "does not begin with http://";
  const rest = text.slice("http://".length).replace(/\/$/, "");
  if (rest.includes("@")) return "holds a user name; give proxy-user and proxy-password-file";
  const matched = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):(\d{1,5})$/.exec(rest);
  if (matched === null) return "is not of the form http://host:port";
  const port = Number(matched[3]);
  if (port < 1 || port > 65_535) return "has a port outside 1 .. 65535";
  return { host: matched[1] ?? matched[2]!, port };
}

/** `host:port` as a request names it; an IPv6 address in brackets (RFC 3986, 3.2.2). */
export function authorityOf(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * The request for a tunnel to `host:port` in ASCII, or "" when the host cannot stand in one.
 * `user` "" sends no credentials; otherwise they go in the clear, as Basic does (RFC 7617).
 */
export function connectRequest(host: string, port: number, user: string, password: string): string {
  if (!/^[A-Za-z0-9._:-]{1,255}$/.test(host)) return "";
  const authority = authorityOf(host, port);
  const lines = [`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`, "User-Agent: azimuth"];
  if (user !== "")
    lines.push(`Proxy-Authorization: Basic ${encodeBase64(utf8(`${user}:${password}`))}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** Reads the answer to one CONNECT. */
export class ProxyAnswer {
  /** The proxy's own words, or what is wrong with them; one line, "" while undecided. */
  detail = "";
  private readonly head = new Head();
  private outcome = ProxyOutcome.MORE;

  /** Takes the next chunk; after another outcome than MORE nothing changes it any more. */
  feed(chunk: Uint8Array): ProxyOutcome {
    if (this.outcome !== ProxyOutcome.MORE) return this.outcome;
    const { head } = this;
    const result = head.feed(chunk);
    if (result === HeadResult.MORE) return ProxyOutcome.MORE;
    if (result === HeadResult.BROKEN) return this.settle(ProxyOutcome.BROKEN, "no HTTP answer");
    // TLS has the client speak first: a byte that comes now is not the server's.
    if (isYes(head.status) && head.taken < chunk.length) {
      return this.settle(ProxyOutcome.BROKEN, "it goes on talking after its answer");
    }
    return this.settle(outcomeOf(head.status), head.statusText);
  }

  private settle(outcome: ProxyOutcome, detail: string): ProxyOutcome {
    this.outcome = outcome;
    this.detail = detail;
    return outcome;
  }
}

function isYes(status: number): boolean {
  return status >= 200 && status < 300;
}

function outcomeOf(status: number): ProxyOutcome {
  if (isYes(status)) return ProxyOutcome.OPEN;
  if (status === 407 || status === 401) return ProxyOutcome.CREDENTIALS;
  if (status >= 500) return ProxyOutcome.FAILED;
  return status >= 300 ? ProxyOutcome.REFUSED : ProxyOutcome.BROKEN;
}
