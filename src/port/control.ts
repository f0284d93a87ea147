// The control socket: `azimuth status`, `connect`, `led` … reach the running agent through it.
// Neighbours: the turn gets the words and drains REPLY effects here; main asks as a client.
// Invariant: the socket never exists with a mode other than 0600; a client costs one slot until
// it has its reply; whatever a client sends, it gets a refusal or a reply, and never a crash. Of
// agents that start together one gets the path, and none removes a socket of another.

import { lstatSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import type { Socket, UnixSocketListener } from "bun";
import type { Control } from "../core/effects.ts";
import { CONTROL_CLIENTS_MAX, CONTROL_LINE_BYTES_MAX } from "../limits.ts";

const IDLE_MS = 10_000;
/** Longest wait for others that start at this moment. */
const TURN_MS = 2_000;
/** sun_path holds 108 bytes with its final zero (unix(7)). */
const PATH_BYTES_MAX = 107;
const REPLY_BYTES_MAX = 4 * 1024 * 1024;
const LINE_FEED = 0x0a;

/** What the control socket tells the turn. */
export interface ControlEvents {
  /** `words` is what followed `azimuth` on the command line; answer with `reply(client, …)`. */
  onCommand(client: number, words: string[]): void;
}

/** A reply as the asking side gets it. */
export interface Answer {
  readonly ok: boolean;
  readonly text: string;
}

enum State {
  READING,
  WAITING,
  REPLYING,
}

class Client {
  state = State.READING;
  readonly line = Buffer.alloc(CONTROL_LINE_BYTES_MAX);
  lineBytes = 0;
  reply: Uint8Array = new Uint8Array(0);
  sentBytes = 0;
  idle: Timer | null = null;

  constructor(
    readonly number: number,
    readonly socket: Socket<Client>,
    private readonly idleMs: number,
  ) {}

  /** Sends `line`, the last thing that this client hears. */
  answer(line: Uint8Array): void {
    this.state = State.REPLYING;
    this.reply = line;
    this.await();
    this.flush();
  }

  /** Writes what the socket takes; closes after the last byte. */
  flush(): void {
    const left = this.reply.length - this.sentBytes;
    if (left === 0) return;
    const taken = this.socket.write(this.reply, this.sentBytes, left);
    this.sentBytes += Math.max(taken, 0);
    if (this.sentBytes === this.reply.length) this.socket.end();
  }

  /** (Re)starts the time that this client has left. */
  await(): void {
    this.rest();
    this.idle = setTimeout(() => this.socket.terminate(), this.idleMs);
  }

  rest(): void {
    if (this.idle !== null) clearTimeout(this.idle);
    this.idle = null;
  }
}

/** The server side, one request a connection. */
export class ControlServer implements Control {
  private listener: UnixSocketListener<Client> | null = null;
  private path = "";
  private identity = "";
  private readonly clients = new Map<number, Client>();
  private nextNumber = 0;

  /** @param idleMs how long a client may take to send its line, and to take its reply. */
  constructor(
    private readonly events: ControlEvents,
    private readonly idleMs = IDLE_MS,
  ) {}

  /** Listens at `path`; "" or one line that says why not. Replaces the socket of a dead agent. */
  async open(path: string): Promise<string> {
    const name = `control-socket ${path}`;
    if (Buffer.byteLength(path) > PATH_BYTES_MAX) {
      return `${name}: longer than ${PATH_BYTES_MAX} bytes`;
    }
    if (kind(path) === "other") return `${name}: exists and is not a socket`;
    const before = process.umask(0o022);
    try {
      mkdirSync(parent(path), { recursive: true, mode: 0o755 });
    } catch (error) {
      return unwritable(name, error);
    } finally {
      process.umask(before);
    }
    const turn = await takeTurn(path);
    try {
      const isTaken = kind(path) === "socket" && (await isAnswering(path));
      return isTaken ? `azimuth is already running (${path})` : this.listen(path, name);
    } finally {
      turn?.stop(true);
    }
  }

  /** Sends the reply and closes; a client that has gone is passed over. */
  reply(number: number, ok: boolean, text: string): void {
    const client = this.clients.get(number);
    if (client === undefined || client.state === State.REPLYING) return;
    client.answer(lineOf(ok, text));
  }

  /** Stops listening, drops the clients and removes the socket file, if it is still this one's. */
  close(): void {
    for (const client of this.clients.values()) client.rest();
    this.clients.clear();
    // While it still answers nobody else replaces it.
    if (this.identity !== "" && identityOf(this.path) === this.identity) {
      rmSync(this.path, { force: true });
    }
    this.identity = "";
    this.listener?.stop(true);
    this.listener = null;
  }

  private listen(path: string, name: string): string {
    // Bun removes the name it was bound to when it stops, whoever has that name by then: so that
    // is a name of this process alone, and the socket moves to its path in one step.
    const own = `${path}.${process.pid}`;
    // Set before bind: a socket that is made narrower afterwards was open for a moment.
    const before = process.umask(0o177);
    try {
      rmSync(own, { force: true });
      this.listener = Bun.listen<Client>({
        unix: own,
        // A client may shut its writing side once the request is out.
        allowHalfOpen: true,
        socket: {
          open: (socket) => this.onOpen(socket),
          data: (socket, chunk) => this.onData(socket.data, chunk),
          drain: (socket) => socket.data.flush(),
          end: (socket) => this.onEnd(socket.data),
          close: (socket) => this.onClose(socket.data),
        },
      });
      this.identity = identityOf(own);
      this.path = path;
      renameSync(own, path);
      return "";
    } catch (error) {
      this.close();
      return unwritable(name, error);
    } finally {
      process.umask(before);
    }
  }

  private onOpen(socket: Socket<Client>): void {
    const client = new Client(this.nextNumber, socket, this.idleMs);
    this.nextNumber = (this.nextNumber + 1) & 0x3fff_ffff;
    socket.data = client;
    if (this.clients.size >= CONTROL_CLIENTS_MAX) {
      client.answer(lineOf(false, `more than ${CONTROL_CLIENTS_MAX} control clients at once`));
      return;
    }
    this.clients.set(client.number, client);
    client.await();
  }

  private onData(client: Client, chunk: Uint8Array): void {
    if (client.state !== State.READING) return;
    const end = chunk.indexOf(LINE_FEED);
    const part = end < 0 ? chunk : chunk.subarray(0, end);
    if (client.lineBytes + part.length > CONTROL_LINE_BYTES_MAX) {
      this.reply(client.number, false, `a request has at most ${CONTROL_LINE_BYTES_MAX} bytes`);
      return;
    }
    client.line.set(part, client.lineBytes);
    client.lineBytes += part.length;
    if (end >= 0) this.onLine(client);
  }

  private onLine(client: Client): void {
    const words = wordsOf(client.line.subarray(0, client.lineBytes));
    if (words === null) {
      this.reply(client.number, false, "a request is one line of JSON: an array of words");
      return;
    }
    client.state = State.WAITING;
    client.rest();
    this.events.onCommand(client.number, words);
  }

  private onEnd(client: Client): void {
    if (client.state === State.READING) client.socket.end();
  }

  private onClose(client: Client): void {
    client.rest();
    this.clients.delete(client.number);
  }
}

/** Asks the agent at `path`; every failure is an answer with `ok` false that says what to do. */
export function ask(path: string, words: readonly string[], timeoutMs: number): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  let asking: Socket | null = null;
  const finish = (answer: Answer) => {
    clearTimeout(timer);
    // First, for terminate reports the close from inside its own call.
    resolve(answer);
    asking?.terminate();
  };
  const timer = setTimeout(() => {
    finish({ ok: false, text: `azimuth gave no answer within ${timeoutMs} ms (${path})` });
  }, timeoutMs);
  const request = Buffer.from(`${JSON.stringify(words)}\n`);
  let sentBytes = 0;
  const send = (socket: Socket) => {
    sentBytes += Math.max(socket.write(request, sentBytes, request.length - sentBytes), 0);
  };
  const connected = Bun.connect({
    unix: path,
    socket: {
      open(socket) {
        asking = socket;
        send(socket);
      },
      drain: send,
      data(_socket, chunk) {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > REPLY_BYTES_MAX) finish({ ok: false, text: "the answer is too long" });
        else if (chunk.includes(LINE_FEED)) finish(answerOf(Buffer.concat(chunks)));
      },
      close: () => finish({ ok: false, text: `azimuth ended without an answer (${path})` }),
      connectError: (_socket, error) => finish({ ok: false, text: absence(path, codeOf(error)) }),
    },
  });
  connected.catch((error) => finish({ ok: false, text: absence(path, codeOf(error)) }));
  return promise;
}

