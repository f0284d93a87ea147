// Delay: a slow TPM: a proxy before swtpm that keeps every answer for a while.
// Usage: bun test/tpm/delay.ts PATH MILLISECONDS prints the path of its own socket, and runs until
// its standard input ends.
// Neighbours: the figures of test/bench/tpm.ts; a process of its own, so that it shares no loop.
// Invariant: answers keep their order and bytes; one client at a time, as swtpm has it.

import { createConnection, createServer, type Server } from "node:net";

/** Serves at `path`, forwards to the socket `target`; answers `delayMs` later. */
export function startDelay(path: string, target: string, delayMs: number): Server {
  const server = createServer((client) => {
    const tpm = createConnection({ path: target });
    client.on("data", (chunk) => void tpm.write(chunk));
    tpm.on("data", (chunk) => {
      setTimeout(() => client.write(chunk), delayMs);
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
  const server = startDelay(path, target, Number(delayMs));
  server.once("listening", () => console.log(path));
  process.stdin.on("end", () => process.exit(0));
  process.stdin.resume();
}
