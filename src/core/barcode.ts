// Barcode: a QR code drawn with the characters of a terminal.
// Neighbours: `port/barcode` makes the squares; `main` prints the drawing.
// Invariant: pure; dark on light whatever the terminal's colours are, two rows a line.

/** Black on white, and back to what was. */
const ON = "\x1b[38;5;16;48;5;231m";
const OFF = "\x1b[0m";
/** By upper and lower square: both light, upper dark, lower dark, both dark. */
const HALVES = [" ", "\u2580", "\u2584", "\u2588"] as const;

/** The squares, `true` for dark, as lines that each end with a newline; one column a square. */
export function drawBarcode(squares: readonly (readonly boolean[])[]): string {
  let text = "";
  for (let row = 0; row < squares.length; row += 2) {
    const upper = squares[row]!;
    const lower = squares[row + 1];
    let line = "";
    upper.forEach((isDark, column) => {
      line += HALVES[(isDark ? 1 : 0) + (lower?.[column] ? 2 : 0)]!;
    });
    text += `${ON}${line}${OFF}\n`;
  }
  return text;
}
