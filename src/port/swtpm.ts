// Swtpm: the chip behind a socket, where a software TPM answers plain commands.
// Neighbours: the TPM port sends one command at a time; swtpm serves one client at a time.
// Invariant: what comes is cut by the length that its head tells; bytes that nobody asked for
// end the connection, so an answer is never taken for another command's.

import type { Chip, ChipEvents } from "../core/effects.ts";
import { FRAME_BYTES_MAX, FRAME_UNSOUND, frameBytes } from "../kit/frame.ts";

/** Where swtpm listens: a TCP port, or the path of a unix socket. */
export type Place = { readonly host: string; readonly port: number } | { readonly path: string };

interface Connection {
  readonly owner: SocketChip;
  /** Null until the socket is there. */
  socket: Bun.Socket<Connection> | null;
  /** What an event of ours threw: Bun hands it to the handler for socket errors. */
  thrown: unknown;
}

/** A TPM behind a TCP or unix socket. */
export class SocketChip implements Chip {
  /** Objects and sessions live on in the TPM when the connection ends. */
  readonly isManaged = false;
  private connection: Connection | null = null;
  private readonly response = new Uint8Array(FRAME_BYTES_MAX);
  private responseBytes = 0;
  private isAsked = false;
  /** What the socket has not taken yet. */
  private rest: Uint8Array | null = null;

  constructor(
    private readonly events: ChipEvents,
    private readonly place: Place,
  ) {}

  open(): void {
    this.abandon();
    const connection: Connection = { owner: this, socket: null, thrown: null };
    this.connection = connection;
    // A path that is no address throws at once; what the promise tells, connectError tells too.
    try {
      connected(this.place, connection).catch(ignore);
    } catch (error) {
      queueMicrotask(() => this.onClose(connection, textOf(error)));
    }
  }

  send(command: Uint8Array): void {
    const socket = this.connection?.socket;
    if (!socket) return;
    this.isAsked = true;
    this.responseBytes = 0;
    const taken = Math.max(socket.write(command), 0);
    // A copy: the command is valid during this call only.
    if (taken < command.length) this.rest = command.slice(taken);
  }

  abandon(): void {
    const connection = this.connection;
    this.connection = null;
    this.isAsked = false;
    this.rest = null;
    connection?.socket?.terminate();
  }

  onOpen(connection: Connection, socket: Bun.Socket<Connection>): void {
    if (this.connection !== connection) {
      socket.terminate();
      return;
    }
    connection.socket = socket;
    socket.setNoDelay(true);
    this.events.onChipOpened();
  }

  onData(connection: Connection, chunk: Uint8Array): void {
    if (this.connection !== connection) return;
    const room = FRAME_BYTES_MAX - this.responseBytes;
    if (!this.isAsked || chunk.length > room) return this.close("bytes that nobody asked for");
    this.response.set(chunk, this.responseBytes);
    this.responseBytes += chunk.length;
    const bytes = frameBytes(this.response, this.responseBytes);
    if (bytes === FRAME_UNSOUND) return this.close("no TPM answers there");
    if (bytes === 0 || this.responseBytes < bytes) return;
    if (this.responseBytes > bytes) return this.close("bytes that nobody asked for");
    this.isAsked = false;
    this.events.onChipAnswer(this.response.subarray(0, bytes));
  }

  onDrain(connection: Connection): void {
    const { rest } = this;
    if (this.connection !== connection || rest === null) return;
    const taken = Math.max(connection.socket!.write(rest), 0);
    this.rest = taken < rest.length ? rest.subarray(taken) : null;
  }

  onClose(connection: Connection, detail: string): void {
    if (this.connection !== connection) return;
    this.close(detail);
  }

  private close(detail: string): void {
    this.abandon();
    this.events.onChipClosed(`${nameOf(this.place)}: ${detail}`);
  }
}

const HANDLERS: Bun.SocketHandler<Connection> = {
  open(socket) {
    try {
      socket.data.owner.onOpen(socket.data, socket);
    } catch (error) {
      socket.data.thrown = error;
      throw error;
    }
  },
  data(socket, chunk) {
    try {
      socket.data.owner.onData(socket.data, chunk);
    } catch (error) {
      socket.data.thrown = error;
      throw error;
    }
  },
  drain(socket) {
    socket.data.owner.onDrain(socket.data);
  },
  error(socket, error) {
    // A broken assertion must end the process.
    if (socket.data.thrown === error) throw error;
    socket.data.owner.onClose(socket.data, textOf(error));
  },
  close(socket, error) {
    socket.data.owner.onClose(socket.data, error ? textOf(error) : "closed by the TPM");
  },
  connectError(socket, error) {
    // Bun 1.4.5 finds out about a unix socket inside the call to connect.
    queueMicrotask(() => socket.data.owner.onClose(socket.data, textOf(error)));
  },
};

function connected(place: Place, data: Connection): Promise<unknown> {
  const options = { data, socket: HANDLERS };
  return "path" in place
    ? Bun.connect({ ...options, unix: place.path })
    : Bun.connect({ ...options, hostname: place.host, port: place.port });
}

/** The promise of Bun.connect tells nothing that the handlers do not tell. */
function ignore(): void {}

function nameOf(place: Place): string {
  return "path" in place ? place.path : `${place.host}:${place.port}`;
}

/** What went wrong, with what to do about it where there is something. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  switch (code) {
    case "ENOENT":
    case "ECONNREFUSED":
      return `${code}: swtpm does not listen there; start it`;
    case "EACCES":
    case "EPERM":
      return `${code}: not allowed; its socket must be open to this account`;
    default:
      return code ?? error.message;
  }
}
