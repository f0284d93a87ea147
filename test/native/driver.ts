// Driver: the native TPM operations in a process of their own, built with sanitizers.
// Neighbours: `driver.c` is that process; `driver.test.ts` has it do what the port does.
// Invariant: a finding of a sanitizer, or memory that nobody freed, is in what `stop` returns.

import { readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dir, "../..");
const native = join(root, "native");
const program = join(root, "build/driver");

/** What the library says: its code, a handle, and a command for the TPM or the output. */
export interface Reply {
  readonly rc: number;
  readonly handle: number;
  readonly hasCommand: boolean;
  readonly bytes: Buffer;
}

const MAIL_COMMAND = 1;

/** Compiles the process when it is older than its sources. */
function build(): void {
  const sources = readdirSync(native).filter((name) => name.endsWith(".c"));
  const files = [...sources.map((name) => join(native, name)), join(import.meta.dir, "driver.c")];
  const headers = ["azimuth.h", "tpm.h"].map((name) => join(native, name));
  const madeMs = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if ([...files, ...headers].every((file) => statSync(file).mtimeMs < madeMs)) return;
  const checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
  const warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"];
  const output = `${program}.${process.pid}`;
  const words = ["-std=c11", "-g", "-O1", ...checks, ...warnings, `-I${native}`, ...files];
  const command = ["cc", ...words, "-ltss2-esys", "-ltss2-mu", "-ldl", "-o", output];
  const built = Bun.spawnSync(command, { stderr: "pipe" });
  if (built.exitCode !== 0) throw new Error(`cc: ${built.stderr.toString()}`);
  Bun.spawnSync(["mv", output, program]);
}

/** A running process. */
export class Driver {
  private readonly process;
  private readonly reader;
  private text = "";

  constructor() {
    build();
    this.process = Bun.spawn([program], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
    this.reader = this.process.stdout.getReader();
  }

  async ask(line: string): Promise<string> {
    this.process.stdin.write(`${line}\n`);
    this.process.stdin.flush();
    while (!this.text.includes("\n")) {
      const { done, value } = await this.reader.read();
      if (done) throw new Error(`the driver ended: ${await this.process.stderr.text()}`);
      this.text += new TextDecoder().decode(value);
    }
    const end = this.text.indexOf("\n");
    const reply = this.text.slice(0, end);
    this.text = this.text.slice(end + 1);
    return reply;
  }

  async reply(line: string): Promise<Reply> {
    const [rc, handle, mail, hex] = (await this.ask(line)).split(" ") as [
      string,
      string,
      string,
      string,
    ];
    return {
      rc: Number.parseInt(rc, 16),
      handle: Number.parseInt(handle, 16),
      hasCommand: Number.parseInt(mail, 16) === MAIL_COMMAND,
      bytes: hex === "-" ? Buffer.alloc(0) : Buffer.from(hex, "hex"),
    };
  }

  /** Ends it; its exit code and what the sanitizers wrote. */
  async stop(): Promise<{ code: number; errors: string }> {
    this.process.stdin.end();
    const errors = await this.process.stderr.text();
    return { code: await this.process.exited, errors };
  }
}
