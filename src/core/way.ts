// Way: how a connection gets to the hub, and in words what stands in it: a proxy, a port, or
// something that does not let a WebSocket through.
// Neighbours: `route` chooses; `diagnosis` says what is wrong with the rest.
// Invariant: each line names the proxy or the port, and the key of the settings file to look at.

import { unreachable } from "../kit/assert.ts";
import { Cause } from "./effects.ts";

/** The way that an attempt took. */
export interface Way {
  /** Port of the hub. */
  readonly port: number;
  readonly isWebSocket: boolean;
  /** `host:port` of the proxy, "" without one. */
  readonly proxy: string;
}

/** Causes that lie on the way. */
export type Obstacle =
  | Cause.PROXY_UNREACHABLE
  | Cause.PROXY_TIMEOUT
  | Cause.PROXY_CREDENTIALS
  | Cause.PROXY_REFUSED
  | Cause.PROXY_FAILED
  | Cause.PROXY_BROKEN
  | Cause.WEBSOCKET_TIMEOUT
  | Cause.WEBSOCKET_FORBIDDEN
  | Cause.WEBSOCKET_NOT_FOUND
  | Cause.WEBSOCKET_REFUSED
  | Cause.WEBSOCKET_BROKEN;

/** Whether {@link obstacleText} has words for a cause. */
export function isObstacle(cause: Cause): cause is Obstacle {
  return cause >= Cause.PROXY_UNREACHABLE && cause <= Cause.WEBSOCKET_BROKEN;
}

/** What is wrong and what to do, in one line; `address` is the hub's, with its port. */
export function obstacleText(cause: Obstacle, detail: string, address: string, way: Way): string {
  const { port } = way;
  const proxy = `the proxy ${way.proxy}`;
  const found = detail === "" ? "" : ` (${detail})`;
  switch (cause) {
    case Cause.PROXY_UNREACHABLE:
      return `${proxy} cannot be reached${found}; check proxy, cable and network`;
    case Cause.PROXY_TIMEOUT:
      return (
        `${proxy} did not answer when asked for ${address}; ` +
        `a firewall behind it may drop port ${port}`
      );
    case Cause.PROXY_CREDENTIALS:
      return way.proxy === ""
        ? `a proxy that wants user name and password answers for ${address}; set proxy`
        : `${proxy} wants user name and password${found}; ` +
            "check proxy-user and proxy-password-file";
    case Cause.PROXY_REFUSED:
      return (
        `${proxy} does not let through to ${address}${found}; have port ${port} allowed there` +
        (way.isWebSocket ? "" : "; transport auto or wss goes over WebSocket instead")
      );
    case Cause.PROXY_FAILED:
      return (
        `${proxy} could not reach ${address}${found}; ` +
        `a firewall behind it may block port ${port}, or its DNS does not know the name`
      );
    case Cause.PROXY_BROKEN:
      return `${way.proxy} does not answer like an HTTP proxy${found}; check proxy`;
    case Cause.WEBSOCKET_TIMEOUT:
      return (
        `${address} speaks TLS but did not answer the request for a WebSocket; ` +
        "a proxy may stand in the way"
      );
    case Cause.WEBSOCKET_FORBIDDEN:
      return (
        `${address} does not allow a WebSocket${found}; ` +
        "the hub's IP filter or a proxy may be why"
      );
    case Cause.WEBSOCKET_NOT_FOUND:
      return (
        `${address} knows no WebSocket for MQTT${found}; ` +
        "it may be no IoT Hub, check https-port"
      );
    case Cause.WEBSOCKET_REFUSED:
      return `${address} opened no WebSocket${found}; it may be busy, or a proxy answers for it`;
    case Cause.WEBSOCKET_BROKEN:
      return (
        `the WebSocket to ${address} breaks its rules${found}; ` +
        "check that it is an IoT Hub, and that no proxy stands in the way"
      );
    default:
      return unreachable(cause);
  }
}
