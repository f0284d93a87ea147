// Errand: commands that are run to their end, each reading what the one before it wrote.
// Neighbours: `world` runs with it what an operator types; `child` is for what keeps running.
// Invariant: after `stopNow` no process of it is left; a command that fails is an error of one
// line.

/** A command line, and its name for people. */
export interface Command {
  readonly name: string;
  readonly words: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Runs one pipe of commands at a time. */
export class Errand {
  private running: Bun.Subprocess | undefined;

  constructor(private readonly environment: Environment) {}

  /** What the last command wrote. Throws the last words of the first one that fails. */
  async run(commands: readonly Command[]): Promise<string> {
    let text = "";
    for (const command of commands) text = await this.step(command, text);
    return text;
  }

  /** Ends what runs by force, without waiting. */
  stopNow(): void {
    this.running?.kill("SIGKILL");
  }

  private async step({ name, words }: Command, input: string): Promise<string> {
    const child = Bun.spawn([...words], {
      env: { ...this.environment },
      stdin: new TextEncoder().encode(input),
      stdout: "pipe",
      stderr: "pipe",
    });
    this.running = child;
    const [code, out, err] = await Promise.all([
      child.exited,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    this.running = undefined;
    if (code === 0) return out;
    const last = err.trim().split("\n").at(-1);
    throw new Error(`${name} ended with ${code}: ${last || "without a word"}`);
  }
}
