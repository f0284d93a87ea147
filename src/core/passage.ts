// Passage: the way that an attempt takes to the hub: port, transport and proxy.
// Neighbours: `recovery` has it chosen before each attempt and tells how that ended; `route`
// decides; the turn opens the uplink along it.
// Invariant: what is dialled, what is logged and what a failure is blamed on are the same way.

import { WEBSOCKET_PATH } from "../codec/upgrade.ts";
import { Cause, type Target } from "./effects.ts";
import { LinkState } from "./link.ts";
import { Route } from "./route.ts";
import type { EndpointSettings, NetworkSettings } from "./settings.ts";
import type { Way } from "./way.ts";

/** The way of the attempt under way, or of the last one. */
export class Passage {
  readonly route: Route;
  way: Way;
  private readonly proxy: string;

  constructor({ transport, proxy }: NetworkSettings, endpoint: EndpointSettings) {
    this.route = new Route(transport, "mqtts", 0);
    this.proxy = proxy === null ? "" : `${proxy.host}:${proxy.port}`;
    this.way = this.wayOf(endpoint);
  }

  /** Before an attempt: the way that it takes from now on; the same in words. */
  choose(endpoint: EndpointSettings, nowMs: number): string {
    this.route.onDeadline(nowMs);
    this.way = this.wayOf(endpoint);
    const { port, isWebSocket, proxy } = this.way;
    const how = isWebSocket ? " by WebSocket" : "";
    return `${endpoint.host}:${port}${how}${proxy === "" ? "" : ` through ${proxy}`}`;
  }

  /** How the attempt, or the connection that came of it, ended. */
  onEnded(cause: Cause, step: LinkState, nowMs: number): void {
    const isAnswered = cause >= Cause.CONNACK_PROTOCOL && cause <= Cause.CONNACK_NOT_AUTHORISED;
    if (isAnswered && step === LinkState.GREETING) this.route.onReached(nowMs);
    this.route.onEnded(cause, step);
  }

  /** Where the uplink connects to; `roots` as in a target. */
  target(host: string, roots: string): Target {
    const { port, isWebSocket } = this.way;
    const target = { host, port, roots };
    return isWebSocket ? { ...target, webSocketPath: WEBSOCKET_PATH } : target;
  }

  private wayOf({ mqttPort, httpsPort }: EndpointSettings): Way {
    const isWebSocket = this.route.isDetour;
    return { port: isWebSocket ? httpsPort : mqttPort, isWebSocket, proxy: this.proxy };
  }
}
