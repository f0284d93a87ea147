// Relay: the cable between agent and hub, as a TCP relay on loopback that can be pulled.
// Neighbours: `world` puts it between the two; neither of them knows of it.
// Invariant: pulled, no connection passes and none is taken; plugged again, it is found under the
// same port; bytes pass unchanged and in order. The side that dials must speak first, as in TLS.

import { connect, createServer, type Server, type Socket } from "node:net";

const HOSTS = ["127.0.0.1", "::1"];
/** A port may be free on one of the two addresses only: so many are tried. */
const PORT_TRIES = 20;
/** While the cable was out another process may have borrowed the port for a connection. */
const REPLUG_TRIES = 200;
const REPLUG_MS = 50;
/** First bytes of a TLS connection: a handshake record of version 3.x (RFC 8446, 5.1). */
const TLS_HANDSHAKE = 0x16;
const TLS_MAJOR = 3;

/** A cable that is plugged into a port of this machine. */
export class Relay {
  /** Where to connect to; 0 before it was first plugged. */
  port = 0;
  isPlugged = false;
  /** Connections whose first bytes are those of TLS, and others. */
  tlsCount = 0;
  otherCount = 0;
  private servers: Server[] = [];
  private readonly sockets = new Set<Socket>();

  /** @param targetPort where bytes go to, on 127.0.0.1 */
  constructor(private readonly targetPort: number) {}

  /** Takes connections from now on. Throws when the port is not to be had. */
  async plug(): Promise<void> {
    if (this.isPlugged) return;
    const tries = this.port === 0 ? PORT_TRIES : REPLUG_TRIES;
    for (let left = tries; !(await this.tryListen()); left--) {
      if (left === 0) throw new Error(`relay: port ${this.port || "0"} is not free`);
      if (this.port !== 0) await Bun.sleep(REPLUG_MS);
    }
    this.isPlugged = true;
  }

  /** Cuts every connection and takes no more. */
  pull(): void {
    this.isPlugged = false;
    this.stopListening();
    for (const socket of this.sockets) socket.destroy();
    this.sockets.clear();
  }

  /** Listens on every loopback address there is; false when the port is taken on one of them. */
  private async tryListen(): Promise<boolean> {
    let port = this.port;
    for (const host of HOSTS) {
      const server = createServer((socket) => this.join(socket));
      const code = await listening(server, host, port);
      if (code === "") {
        this.servers.push(server);
        port = (server.address() as { port: number }).port;
      } else if (host === HOSTS[0] || code === "EADDRINUSE") {
        this.stopListening();
        return false;
      }
    }
    this.port = port;
    return true;
  }

  private stopListening(): void {
    for (const server of this.servers.splice(0)) server.close();
  }

  /** The far end is dialled at the first byte: whoever dials twice and keeps one says nothing. */
  private join(near: Socket): void {
    near.setNoDelay(true);
    this.watch(near);
    near.once("data", (bytes: Uint8Array) => {
      if (bytes[0] === TLS_HANDSHAKE && bytes[1] === TLS_MAJOR) this.tlsCount++;
      else this.otherCount++;
      const far = connect({ host: "127.0.0.1", port: this.targetPort, noDelay: true });
      this.watch(far);
      // What one end had to say still goes out to the other before that closes, too.
      near.on("close", () => far.end());
      far.on("close", () => near.end());
      far.write(bytes);
      near.pipe(far);
      far.pipe(near);
    });
  }

  private watch(socket: Socket): void {
    this.sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.sockets.delete(socket));
  }
}

/** Starts to listen; "" or the errno that says why not. */
function listening(server: Server, host: string, port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  server.listen(port, host, () => resolve(""));
  return promise;
}
