// Terminal: raw input, and a screen of which only what changed is written.
// Neighbours: `show` gives it lines; `output` writes; `main` calls `restore` whatever happens.
// Invariant: a terminal that was taken is given back exactly once, with its cursor, its colours,
// its modes and, where it has one, its main screen.

import { tryPrint } from "./output.ts";
import { type Line, painted } from "./paint.ts";
import { COLUMNS_MIN, ROWS_MIN } from "./screen.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Terminals that keep a second screen (xterm's mode 1049) and give the first one back. */
const TWO_SCREENS =
  /^(xterm|screen|tmux|rxvt|alacritty|foot|kitty|konsole|gnome|vte|st|wezterm|ghostty)\b/;
const ENTER_SECOND = "\x1b[?1049h";
const LEAVE_SECOND = "\x1b[?1049l";
const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
const CLEAR = "\x1b[0m\x1b[H\x1b[2J";

/** Whether the terminal can be drawn on: it moves its cursor, and the picture fits. */
export function canDraw(environment: Environment): boolean {
  const { columns, rows } = size();
  const kind = environment.TERM ?? "";
  return kind !== "" && kind !== "dumb" && columns >= COLUMNS_MIN && rows >= ROWS_MIN;
}

/** Columns and rows; a serial line does not say and has what it always had. */
export function size(): { columns: number; rows: number } {
  const [columns, rows] = process.stdout.getWindowSize?.() ?? [0, 0];
  return { columns: columns || COLUMNS_MIN, rows: rows || ROWS_MIN };
}

let taken: Terminal | undefined;

/** Gives the terminal back, if one is taken; never throws. */
export function restore(): void {
  taken?.giveBack();
  taken = undefined;
}

/** What the terminal tells. */
export interface TerminalEvents {
  onInput(text: string): void;
  /** The size has changed, or the picture may be gone. */
  onResize(): void;
  /** There is nobody at the other end any more. */
  onGone(): void;
}

/** The terminal of this process. */
export class Terminal {
  private readonly hasColours: boolean;
  private readonly hasTwoScreens: boolean;
  private shown: string[] = [];
  private cursor = "";
  private isTaken = false;

  constructor(
    private readonly events: TerminalEvents,
    environment: Environment,
  ) {
    // no-color.org: any value but the empty one.
    this.hasColours = (environment.NO_COLOR ?? "") === "";
    this.hasTwoScreens = TWO_SCREENS.test(environment.TERM ?? "");
  }

  /** Takes the terminal: raw input, an empty screen. */
  take(): void {
    const { stdin } = process;
    taken = this;
    this.isTaken = true;
    stdin.setRawMode(true);
    stdin.setEncoding("utf8");
    stdin.on("data", (text: string) => this.events.onInput(text));
    stdin.on("end", () => this.events.onGone());
    stdin.on("error", () => this.events.onGone());
    process.on("SIGWINCH", () => this.onResize());
    // A stop from outside would leave the terminal raw; coming back, the picture is drawn anew.
    process.on("SIGTSTP", () => this.onResize());
    process.on("SIGCONT", () => this.onContinue());
    this.write(`${this.hasTwoScreens ? ENTER_SECOND : ""}${CLEAR}`);
  }

  /** Shows lines from the top, and the cursor at `column` of the last one; both from 1. */
  draw(lines: readonly Line[], column: number): void {
    if (!this.isTaken) return;
    let text = "";
    lines.forEach((line, row) => {
      const now = painted(line, this.hasColours);
      if (this.shown[row] === now) return;
      this.shown[row] = now;
      text += `\x1b[${row + 1};1H\x1b[K${now}`;
    });
    this.shown.length = lines.length;
    const cursor = `\x1b[${lines.length};${column}H`;
    if (text === "" && cursor === this.cursor) return;
    this.cursor = cursor;
    this.write(text === "" ? cursor : `${HIDE_CURSOR}${text}${cursor}${SHOW_CURSOR}`);
  }

  /** Draws everything at the next call of {@link draw}. */
  forget(): void {
    this.shown = [];
    this.cursor = "";
    if (this.isTaken) this.write(CLEAR);
  }

  giveBack(): void {
    if (!this.isTaken) return;
    this.isTaken = false;
    const below = `\x1b[${this.shown.length};1H\r\n`;
    tryPrint(`\x1b[0m${this.hasTwoScreens ? LEAVE_SECOND : below}${SHOW_CURSOR}`);
    try {
      process.stdin.setRawMode(false);
      process.stdin.pause();
    } catch {
      // The terminal has gone: there is nothing to set back.
    }
  }

  private onResize(): void {
    if (!this.isTaken) return;
    this.forget();
    this.events.onResize();
  }

  private onContinue(): void {
    if (!this.isTaken) return;
    process.stdin.setRawMode(true);
    this.onResize();
  }

  private write(text: string): void {
    if (!tryPrint(text)) this.events.onGone();
  }
}
