// Puppet: the harness's end of a peer process: calls go in as lines of JSON, answers and events
// come out. Neighbours: `peers/strings.ts` is the other end; `cast` builds the programs.
// Invariant: a call is answered, refused, or rejected when the process ends; no process is left.

import { until } from "../site.ts";
import { atEnd } from "./leftover.ts";

/** An error of the peer's library as it showed itself there. */
export class PeerError extends Error {
  constructor(
    name: string,
    message: string,
    /** What lies below it: the library's own `transportError`, `innerError` or response. */
    readonly below: string,
    /** HTTP status, 0 when there is none. */
    readonly status: number,
    /** Body of the HTTP answer. */
    readonly body: string,
  ) {
    super(message);
    this.name = name;
  }
}

/** Something that happened in the peer without being asked. */
export interface Happening {
  readonly event: string;
  /** Which of the peer's clients it happened to. */
  readonly client: string;
  readonly facts: Record<string, unknown>;
}

interface Call {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** A peer process. */
export class Puppet {
  readonly happenings: Happening[] = [];
  private readonly calls = new Map<number, Call>();
  private count = 0;
  private errors = "";
  private readonly kill: () => void;
  private readonly child: Bun.Subprocess<"pipe", "pipe", "pipe">;

  constructor(command: readonly string[], environment: Record<string, string> = {}) {
    this.child = Bun.spawn([...command], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...environment },
    });
    this.kill = atEnd(() => this.child.kill("SIGKILL"));
    void this.listen();
    void this.collect();
    void this.child.exited.then((code) => {
      const text = `the peer ended with ${code}\n${this.errors.slice(-2000)}`;
      for (const call of this.calls.values()) call.reject(new Error(text));
      this.calls.clear();
    });
  }

  private get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Calls a verb of the peer for one of its clients. */
  call<T = unknown>(verb: string, client: string, facts: object = {}): Promise<T> {
    if (!this.isAlive) return Promise.reject(new Error("the peer has ended before"));
    const id = ++this.count;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.calls.set(id, { resolve: resolve as (value: unknown) => void, reject });
    this.child.stdin.write(`${JSON.stringify({ id, verb, client, facts })}\n`);
    this.child.stdin.flush();
    return promise;
  }

  /** Waits for an event of a client that `isMeant`. */
  seen(
    event: string,
    client: string,
    isMeant: (facts: Record<string, unknown>) => boolean = () => true,
  ): Promise<Record<string, unknown>> {
    return until(`${event} of ${client} at the peer`, () => {
      return this.of(event, client).find(isMeant);
    });
  }

  /** Facts of all events of one kind so far. */
  of(event: string, client: string): Record<string, unknown>[] {
    return this.happenings
      .filter((each) => each.event === event && each.client === client)
      .map((each) => each.facts);
  }

  async stop(): Promise<void> {
    this.kill();
    await this.child.exited;
  }

  private async listen(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.child.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.onLine(line);
    }
  }

  private async collect(): Promise<void> {
    for await (const chunk of this.child.stderr) this.errors += new TextDecoder().decode(chunk);
  }

  private onLine(line: string): void {
    // A library may print to stdout as well.
    if (!line.startsWith("{")) return;
    const said = JSON.parse(line);
    if (said.event !== undefined) {
      this.happenings.push(said);
      return;
    }
    const call = this.calls.get(said.id);
    this.calls.delete(said.id);
    if (said.error === undefined) call?.resolve(said.value);
    else {
      const { name, message, below, status, body } = said.error;
      call?.reject(new PeerError(name, message, below, status, body));
    }
  }
}

/** Waits for a rejection and gives it; throws when the promise is fulfilled. */
export async function refusal(promise: Promise<unknown>): Promise<PeerError> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    if (error instanceof PeerError) return error;
    throw error;
  }
  throw new Error(`not refused: ${JSON.stringify(value)}`);
}
