/**
 * MQTT over WebSocket, for devices that only get through port 443. Neighbours: `https.ts` upgrades,
 * the model does the rest as for a TLS socket. Facts: path `/$iothub/websocket`, subprotocol `mqtt`
 * in any case. Invariant: binary frames only; packet borders and frame borders are unrelated.
 */
import type { Server, ServerWebSocket, WebSocketHandler } from "bun";
import type { Connection } from "../model/connection.ts";
import type { Hub } from "../model/hub.ts";
import type { Link } from "../model/world.ts";
import { plain } from "./answer.ts";
import type { Caller } from "./front.ts";
import type { Runner } from "./runner.ts";

const UNSUPPORTED_DATA = 1003;
const NORMAL = 1000;
const BACKLOG_BYTES_MAX = 8_388_608;

/** What travels with a socket. */
export interface WebSocketData {
  caller: Caller;
  connection: Connection | undefined;
}

class WebSocketLink implements Link {
  constructor(private readonly socket: ServerWebSocket<WebSocketData>) {}

  send(bytes: Uint8Array): void {
    this.socket.sendBinary(bytes);
  }

  close(): void {
    this.socket.close(NORMAL);
  }
}

/** Handlers that put a model connection behind each socket. */
export function webSocketHandler(runner: Runner): WebSocketHandler<WebSocketData> {
  return {
    // The model has its own keep-alive.
    idleTimeout: 0,
    sendPings: false,
    backpressureLimit: BACKLOG_BYTES_MAX,
    closeOnBackpressureLimit: true,
    perMessageDeflate: false,
    open(socket) {
      const { caller } = socket.data;
      const link = new WebSocketLink(socket);
      socket.data.connection = runner.hub.accept(link, caller.remote, caller.peer);
      runner.settle();
    },
    message(socket, message) {
      if (typeof message === "string") {
        socket.close(UNSUPPORTED_DATA, "binary frames only");
        return;
      }
      socket.data.connection?.onData(message);
      runner.settle();
    },
    close(socket) {
      socket.data.connection?.onClosed();
      runner.settle();
    },
  };
}

/** Upgrades a request, or refuses it; undefined means that it was upgraded. */
export function upgrade(
  server: Server<WebSocketData>,
  request: Request,
  caller: Caller,
  hub: Hub,
): Response | undefined {
  const fault = hub.faults.fires("refuse-websocket", "");
  if (fault !== undefined) return plain(fault.value, "fault refuse-websocket");
  const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(",");
  const protocol = offered.map((name) => name.trim()).find((name) => /^mqtt$/i.test(name));
  if (protocol === undefined) return plain(400, "subprotocol mqtt is required");
  const data: WebSocketData = { caller, connection: undefined };
  const headers = { "sec-websocket-protocol": protocol };
  if (server.upgrade(request, { data, headers })) return undefined;
  return plain(426, "a WebSocket upgrade is required");
}
