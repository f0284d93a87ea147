// Barcode: the squares of a QR code.
// Neighbours: `main` asks when an operator wants to scan something; `core/barcode` draws it.
// Invariant: the library is loaded at the first call and not before: it costs 6 MB of memory.

/** Light squares around the code: what ISO/IEC 18004 asks for, and what scanners still take. */
const BORDER_MAX = 4;
const BORDER_MIN = 1;

/**
 * A square matrix, `true` for dark, with a border of light squares: 4 where `columns` allow it,
 * down to 1; or the columns that it needs. At most 2953 bytes of text.
 */
export async function barcode(text: string, columns: number): Promise<boolean[][] | number> {
  const { encodeQR } = await import("qr");
  for (let border = BORDER_MAX; ; border--) {
    const squares = encodeQR(text, "raw", { ecc: "low", border });
    if (squares.length <= columns) return squares;
    if (border === BORDER_MIN) return squares.length;
  }
}
