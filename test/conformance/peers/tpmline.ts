// Tpmline: the way from Microsoft's TPM library to a swtpm on a unix socket; the library's own
// ways lead to /dev/tpm0 and to another simulator. Neighbours: `registrant.ts` puts it in the
// place of those. Invariant: one command at a time; a response is handed on when it is whole.

import { createConnection, type Socket } from "node:net";

const HEAD_BYTES = 10;

type Done = (error: Error | null, response?: Buffer) => void;

/** A device as the library wants it. */
export class TpmLine {
  private socket: Socket | undefined;
  private received: Buffer = Buffer.alloc(0);
  private waiting: Done | undefined;

  constructor(private readonly path: string) {}

  connect(done: Done): Error | null {
    const socket = createConnection({ path: this.path });
    socket.once("connect", () => done(null));
    socket.on("error", (error) => this.waiting?.(error));
    socket.on("data", (chunk: Buffer) => this.onData(chunk));
    this.socket = socket;
    return null;
  }

  dispatchCommand(command: Buffer, done: Done): void {
    this.waiting = done;
    this.received = Buffer.alloc(0);
    this.socket!.write(command);
  }

  /** Resolves when the TPM is free for another. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.socket!.once("close", () => resolve());
      this.socket!.end();
    });
  }

  private onData(chunk: Buffer): void {
    this.received = Buffer.concat([this.received, chunk]);
    const isWhole =
      this.received.length >= HEAD_BYTES && this.received.length >= this.received.readUInt32BE(2);
    if (!isWhole) return;
    const done = this.waiting;
    this.waiting = undefined;
    done?.(null, this.received);
  }
}
