// Proxy: the HTTP proxy of the settings, and one talk with it for each attempt.
// Neighbours: `codec/proxy` has the words; `port/dial` carries them before TLS begins.
// Invariant: the password leaves in a request and in no message; a proxy that has not clearly
// opened the tunnel never sees a byte of TLS.

import { connectRequest, ProxyAnswer, ProxyOutcome } from "../codec/proxy.ts";
import { utf8 } from "../codec/utf8.ts";
import { unreachable } from "../kit/assert.ts";
import { Cause, type HttpProxy, type Tunnel } from "./effects.ts";

/** A proxy as the settings give it; `user` "" for one without credentials. */
export interface ProxySettings {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Secret. */
  readonly password: string;
}

/** An HTTP/1.1 proxy that is asked by CONNECT. */
export class ConnectProxy implements HttpProxy {
  constructor(private readonly settings: ProxySettings) {}

  get host(): string {
    return this.settings.host;
  }

  get port(): number {
    return this.settings.port;
  }

  tunnel(host: string, port: number): Tunnel {
    const { user, password } = this.settings;
    return new ConnectTunnel(utf8(connectRequest(host, port, user, password)), user !== "");
  }
}

class ConnectTunnel implements Tunnel {
  isOpen = false;
  cause = Cause.NONE;
  detail = "";
  private readonly answer = new ProxyAnswer();

  constructor(
    readonly request: Uint8Array,
    private readonly hasCredentials: boolean,
  ) {}

  onData(chunk: Uint8Array): void {
    const outcome = this.answer.feed(chunk);
    this.detail = this.answer.detail;
    switch (outcome) {
      case ProxyOutcome.MORE:
        return;
      case ProxyOutcome.OPEN:
        this.isOpen = true;
        return;
      case ProxyOutcome.CREDENTIALS:
        this.cause = Cause.PROXY_CREDENTIALS;
        this.detail = this.hasCredentials ? "those given are refused" : "none are given";
        return;
      case ProxyOutcome.REFUSED:
        this.cause = Cause.PROXY_REFUSED;
        return;
      case ProxyOutcome.FAILED:
        this.cause = Cause.PROXY_FAILED;
        return;
      case ProxyOutcome.BROKEN:
        this.cause = Cause.PROXY_BROKEN;
        return;
      default:
        unreachable(outcome);
    }
  }
}