function absence(path: string, code: string): string {
  switch (code) {
    case "ENOENT":
    case "ECONNREFUSED":
      return `no azimuth is running (${path})`;
    case "EACCES":
      return `no permission to ask azimuth (${path}); use the agent's user or root`;
    default:
      return `cannot reach azimuth (${path}): ${code}`;
  }
}

function answerOf(bytes: Buffer): Answer {
  try {
    const answer = JSON.parse(bytes.toString());
    if (typeof answer?.ok === "boolean" && typeof answer?.text === "string") return answer;
  } catch {
    // said below, as for JSON of another shape
  }
  return { ok: false, text: "the answer is not one of azimuth's" };
}

function lineOf(ok: boolean, text: string): Uint8Array {
  return Buffer.from(`${JSON.stringify({ ok, text })}\n`);
}

/** The words of a request, null when it is not an array of 1 or more strings. */
function wordsOf(line: Uint8Array): string[] | null {
  try {
    const words = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line));
    const isGood = Array.isArray(words) && words.length > 0;
    return isGood && words.every((word) => typeof word === "string") ? words : null;
  } catch {
    return null;
  }
}

function kind(path: string): "none" | "socket" | "other" {
  try {
    return lstatSync(path).isSocket() ? "socket" : "other";
  } catch {
    return "none";
  }
}

