// Swtpm: a software TPM of a test's own, blank or with the state of an earlier one.
// Neighbours: `client` talks to it directly; tests of the TPM port talk to it through a chip.
// Invariant: it listens on a socket in its own folder or on a free port of loopback, and is ended
// by its process id; its folder goes with it.

import { mkdtempSync, rmSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const READY_MS = 10_000;
const PORT_TRIES = 5;

/** Where it listens, in the words of the chips. */
export type Place = { readonly host: string; readonly port: number } | { readonly path: string };

/** A running swtpm. */
export class Swtpm {
  private constructor(
    readonly folder: string,
    readonly place: Place,
    private process: Bun.Subprocess<"ignore", "ignore", "ignore">,
    private readonly command: readonly string[],
  ) {}

  /** A blank TPM that listens on a unix socket. */
  static async unix(): Promise<Swtpm> {
    const folder = mkdtempSync(join(tmpdir(), "azimuth-tpm-"));
    const path = join(folder, "socket");
    return Swtpm.start(folder, { path }, [`type=unixio,path=${path}`], `unixio,path=${path}.ctrl`);
  }

  /** A blank TPM on a free port of loopback, its control channel on the next one. */
  static async tcp(): Promise<Swtpm> {
    for (let tries = 1; ; tries++) {
      const folder = mkdtempSync(join(tmpdir(), "azimuth-tpm-"));
      const port = await freePort();
      const place = { host: "127.0.0.1", port };
      try {
        return await Swtpm.start(folder, place, [`type=tcp,port=${port}`], `tcp,port=${port + 1}`);
      } catch (error) {
        rmSync(folder, { recursive: true, force: true });
        if (tries === PORT_TRIES) throw error;
      }
    }
  }

  private static async start(
    folder: string,
    place: Place,
    server: readonly string[],
    control: string,
  ): Promise<Swtpm> {
    const state = `dir=${folder},mode=0600`;
    const words = ["socket", "--tpm2", "--tpmstate", state, "--server", ...server];
    // "not-need-init": it works at once, as a chip that has power, and still wants its Startup.
    const flags = ["--ctrl", `type=${control}`, "--flags", "not-need-init"];
    // A test run that is cut off stops nothing: the kernel does it then.
    const command = ["setpriv", "--pdeathsig", "KILL", "swtpm", ...words, ...flags];
    const swtpm = new Swtpm(folder, place, spawn(command), command);
    await swtpm.ready();
    return swtpm;
  }

  /** Cuts its power: nothing is written any more. */
  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
  }

  /** Gives it power again after `kill`, with the state that it has on disk. */
  async restart(): Promise<void> {
    this.process = spawn(this.command);
    await this.ready();
  }

  /** Ends it and removes its folder. */
  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async ready(): Promise<void> {
    const deadlineMs = performance.now() + READY_MS;
    while (!(await isListening(this.place))) {
      if (this.process.exitCode !== null) throw new Error("swtpm did not start");
      if (performance.now() > deadlineMs) throw new Error("swtpm does not listen");
      await Bun.sleep(5);
    }
  }
}

function spawn(command: readonly string[]): Bun.Subprocess<"ignore", "ignore", "ignore"> {
  return Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
}

/** Whether somebody accepts a connection there. */
export function isListening(place: Place): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection("path" in place ? { path: place.path } : place);
  socket.once("connect", () => {
    socket.destroy();
    resolve(true);
  });
  socket.once("error", () => resolve(false));
  return promise;
}

/** A port that is free, and the one after it too. */
async function freePort(): Promise<number> {
  for (;;) {
    const first = await listening(0);
    const { port } = first.address() as { port: number };
    const second = await listening(port + 1).catch(() => null);
    first.close();
    second?.close();
    if (second !== null) return port;
  }
}

function listening(port: number): Promise<ReturnType<typeof createServer>> {
  const { promise, resolve, reject } = Promise.withResolvers<ReturnType<typeof createServer>>();
  const server = createServer();
  server.once("error", reject);
  server.listen(port, "127.0.0.1", () => resolve(server));
  return promise;
}
