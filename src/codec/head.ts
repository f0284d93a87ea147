// Head: reads the head of one HTTP/1.1 response out of a stream, for the two answers that are
// followed by another protocol: that of a proxy to CONNECT and that of a server to an upgrade.
// Neighbours: proxy.ts and upgrade.ts judge what the head says.
// Invariant: never holds more than HEAD_BYTES_MAX; takes no byte beyond the empty line; the same
// stream gives the same head however it is torn.

/** Longest head that is read, interim heads (1xx) included. */
export const HEAD_BYTES_MAX = 8 * 1024;

/** What {@link Head.feed} found. */
export enum HeadResult {
  MORE,
  WHOLE,
  BROKEN,
}

const LINE_FEED = 0x0a;
const REASON_CHARS_MAX = 60;
// RFC 9112, 4 and 5; RFC 9110, 5.5: a field's text is printable, blank, tab or beyond ASCII.
const STATUS_LINE = /^HTTP\/1\.[01] ([1-5]\d{2})(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;

/** One response head. Interim answers but 101 are read over (RFC 9110, 15.2). */
export class Head {
  /** Status 101 or 200 .. 599 once WHOLE. */
  status = 0;
  /** The reason phrase made fit for a log line, "" for none; of no meaning (RFC 9112, 4). */
  reason = "";
  private readonly fields: [name: string, value: string][] = [];
  private text = "";
  private takenBytes = 0;
  private isBroken = false;

  /** Bytes of the last chunk that belonged to the head. */
  taken = 0;

  /** Takes as much of `chunk` as belongs to the head; `taken` says how much that was. */
  feed(chunk: Uint8Array): HeadResult {
    this.taken = 0;
    while (!this.isBroken && this.taken < chunk.length) {
      const byte = chunk[this.taken]!;
      this.taken += 1;
      this.takenBytes += 1;
      this.text += String.fromCharCode(byte);
      if (byte === LINE_FEED && this.text.endsWith("\r\n\r\n")) {
        this.isBroken = !this.parse(this.text.slice(0, -4).split("\r\n"));
        this.text = "";
        const isInterim = this.status < 200 && this.status !== 101;
        if (!this.isBroken && !isInterim) return HeadResult.WHOLE;
      } else if (this.takenBytes === HEAD_BYTES_MAX) {
        this.isBroken = true;
      }
    }
    return this.isBroken ? HeadResult.BROKEN : HeadResult.MORE;
  }

  /** Values of all fields of that name, in order; names know no case (RFC 9110, 5.1). */
  values(name: string): string[] {
    return this.fields.filter(([each]) => each === name.toLowerCase()).map(([, value]) => value);
  }

  /** Parts of a list field, over all its lines, lower case (RFC 9110, 5.6.1). */
  list(name: string): string[] {
    const parts = this.values(name).join(",").toLowerCase().split(",");
    return parts.map((part) => part.trim()).filter((part) => part !== "");
  }

  /** Status and reason for people: `403 Filtered`. */
  get statusText(): string {
    return this.reason === "" ? `${this.status}` : `${this.status} ${this.reason}`;
  }

  private parse(lines: readonly string[]): boolean {
    const [first = "", ...rest] = lines;
    const matched = STATUS_LINE.exec(first);
    if (matched === null) return false;
    this.status = Number(matched[1]);
    const reason = (matched[2] ?? "").trim().slice(0, REASON_CHARS_MAX);
    this.reason = reason.replace(/[^\x20-\x7e]/g, "?");
    this.fields.length = 0;
    for (const line of rest) {
      const field = FIELD.exec(line);
      if (field === null) return false;
      this.fields.push([field[1]!.toLowerCase(), field[2]!]);
    }
    return true;
  }
}