/** Whether a process accepts at this socket; only a refusal proves that none does. */
async function isAnswering(path: string): Promise<boolean> {
  try {
    const socket = await Bun.connect({ unix: path, socket: { data() {} } });
    socket.terminate();
    return true;
  } catch (error) {
    const code = codeOf(error);
    return code !== "ECONNREFUSED" && code !== "ENOENT";
  }
}

/**
 * Waits until no other process is between its look at `path` and its own socket there. The turn is
 * a socket in the abstract namespace (unix(7)), which the kernel frees however its process ends.
 * Null, after a while: a stranger that sits on the name must not keep the agent from starting.
 */
async function takeTurn(path: string): Promise<UnixSocketListener<undefined> | null> {
  // The folder's identity, for a path may be written in many ways.
  const place = `${identityOf(parent(path))} ${path.slice(path.lastIndexOf("/") + 1)}`;
  const unix = `\0azimuth-${Bun.hash(place).toString(16)}`;
  const untilMs = performance.now() + TURN_MS;
  for (;;) {
    try {
      return Bun.listen({ unix, socket: { data() {} } });
    } catch (error) {
      if (codeOf(error) !== "EADDRINUSE" || performance.now() > untilMs) return null;
      await Bun.sleep(5);
    }
  }
}

/** Device and inode behind `path`, "" when there is nothing. */
function identityOf(path: string): string {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? "" : `${found.dev}:${found.ino}`;
}

function unwritable(name: string, error: unknown): string {
  return `${name}: ${codeOf(error)}; its folder must be writable for the agent`;
}

function parent(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash) || "/";
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
