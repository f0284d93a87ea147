// Strings: the peer's end of the line to the harness. Runs on Node and on Bun.
// Neighbours: `puppet.ts` is the other end; each peer program gives it its verbs.
// Invariant: one line of JSON for each answer and each event; an uncaught error ends the process.

import { createInterface } from "node:readline";

/** Carries out one call for one client. */
export type Verb = (client: string, facts: never) => unknown;

function write(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

interface Below {
  message?: string;
  code?: string | number;
  statusCode?: number;
}

interface Failure extends Error {
  transportError?: Below;
  innerError?: Below;
  response?: Below;
  cause?: Below;
  code?: string | number;
  responseBody?: unknown;
}

function text(body: unknown): string {
  return typeof body === "string" ? body : (JSON.stringify(body) ?? "");
}

function described(thrown: unknown): object {
  const error = thrown as Failure;
  const below = error.transportError ?? error.innerError ?? error.cause;
  return {
    name: error.name ?? typeof thrown,
    message: error.message ?? String(thrown),
    below: below?.message ?? String(below?.code ?? error.code ?? ""),
    status: error.response?.statusCode ?? 0,
    body: text(error.responseBody),
  };
}

/** Tells the harness of something that happened. */
export function tell(event: string, client: string, facts: object = {}): void {
  write({ event, client, facts });
}

/** Tells the harness of an error that nobody had asked for. */
export function tellError(client: string, error: unknown): void {
  tell("error", client, described(error));
}

/** Takes calls until stdin ends. */
export function perform(verbs: Readonly<Record<string, Verb>>): void {
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const { id, verb, client, facts } = JSON.parse(line);
    try {
      const value = await verbs[verb]!(client, facts as never);
      write({ id, value: value ?? null });
    } catch (error) {
      write({ id, error: described(error) });
    }
  });
}
