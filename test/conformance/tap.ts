// Tap: a relay between agent and hub that ends TLS on both sides, and so sees every byte.
// Neighbours: `judge` reads what it wrote down; `agent` has the cases.
// Invariant: bytes pass unchanged and in order, except where a case says otherwise; after `stop`
// no socket and no folder of it is left.

import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, connect as dial, type Server, type TLSSocket } from "node:tls";
import { credentials } from "../azure/server/authority.ts";
import { atEnd } from "./leftover.ts";

/** Some bytes, and when they came, ms of a clock that only goes forward. */
export interface Piece {
  readonly atMs: number;
  readonly bytes: Buffer;
}

/** One connection of the agent, both ways. */
export class Wire {
  /** From the agent. */
  readonly up: Piece[] = [];
  /** From the hub, as it went on to the agent. */
  readonly down: Piece[] = [];
  /** Who closed: the agent itself, or somebody else. */
  end: "" | "agent" | "other" = "";
  endMs = 0;

  constructor(
    readonly near: TLSSocket,
    readonly far: TLSSocket,
  ) {}

  /** Puts bytes into the stream to the agent that the hub has never sent; not written down. */
  inject(bytes: Uint8Array): void {
    this.near.write(bytes);
  }

  /** The cable is out. */
  cut(): void {
    if (this.end === "") this.end = "other";
    this.near.destroy();
    this.far.destroy();
  }
}

/** How bytes from the hub go on to the agent. */
export enum Flow {
  WHOLE,
  /** Each byte in a TLS record of its own. */
  DRIP,
  /** Not at all. */
  NONE,
}

/** The relay. */
export class Tap {
  readonly wires: Wire[] = [];
  flow = Flow.WHOLE;
  private readonly folder = mkdtempSync(join(tmpdir(), "azimuth-tap-"));
  readonly caFile: string;
  /** Ends it; it may be called again. */
  readonly stop: () => void;
  private readonly server: Server;

  /** To a hub on `port` of this machine whose authority is in `hubCaFile`. */
  private constructor(
    private readonly hubPort: number,
    private readonly hubCaFile: string,
  ) {
    const { certificate, key, caFile } = credentials(this.folder, [], "ec");
    this.caFile = caFile;
    this.server = createServer({ cert: certificate, key }, (near) => this.join(near));
    this.stop = atEnd(() => this.end());
  }

  static async open(ready: { mqttPort: number; caFile: string }): Promise<Tap> {
    const tap = new Tap(ready.mqttPort, ready.caFile);
    tap.server.listen(0, "127.0.0.1");
    await once(tap.server, "listening");
    return tap;
  }

  get port(): number {
    return (this.server.address() as { port: number }).port;
  }

  /** The connection that was made last. */
  get last(): Wire {
    return this.wires[this.wires.length - 1]!;
  }

  private end(): void {
    for (const wire of this.wires) wire.cut();
    this.server.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private join(near: TLSSocket): void {
    const ca = readFileSync(this.hubCaFile);
    const far = dial({ host: "127.0.0.1", port: this.hubPort, ca, servername: "localhost" });
    const wire = new Wire(near, far);
    this.wires.push(wire);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on("error", () => socket.destroy());
    }
    near.on("data", (bytes: Buffer) => {
      wire.up.push({ atMs: performance.now(), bytes });
      far.write(bytes);
    });
    far.on("data", (bytes: Buffer) => this.onDown(wire, bytes));
    near.on("close", () => {
      if (wire.end === "") wire.end = "agent";
      wire.endMs = performance.now();
      far.end();
    });
    far.on("close", () => {
      if (wire.end === "") wire.end = "other";
      near.end();
    });
  }

  private onDown(wire: Wire, bytes: Buffer): void {
    if (this.flow === Flow.NONE) return;
    wire.down.push({ atMs: performance.now(), bytes });
    if (this.flow === Flow.WHOLE) wire.near.write(bytes);
    else for (const byte of bytes) wire.near.write(Buffer.of(byte));
  }
}
