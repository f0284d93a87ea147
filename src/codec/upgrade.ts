// Upgrade: turns an HTTP/1.1 connection into a WebSocket that carries MQTT (RFC 6455, 4, and
// MQTT 3.1.1, 6).
// Neighbours: head.ts reads the head; websocket.ts has the frames that follow it.
// Invariant: a connection counts as upgraded only when the server has proved that it understood:
// 101, Upgrade, Connection, the right Sec-WebSocket-Accept and the subprotocol.

import { Head, HeadResult } from "./head.ts";
import { authorityOf } from "./proxy.ts";

/** What a server's answer to the request means. */
export enum UpgradeOutcome {
  /** Not whole yet. */
  MORE,
  /** Frames follow. */
  DONE,
  /** It said something else than 101; `status` has what. */
  REFUSED,
  /** No HTTP, or a 101 that does not keep the rules. */
  BROKEN,
}

/** Where IoT Hub and DPS take WebSockets; the query keeps them from asking for a certificate. */
export const WEBSOCKET_PATH = "/$iothub/websocket?iothub-no-client-cert=true";
/** Appended to the key before it is hashed (RFC 6455, 1.3). */
const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const PROTOCOL = "mqtt";
const HTTPS_PORT = 443;

/** The text whose SHA-1, in base64, the server must answer with (RFC 6455, 4.2.2). */
export function acceptText(key: string): string {
  return key + MAGIC;
}

/**
 * The request in ASCII, or "" when host or path cannot stand in one.
 * @param key 16 unpredictable bytes in base64 (RFC 6455, 4.1)
 */
export function upgradeRequest(host: string, port: number, path: string, key: string): string {
  if (/[^\x21-\x7e]/.test(host + path + key) || host === "" || !path.startsWith("/")) return "";
  const authority = authorityOf(host, port);
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: ${port === HTTPS_PORT ? authority.replace(/:443$/, "") : authority}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Key: ${key}`,
    `Sec-WebSocket-Protocol: ${PROTOCOL}`,
    "Sec-WebSocket-Version: 13",
    "User-Agent: azimuth",
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** Reads the answer to one upgrade request. */
export class UpgradeAnswer {
  /** The server's own words, or what is wrong with them; one line, "" while undecided. */
  detail = "";
  private readonly head = new Head();
  private outcome = UpgradeOutcome.MORE;

  /** @param accept SHA-1 of {@link acceptText}, in base64 */
  constructor(private readonly accept: string) {}

  get status(): number {
    return this.head.status;
  }

  /** Bytes of the last chunk that belonged to the answer; frames begin behind them. */
  get taken(): number {
    return this.head.taken;
  }

  /** Takes the next chunk; after another outcome than MORE nothing changes it any more. */
  feed(chunk: Uint8Array): UpgradeOutcome {
    if (this.outcome !== UpgradeOutcome.MORE) return this.outcome;
    const result = this.head.feed(chunk);
    if (result === HeadResult.MORE) return UpgradeOutcome.MORE;
    if (result === HeadResult.BROKEN) return this.settle(UpgradeOutcome.BROKEN, "no HTTP answer");
    if (this.status !== 101) return this.settle(UpgradeOutcome.REFUSED, this.head.statusText);
    const problem = this.problem();
    return this.settle(problem === "" ? UpgradeOutcome.DONE : UpgradeOutcome.BROKEN, problem);
  }

  /** What keeps a 101 from being one (RFC 6455, 4.1, the client's checks 2 to 6). */
  private problem(): string {
    const { head } = this;
    if (head.list("upgrade").join() !== "websocket") return "101 without Upgrade: websocket";
    if (!head.list("connection").includes("upgrade")) return "101 without Connection: Upgrade";
    const accepts = head.values("sec-websocket-accept");
    if (accepts.length !== 1 || accepts[0] !== this.accept) return "wrong Sec-WebSocket-Accept";
    if (head.values("sec-websocket-extensions").join("") !== "")
      return "an extension not asked for";
    // MQTT-6.0.0-3, MQTT-6.0.0-4: the server has to take the subprotocol, in any case of letters.
    return head.list("sec-websocket-protocol").join() === PROTOCOL
      ? ""
      : "subprotocol mqtt not taken";
  }

  private settle(outcome: UpgradeOutcome, detail: string): UpgradeOutcome {
    this.outcome = outcome;
    this.detail = detail;
    return outcome;
  }
}
