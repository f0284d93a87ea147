// Device: the chip behind /dev/tpmrm0, which the kernel shares out.
// Neighbours: the TPM port sends one command at a time; the kernel's resource manager frees what
// a connection has made when it is closed.
// Invariant: only threads of the pool touch the file while the TPM works, as poll, read and close
// all wait for it there; a file is closed after its last write has come back, never sooner; a file
// or disk that a mistyped path names is opened, seen to be none, and not written to.

import fs from "node:fs";
import type { Chip, ChipEvents } from "../core/effects.ts";
import { FRAME_BYTES_MAX } from "../kit/frame.ts";

/** The calls of node:fs that reach the device. */
export type Files = Pick<typeof fs, "open" | "fstatSync" | "write" | "readSync" | "close">;

interface Connection {
  /** -1 until it is open. */
  file: number;
  isBusy: boolean;
  isAbandoned: boolean;
}

const STORAGE = "no TPM but a file or a disk, left as it is; allowed: a device like /dev/tpmrm0";

/** A TPM behind a character device of the kernel. */
export class DeviceChip implements Chip {
  readonly isManaged = true;
  private connection: Connection | null = null;
  /** A connection whose command has not come back though nobody waits for it any more. */
  private stuck: Connection | null = null;
  private readonly response = new Uint8Array(FRAME_BYTES_MAX);

  /** @param path e.g. `/dev/tpmrm0` */
  constructor(
    private readonly events: ChipEvents,
    private readonly path: string,
    private readonly files: Files = fs,
  ) {}

  open(): void {
    this.abandon();
    const connection: Connection = { file: -1, isBusy: false, isAbandoned: false };
    this.connection = connection;
    if (this.stuck !== null) {
      // Another command would take another thread of the pool, and wait as well.
      queueMicrotask(() => this.close(connection, "the TPM still works on an earlier command"));
      return;
    }
    this.files.open(this.path, "r+", (error, file) => {
      if (error) return this.close(connection, codeOf(error));
      connection.file = file;
      if (connection.isAbandoned) return this.release(connection);
      if (this.isStorage(file)) return this.close(connection, STORAGE);
      this.events.onChipOpened();
    });
  }

  send(command: Uint8Array): void {
    const connection = this.connection;
    if (connection === null || connection.file < 0) return;
    connection.isBusy = true;
    // A copy: the pool reads it after this call has returned.
    this.files.write(connection.file, command.slice(), (error, written) => {
      connection.isBusy = false;
      if (connection.isAbandoned) return this.release(connection);
      if (error) return this.close(connection, codeOf(error));
      if (written < command.length) return this.close(connection, "a command was cut");
      this.receive(connection);
    });
  }

  abandon(): void {
    const connection = this.connection;
    if (connection === null) return;
    this.connection = null;
    connection.isAbandoned = true;
    if (connection.isBusy) this.stuck = connection;
    else if (connection.file >= 0) this.release(connection);
  }

  /** True where a command would overwrite what is kept there. Of an open file it takes no wait. */
  private isStorage(file: number): boolean {
    const status = this.files.fstatSync(file);
    return status.isFile() || status.isBlockDevice();
  }

  /** The kernel returns from the write when the TPM has answered, so this does not wait. */
  private receive(connection: Connection): void {
    let bytes = 0;
    try {
      bytes = this.files.readSync(connection.file, this.response);
    } catch (error) {
      return this.close(connection, codeOf(error));
    }
    if (bytes === 0) return this.close(connection, "no answer to read");
    this.events.onChipAnswer(this.response.subarray(0, bytes));
  }

  private close(connection: Connection, detail: string): void {
    if (this.connection !== connection) return;
    this.abandon();
    this.events.onChipClosed(`${this.path}: ${detail}`);
  }

  private release(connection: Connection): void {
    if (this.stuck === connection) this.stuck = null;
    // On the pool too: the kernel flushes sessions here, which the TPM may be slow with.
    this.files.close(connection.file, ignore);
  }
}

/** A file that cannot be closed is not ours any more either. */
function ignore(): void {}

/** What went wrong, with what to do about it where there is something. */
function codeOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case "ENOENT":
    case "ENODEV":
    case "ENXIO":
      return `${code}: there is no TPM; enable it in the firmware, or load its driver`;
    case "EACCES":
    case "EPERM":
      return `${code}: not allowed; be root, or in the file's group (tss: udev rule of tpm-udev)`;
    case "EBUSY":
      return `${code}: in use by another program; /dev/tpmrm0 can be shared, /dev/tpm0 cannot`;
    default:
      return code ?? message;
  }
}
