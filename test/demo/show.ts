// Show: the demonstration on a terminal: the story with its picture, then commands.
// Neighbours: `screen` draws, `terminal` shows, `keys` understands what is typed, `teller` plays.
// Invariant: the picture follows the facts, not the story; leaving is possible at any moment and
// gives the terminal back before anything else is printed.

import { Commands } from "./commands.ts";
import { type Glyphs, glyphsFor } from "./glyphs.ts";
import { type Key, Keys, Press, WORDS, wordOf } from "./keys.ts";
import { print } from "./output.ts";
import { wrap } from "./paint.ts";
import { cursorColumn, type Note, type Scene, screen } from "./screen.ts";
import type { Step } from "./step.ts";
import { STORIES } from "./story.ts";
import { countLine } from "./talk.ts";
import { type Audience, noteLine, type Outcome, outcomeNotes, tell } from "./teller.ts";
import { restore, size, Terminal, type TerminalEvents } from "./terminal.ts";
import type { World } from "./world.ts";

/** How often the picture is compared with the facts. */
const DRAW_MS = 50;
/** Time to look at what a step did. */
const PAUSE_MS = 1_500;
const JOURNAL_MAX = 200;
const TAIL_LINES = 12;
/** Columns beside the text of a note, and rows that a part of a command line may take. */
const NOTE_MARGIN = 6;
const TYPED_ROWS = 3;

/** Plays the story on the terminal and carries out commands; true when nothing failed. */
export async function show(world: World): Promise<boolean> {
  const session = new Session(world);
  await session.run();
  restore();
  print(`${session.record().join("\n")}\n`);
  return !session.hasFailed;
}

/** One person at one terminal. */
class Session implements Audience, TerminalEvents {
  hasFailed = false;
  private readonly terminal: Terminal;
  private readonly glyphs: Glyphs;
  private readonly keys = new Keys();
  private readonly commands: Commands;
  private readonly left = Promise.withResolvers<void>();
  /** Ends the pause after a step. */
  private goOn: () => void = () => {};
  private journal: Note[] = [];
  private readonly outcomes: Outcome[] = [];
  private heading = "story";
  private hint = "Enter: go on at once   q: leave";
  private isPlaying = true;
  private readonly story: readonly Step[];

  constructor(private readonly world: World) {
    this.story = STORIES[world.endpoint];
    this.glyphs = glyphsFor(process.env);
    this.terminal = new Terminal(this, process.env);
    this.commands = new Commands(world, (note) => this.say(note));
  }

  async run(): Promise<void> {
    this.terminal.take();
    const timer = setInterval(() => this.look(), DRAW_MS);
    void this.play();
    await this.left.promise;
    clearInterval(timer);
  }

  /** The story so far as lines of text, for the screen that stays. */
  record(): string[] {
    const lines = this.outcomes.flatMap((outcome, index) => {
      return outcomeNotes(outcome, String(index + 1)).map(noteLine);
    });
    const { death } = this.world.facts;
    if (death !== "") lines.push(`FAIL ${death}`);
    if (this.hasFailed) lines.push(...this.world.tails(TAIL_LINES));
    return [...lines, countLine(this.outcomes.filter(({ ok }) => ok).length, this.story.length)];
  }

  onStep(number: number, title: string, typed: readonly string[]): void {
    this.heading = `story: step ${number} of ${this.story.length}`;
    for (const note of typedNotes(typed, size().columns)) this.say(note);
    this.say({ mark: "..", text: `${number} ${title}`, detail: "" });
  }

  async onOutcome(number: number, outcome: Outcome): Promise<void> {
    this.outcomes.push(outcome);
    this.journal = this.journal.filter(({ mark }) => mark !== "..");
    for (const note of outcomeNotes(outcome, String(number))) this.say(note);
    if (!outcome.ok) this.hasFailed = true;
    else if (number < this.story.length) await this.pause();
  }

  onInput(text: string): void {
    for (const key of this.keys.feed(text)) this.onKey(key);
    this.draw();
  }

  onResize(): void {
    this.draw();
  }

  onGone(): void {
    this.left.resolve();
  }

  private async play(): Promise<void> {
    const count = await tell(this.story, this.world, this);
    this.isPlaying = false;
    const end = this.hasFailed ? "it ends here, log shows more" : "now type commands";
    this.heading = `story: ${count} of ${this.story.length} steps seen, ${end}`;
    this.hint = WORDS.join(" ");
    this.draw();
  }

  private onKey({ press, text }: Key): void {
    switch (press) {
      case Press.TYPED:
        return;
      case Press.GO_ON:
        return this.goOn();
      case Press.REDRAW:
        return this.terminal.forget();
      case Press.LEAVE:
        return this.left.resolve();
      case Press.COMMAND:
        if (wordOf(text) === "quit") return this.left.resolve();
        if (!this.isPlaying) return void this.commands.run(text);
        return this.say({ mark: "", text: "the story is still told; q leaves", detail: "" });
    }
  }

  private pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, PAUSE_MS);
    this.goOn = () => {
      clearTimeout(timer);
      resolve();
    };
    return promise;
  }

  private say(note: Note): void {
    this.journal.push(note);
    if (this.journal.length > JOURNAL_MAX) this.journal.shift();
    this.draw();
  }

  private look(): void {
    if (this.world.facts.death !== "" && !this.isPlaying) {
      this.hasFailed = true;
      this.left.resolve();
    }
    this.draw();
  }

  private draw(): void {
    const { columns, rows } = size();
    const { journal, heading, hint } = this;
    const { facts } = this.world;
    const scene: Scene = { facts, heading, journal, typed: this.keys.line, hint };
    const lines = screen(scene, columns, rows, this.glyphs);
    this.terminal.draw(lines, cursorColumn(scene, columns));
  }
}

/** A command line as notes: `$` before the first one, below it what does not fit. */
function typedNotes(parts: readonly string[], columns: number): Note[] {
  const room = columns - NOTE_MARGIN;
  const lines: string[] = [];
  for (const part of parts) {
    const longer = lines.length === 0 ? part : `${lines.at(-1)} ${part}`;
    if (longer.length <= room) lines.splice(-1, 1, longer);
    else lines.push(...wrap(part, room, TYPED_ROWS, ""));
  }
  return lines.map((text, row) => ({ mark: row === 0 ? "$" : "", text, detail: "" }));
}
