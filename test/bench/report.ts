// Report: what the benchmarks print: tables of text, and the aims with what was measured.
// Neighbours: every benchmark prints through it; `main` prints the summary at the end.
// Invariant: an aim that is missed is said so and changes nothing else.

/** How a measured figure is held against its aim. */
export interface Aim {
  readonly figure: string;
  readonly measured: number;
  readonly sense: "at most" | "at least" | "below";
  readonly bound: number;
  /** Behind the numbers: `x`, `B`, `MB`, `/s`. */
  readonly unit: string;
}

export function isMet({ measured, sense, bound }: Aim): boolean {
  switch (sense) {
    case "at most":
      return measured <= bound;
    case "at least":
      return measured >= bound;
    case "below":
      return measured < bound;
  }
}

/** A table: names on the left, numbers flush right; widths follow the longest cell. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  const line = (row: readonly string[]): string => {
    const cells = row.map((cell, column) => {
      return column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!);
    });
    return `  ${cells.join("  ")}`.trimEnd();
  };
  const rule = `  ${"-".repeat(widths.reduce((sum, width) => sum + width + 2, -2))}`;
  const [head = [], ...body] = rows.map(line);
  return [head, rule, ...body].join("\n");
}

/** Digits as far as they say something: 3 or so. */
export function format(value: number, unit = ""): string {
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${unit === "" || unit === "x" ? unit : ` ${unit}`}`;
}

/** The aims that were missed, one line each. */
export function missed({ aims }: Pick<Report, "aims">): string[] {
  return aims
    .filter((aim) => !isMet(aim))
    .map(({ figure, measured, sense, bound, unit }) => {
      return `${figure}: ${format(measured, unit)}, aim ${sense} ${format(bound, unit)}`;
    });
}

/** Prints, and keeps the aims for the summary. */
export class Report {
  readonly aims: Aim[] = [];

  heading(text: string): void {
    console.log(`\n${text}`);
  }

  note(text: string): void {
    console.log(`  ${text}`);
  }

  /** A table whose first row is its head. */
  table(rows: readonly (readonly string[])[]): void {
    console.log(`${formatTable(rows)}\n`);
  }

  /** The aims of one benchmark, each with its verdict. */
  judge(aims: readonly Aim[]): void {
    this.aims.push(...aims);
    const rows = aims.map((aim) => {
      const bound = `${aim.sense} ${format(aim.bound, aim.unit)}`;
      return [aim.figure, format(aim.measured, aim.unit), bound, isMet(aim) ? "met" : "missed"];
    });
    console.log(formatTable([["figure", "measured", "aim", ""], ...rows]));
  }

  /** One line about all aims so far. */
  summary(): void {
    const met = this.aims.filter(isMet).length;
    console.log(`\n${met} of ${this.aims.length} aims met`);
    for (const line of missed(this)) console.log(`  missed: ${line}`);
  }
}
