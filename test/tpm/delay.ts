// Delay: a slow TPM: a proxy before swtpm that keeps every answer for a while, and takes the time.
// Usage: bun test/tpm/delay.ts PATH MILLISECONDS prints the path of its own socket as JSON, runs
// until its standard input ends, and then prints what it has seen.
// Neighbours: the figures of test/bench/tpm; a process of its own, so that it shares no loop.
// Invariant: answers keep their order and bytes; one client at a time, as swtpm has it.

import { createConnection, createServer, type Server } from "node:net";

/** What went through. */
export interface Seen {
  commands: number;
  /** From each command to its answer, the time that it was kept included, ms. */
  busyMs: number;
}

/** Serves at `path`, forwards to the socket `target`; answers `delayMs` later. */
export function startDelay(path: string, target: string, delayMs: number, seen: Seen): Server {
  const server = createServer((client) => {
    const tpm = createConnection({ path: target });
    let sentMs = 0;
    const answer = (chunk: string | Uint8Array): void => {
      client.write(chunk);
      seen.commands += 1;
      seen.busyMs += performance.now() - sentMs;
    };
    client.on("data", (chunk) => {
      sentMs = performance.now();
      tpm.write(chunk);
    });
    tpm.on("data", (chunk) => {
      if (delayMs === 0) answer(chunk);
      else setTimeout(() => answer(chunk), delayMs);
    });
    client.on("close", () => tpm.destroy());
    tpm.on("close", () => client.destroy());
    client.on("error", () => tpm.destroy());
    tpm.on("error", () => client.destroy());
  });
  return server.listen(path);
}

if (import.meta.main) {
  const [target = "", delayMs = ""] = process.argv.slice(2);
  const path = `${target}.slow`;
  const seen: Seen = { commands: 0, busyMs: 0 };
  const server = startDelay(path, target, Number(delayMs), seen);
  server.once("listening", () => console.log(JSON.stringify({ path })));
  process.stdin.on("end", () => {
    console.log(JSON.stringify(seen));
    process.exit(0);
  });
  process.stdin.resume();
}
