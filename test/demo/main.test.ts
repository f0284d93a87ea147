// Tests of main: the demonstration as a process, with and without a terminal.
// Neighbours: everything beside this file.
// Invariant: each run has a temporary folder of its own, in which it must leave nothing; every
// process is found through the one that the test started, and ended by its id alone.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { libraryPath } from "../tpm/library.ts";

const SCRIPT = join(import.meta.dir, "main.ts");
const ROOT = resolve(import.meta.dir, "../..");
/** Generous: a whole story takes about 8 s on a machine that has nothing else to do. */
const TEST_MS = 90_000;

beforeAll(() => {
  // What `make demo` has made before it starts the story.
  libraryPath();
});

const SAS = { ENDPOINT: "sas" };
const folders: string[] = [];
const runs: Run[] = [];
afterAll(async () => {
  for (const run of runs) await run.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** One demonstration. */
class Run {
  output = "";
  readonly folder = mkdtempSync(join(tmpdir(), "azd-"));
  readonly process: Bun.Subprocess;
  private readonly decoder = new TextDecoder();
  private wake: () => void = () => {};

  /** @param terminal TERM of a terminal of 80 by 24, "" for pipes */
  constructor(
    words: readonly string[],
    terminal = "",
    environment: Readonly<Record<string, string>> = {},
  ) {
    folders.push(this.folder);
    runs.push(this);
    const base = { ...process.env, TMPDIR: this.folder, ENDPOINT: "", DEMO_LED: "", NO_COLOR: "" };
    const env = { ...base, TERM: terminal, LC_ALL: "C.UTF-8", ...environment };
    const command = [process.execPath, SCRIPT, ...words];
    if (terminal === "") {
      const child = Bun.spawn(command, { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
      this.process = child;
      void this.read(child.stdout);
      void this.read(child.stderr);
      return;
    }
    const data = (_terminal: unknown, bytes: Uint8Array): void => this.take(bytes);
    this.process = Bun.spawn(command, { env, terminal: { cols: 80, rows: 24, data } });
  }

  type(text: string): void {
    this.process.terminal?.write(text);
  }

  /** Resolves when the output holds `text`, or throws with the output when the process ends. */
  async until(text: string): Promise<void> {
    const ended = this.process.exited.then(() => true);
    while (!this.output.includes(text)) {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      this.wake = () => resolve(false);
      const isOver = await Promise.race([promise, ended]);
      if (isOver && !this.output.includes(text)) throw new Error(`no ${text} in: ${this.output}`);
    }
  }

  /** Ids of the processes that it started, by a part of their command lines. */
  children(part: string): number[] {
    const { pid } = this.process;
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return list
      .split(" ")
      .filter((id) => id !== "" && commandLine(Number(id)).includes(part))
      .map(Number);
  }

  /** What it left in its temporary folder. */
  leftovers(): string[] {
    return readdirSync(this.folder).filter((name) => name.startsWith("azimuth-"));
  }

  async stop(): Promise<void> {
    if (this.process.exitCode === null) this.process.kill("SIGTERM");
    await this.process.exited;
  }

  private async read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const bytes of stream) this.take(bytes);
  }

  private take(bytes: Uint8Array): void {
    this.output += this.decoder.decode(bytes, { stream: true });
    this.wake();
  }
}

/** The command line of a process with blanks between its words; "" when it has gone. */
function commandLine(id: number): string {
  try {
    return readFileSync(`/proc/${id}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

/** Local Azure and the agent, and the TPM where there is one. */
function childrenOf(run: Run): number[] {
  return [...run.children(ROOT), ...run.children(`path=${run.folder}`)];
}

function expectGone(ids: readonly number[], count: number): void {
  expect(ids.length).toBe(count);
  for (const id of ids) expect(commandLine(id)).toBe("");
}

const SECRETS = /SharedAccessKey|SharedAccessSignature|\x1b/;

/** What the two stories have in common: how the lines of the gateway's use end. */
function expectUse(lines: readonly string[]): void {
  expect(lines[1]).toMatch(/: lamp lit after .*, reported {"value":true,"ac":200}$/);
  expect(lines[2]).toMatch(/: lamp dark after .*, reported {"value":false,"ac":200}$/);
  expect(lines[4]).toMatch(/ 0 of \d+ lost, \d+ twice$/);
  expect(lines[5]).toContain('"ac":400');
}

test.concurrent(
  "the story of the TPM is seen, a line a step, one for what is typed and one more",
  async () => {
    const run = new Run([]);
    expect([await run.process.exited, run.output.match(/^FAIL/m)]).toEqual([0, null]);
    const lines = run.output.trimEnd().split("\n");
    const folder = /swtpm:(\S+)\/tpm /.exec(run.output)?.[1];
    expect(folder).toStartWith(run.folder);
    expect(lines.splice(2, 1)).toEqual([
      `     $ azimuth tpm --enrollment --device-id gateway-1 --tpm swtpm:${folder}/tpm ` +
        `| azure enroll --tpm - --data ${folder}/azure`,
    ]);
    expect(lines.map((line) => line.slice(0, 6).trimEnd())).toEqual([
      ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 1].map((digit) => `ok   ${digit}`),
      "demo:",
    ]);
    expect(lines[1]).toContain("it holds no key");
    expect(lines[2]).toMatch(
      /^ok {3}3 TPM enrolled: .* for gateway-1, registration id [a-z2-7]{52}$/,
    );
    expect(lines[3]).toMatch(
      /: registered after .*, hub let gateway-1 in after .*TLS on the wire$/,
    );
    expectUse(lines.slice(4));
    expect(lines[10]).toMatch(
      /^ok {3}11 second start: hub let gateway-1 in after .*, DPS was not asked,/,
    );
    expect(lines[11]).toBe("demo: 11 of 11 steps seen");
    expect(run.output).not.toMatch(SECRETS);
    expect(run.leftovers()).toEqual([]);
  },
  TEST_MS,
);

test.concurrent(
  "the story of the connection string is seen, a line a step and one more",
  async () => {
    const run = new Run([], "", SAS);
    expect([await run.process.exited, run.output.match(/^FAIL/m)]).toEqual([0, null]);
    const lines = run.output.trimEnd().split("\n");
    expect(lines.map((line) => line.slice(0, 6))).toEqual([
      ...[1, 2, 3, 4, 5, 6, 7, 8].map((number) => `ok   ${number}`),
      "demo: ",
    ]);
    expectUse(lines.slice(2));
    expect(lines[8]).toBe("demo: 8 of 8 steps seen");
    expect(run.output).not.toMatch(SECRETS);
    expect(run.leftovers()).toEqual([]);
  },
  TEST_MS,
);

test.concurrent(
  "a lamp that cannot be written fails its step, with both logs",
  async () => {
    const run = new Run(["--lamp", "/nowhere/at/all/LED1"], "", SAS);
    expect(await run.process.exited).toBe(1);
    expect(run.output).toContain("FAIL 4 desired LED1=true\n");
    expect(run.output).toContain("expected: lamp lit, reported with ac 200");
    expect(run.output).toMatch(/seen: lamp absent, .*ENOENT/);
    expect(run.output).toMatch(/log of the agent:\n +\d{4}-[\s\S]*log of local Azure:\n +\d{4}-/);
    expect(run.output.trimEnd()).toEndWith("demo: 3 of 8 steps seen");
    expect(run.output).not.toMatch(/SharedAccessKey|SharedAccessSignature/);
    expect(run.leftovers()).toEqual([]);
  },
  TEST_MS,
);

for (const [signal, code, endpoint, count] of [
  ["SIGTERM", 143, "tpm", 3],
  ["SIGINT", 130, "sas", 2],
] as const) {
  test.concurrent(
    `${signal} ends the children and removes the folder`,
    async () => {
      const run = new Run([], "", { ENDPOINT: endpoint });
      await run.until(`ok   ${endpoint === "tpm" ? 4 : 2}`);
      const children = childrenOf(run);
      run.process.kill(signal);
      expect(await run.process.exited).toBe(code);
      expectGone(children, count);
      expect(run.leftovers()).toEqual([]);
    },
    TEST_MS,
  );
}

for (const [script, name, endpoint, count] of [
  ["src/main.ts", "the agent", "sas", 2],
  ["azure/main.ts", "local Azure", "sas", 2],
  ["swtpm socket", "the TPM", "tpm", 3],
] as const) {
  test.concurrent(
    `when ${name} dies the others are ended, and the step says so`,
    async () => {
      const run = new Run([], "", { ENDPOINT: endpoint });
      await run.until(`ok   ${endpoint === "tpm" ? 4 : 2}`);
      const children = childrenOf(run);
      const [victim] = run.children(script);
      process.kill(victim!, "SIGKILL");
      expect(await run.process.exited).toBe(1);
      expect(run.output).toContain(`${name} ended by itself with signal SIGKILL`);
      expectGone(children, count);
      expect(run.leftovers()).toEqual([]);
    },
    TEST_MS,
  );
}

test.concurrent(
  "on a terminal q, Ctrl-C and Ctrl-D give it back as it was",
  async () => {
    for (const key of ["q", "\x03", "\x04"]) {
      const run = new Run([], "xterm", SAS);
      await run.until("agent starts: ");
      const children = childrenOf(run);
      run.type(key);
      expect(await run.process.exited).toBe(0);
      expect(run.output).toStartWith("\x1b[?1049h");
      const after = run.output.slice(run.output.lastIndexOf("\x1b[?1049l"));
      expect(after).toStartWith("\x1b[?1049l\x1b[?25h");
      expect(after).toContain("of 8 steps seen");
      expectGone(children, 2);
      expect(run.leftovers()).toEqual([]);
    }
  },
  TEST_MS,
);

test.concurrent(
  "a terminal ended by a signal is given back, too; NO_COLOR is respected",
  async () => {
    const run = new Run([], "vt220", { NO_COLOR: "1" });
    await run.until("| azure enroll --tpm -");
    await run.until("TPM signs, registered");
    run.process.kill("SIGTERM");
    expect(await run.process.exited).toBe(143);
    // A terminal with one screen is left below the picture.
    expect(run.output).not.toContain("\x1b[?1049");
    expect(run.output).toMatch(/\x1b\[24;1H\r\r?\n\x1b\[\?25h/);
    expect(run.output).not.toMatch(/\x1b\[[1-9][0-9;]*m/);
    expect(run.leftovers()).toEqual([]);
  },
  TEST_MS,
);

test.concurrent(
  "a terminal that cannot be drawn on gets lines, and takes commands in lines",
  async () => {
    const run = new Run([], "dumb");
    await run.until("11 of 11 steps seen");
    await run.until("> ");
    run.type("on\n");
    await run.until("ok   desired LED1=true: lamp lit");
    run.type("nonsense\n");
    await run.until("not understood; there are: on off wrong");
    run.type("pull\n");
    await run.until("ok   cable pulled: hub has lost gateway-1");
    run.type("off\n");
    await run.until("the hub holds desired LED1=false");
    run.type("plug\n");
    await run.until("ok   cable plugged: back by itself");
    run.type("restart\n");
    await run.until("ok   second start: hub let gateway-1 in");
    run.type("status\n");
    await run.until("state      online");
    run.type("\x04");
    expect(await run.process.exited).toBe(0);
    expect(run.output).not.toContain("\x1b");
    expect(run.leftovers()).toEqual([]);
  },
  TEST_MS,
);

test.concurrent("what is not understood is refused in one line", async () => {
  const refused: readonly (readonly [Run, string])[] = [
    [
      new Run([], "", { ENDPOINT: "x509" }),
      'demo: ENDPOINT="x509" is not known; allowed: tpm, sas\n',
    ],
    [new Run(["--loud"]), 'demo: "--loud" is not understood; allowed: --keep, --lamp FILE\n'],
    [new Run(["--lamp"]), "demo: --lamp wants an absolute path\n"],
  ];
  for (const [run, line] of refused) {
    expect(await run.process.exited).toBe(2);
    await run.until(line);
    expect(run.output).toBe(line);
    expect(run.leftovers()).toEqual([]);
  }
});
