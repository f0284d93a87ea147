/**
 * The HTTPS port: one router for service REST, device REST, control and WebSocket, told apart by
 * path. Neighbours: each room has its own file; `front.ts` has the TLS and knows the callers.
 * Invariant: every request ends in an answer with a correct `Date`; control is for this machine.
 */
import type { Server, TCPSocketListener } from "bun";
import { ServiceError } from "../model/errors.ts";
import { dated, plain, refusal } from "./answer.ts";
import type { Credentials } from "./authority.ts";
import { controlCall } from "./control.ts";
import { deviceCall } from "./devicebound.ts";
import { registrantCall } from "./dpsdevice.ts";
import { enrollmentCall } from "./dpsservice.ts";
import { type Caller, Front } from "./front.ts";
import type { History } from "./history.ts";
import { serviceCall } from "./rest.ts";
import type { Runner } from "./runner.ts";
import { upgrade, type WebSocketData, webSocketHandler } from "./websocket.ts";

const INNER_HOST = "127.0.0.1";
const LOOPBACK = /^(?:127\.|::1$|::ffff:127\.)/;

/** Path segments, decoded; undefined when the encoding is broken. */
function segmentsOf(url: URL): string[] | undefined {
  try {
    return url.pathname.split("/").slice(1).map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

/** A running HTTPS server. */
export class HttpsServer {
  /** Port of the MQTT listener, shown on the state page. */
  mqttPort = 0;
  private readonly inner: Server<WebSocketData>;
  private readonly front: Front;

  constructor(
    private readonly runner: Runner,
    private readonly history: History,
    credentials: Credentials,
  ) {
    this.inner = Bun.serve<WebSocketData>({
      hostname: INNER_HOST,
      port: 0,
      // A method may take 300 s to answer, an event stream has no end.
      idleTimeout: 0,
      fetch: (request, server) => this.onRequest(request, server),
      websocket: webSocketHandler(runner),
      error: (error) => plain(500, error.message),
    });
    this.front = new Front(credentials, this.inner.port!);
  }

  /** Listens on an address and a port (0: any free one). Throws when it is taken. */
  listen(hostname: string, port: number): TCPSocketListener<unknown> {
    return this.front.listen(hostname, port);
  }

  /** Ends what is behind the listeners. */
  stop(): void {
    this.inner.stop(true);
  }

  private async onRequest(
    request: Request,
    server: Server<WebSocketData>,
  ): Promise<Response | undefined> {
    const caller = this.front.caller(server.requestIP(request)?.port ?? 0);
    if (caller === undefined) return plain(403, "this service is reached through TLS only");
    let response: Response | undefined;
    try {
      response = await this.route(request, server, caller);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      response = refusal(error);
    } finally {
      this.runner.settle();
    }
    return response === undefined ? undefined : dated(this.runner.hub, response);
  }

  private async route(
    request: Request,
    server: Server<WebSocketData>,
    caller: Caller,
  ): Promise<Response | undefined> {
    const { hub } = this.runner;
    const url = new URL(request.url);
    const segments = segmentsOf(url);
    if (segments === undefined) return plain(400, "the path has broken percent-encoding");
    const { peer, remote } = caller;
    if (url.pathname === "/$iothub/websocket") return upgrade(server, request, caller, hub);
    if (segments[0] === "control") {
      if (!LOOPBACK.test(remote)) return plain(403, "control is for this machine only");
      const answer = await controlCall(hub, this.history, request, url, segments, this.mqttPort);
      return answer ?? plain(404, "no such control call");
    }
    return (
      deviceCall(hub, request, url, segments, peer) ??
      (await serviceCall(hub, request, url, segments, () => this.runner.settle())) ??
      (await enrollmentCall(hub.dps, request, url, segments)) ??
      (await registrantCall(this.runner, request, url, segments, peer)) ??
      plain(404, `${request.method} ${url.pathname} is not a call of this service`)
    );
  }
}
