// Leaf: rows of the store out of the bare pages of a database, without the tree above them.
// Neighbours: `port/salvage` reads the pages when SQLite will not; `row` knows a row by its sum.
// Invariant: never throws and always ends, whatever the bytes are; what it gives may be nonsense.

// After sqlite.org/fileformat2.html: 1.6 (pages), 1.5 (free pages), 2.1 (records), 4.1 (journal).

import type { Row } from "./row.ts";

export const PAGE_BYTES = 4096;

/** A page by its number, from 1; undefined when there is none. */
export type Pages = (number: number) => Uint8Array | undefined;

const LEAF = 0x0d;
const MAGIC = "SQLite format 3\0";
const JOURNAL_HEAD_BYTES = 32;
const FRAME_HEAD_BYTES = 24;
const COLUMNS = 6;
/** Of a row that fits no page so much is kept in it: at least, and at most. */
const LOCAL_BYTES_MIN = Math.floor(((PAGE_BYTES - 12) * 32) / 255) - 23;
const LOCAL_BYTES_MAX = PAGE_BYTES - 35;
/** Longer than any message with its bag. */
const PAYLOAD_BYTES_MAX = 1024 * 1024;

/** Pages that a journal has newer versions of, as of its last commit. */
export function journalPages(journal: Uint8Array): Map<number, Uint8Array> {
  const committed = new Map<number, Uint8Array>();
  let open: (readonly [number, Uint8Array])[] = [];
  const view = viewOf(journal);
  const frameBytes = FRAME_HEAD_BYTES + PAGE_BYTES;
  for (let at = JOURNAL_HEAD_BYTES; at + frameBytes <= journal.length; at += frameBytes) {
    // Frames of an earlier use of the file have other salts.
    if (view.getUint32(at + 8) !== view.getUint32(16)) break;
    if (view.getUint32(at + 12) !== view.getUint32(20)) break;
    const start = at + FRAME_HEAD_BYTES;
    open.push([view.getUint32(at), journal.subarray(start, start + PAGE_BYTES)]);
    if (view.getUint32(at + 4) === 0) continue;
    for (const [number, page] of open) committed.set(number, page);
    open = [];
  }
  return committed;
}

/** Numbers of free pages, which hold what was removed; none when the first page is unsound. */
export function freePages(pages: Pages): Set<number> {
  const free = new Set<number>();
  const first = pages(1);
  if (first === undefined) return free;
  if (String.fromCharCode(...first.subarray(0, MAGIC.length)) !== MAGIC) return free;
  let trunk = viewOf(first).getUint32(32);
  while (trunk !== 0 && !free.has(trunk)) {
    free.add(trunk);
    const page = pages(trunk);
    if (page === undefined) break;
    const view = viewOf(page);
    const count = Math.min(view.getUint32(4), PAGE_BYTES / 4 - 2);
    for (let index = 0; index < count; index++) free.add(view.getUint32(8 + 4 * index));
    trunk = view.getUint32(0);
  }
  return free;
}

/** What could be rows on a page. */
export function rowsOf(page: Uint8Array, pages: Pages): Row[] {
  if (page[0] !== LEAF) return [];
  const view = viewOf(page);
  const count = Math.min(view.getUint16(3), PAGE_BYTES / 2 - 4);
  const rows: Row[] = [];
  for (let index = 0; index < count; index++) {
    const reader = new Bytes(page, view.getUint16(8 + 2 * index));
    const payloadBytes = reader.varint();
    const key = reader.varint();
    const payload = payloadOf(reader, payloadBytes, pages);
    const row = payload === undefined ? undefined : rowOf(key, payload);
    if (row !== undefined) rows.push(row);
  }
  return rows;
}

/** The payload of a cell, put together from its overflow pages. */
function payloadOf(cell: Bytes, count: number, pages: Pages): Uint8Array | undefined {
  if (count > PAYLOAD_BYTES_MAX) return undefined;
  if (count <= LOCAL_BYTES_MAX) return cell.take(count);
  const fitting = LOCAL_BYTES_MIN + ((count - LOCAL_BYTES_MIN) % (PAGE_BYTES - 4));
  const local = cell.take(fitting <= LOCAL_BYTES_MAX ? fitting : LOCAL_BYTES_MIN);
  if (local === undefined) return undefined;
  const payload = new Uint8Array(count);
  payload.set(local);
  let at = local.length;
  let next = cell.integer(4);
  while (at < count) {
    const page = pages(next);
    if (page === undefined) return undefined;
    const part = page.subarray(4, 4 + Math.min(PAGE_BYTES - 4, count - at));
    payload.set(part, at);
    at += part.length;
    next = viewOf(page).getUint32(0);
  }
  return payload;
}

function rowOf(key: number, payload: Uint8Array): Row | undefined {
  const head = new Bytes(payload, 0);
  const body = new Bytes(payload, head.varint());
  const values: unknown[] = [];
  for (let column = 0; column < COLUMNS; column++) values.push(fieldOf(head.varint(), body));
  const [, accepted, expires, sum, bag, content] = values;
  if (head.isOver || body.isOver) return undefined;
  return { key, accepted, expires, sum, bag, body: content };
}

function fieldOf(kind: number, bytes: Bytes): unknown {
  if (kind === 0) return null;
  if (kind <= 6) return bytes.integer([1, 2, 3, 4, 6, 8][kind - 1]!);
  if (kind === 8 || kind === 9) return kind - 8;
  if (kind < 12) return undefined;
  const value = bytes.take(Math.floor((kind - 12) / 2));
  if (value === undefined || kind % 2 === 0) return value;
  let text = "";
  for (const byte of value) text += String.fromCharCode(byte);
  return text;
}

/** Reads on and on; beyond the end everything is 0, and `isOver` says so. */
class Bytes {
  isOver = false;

  constructor(
    private readonly bytes: Uint8Array,
    private at: number,
  ) {}

  byte(): number {
    if (this.at >= this.bytes.length) this.isOver = true;
    return this.bytes[this.at++] ?? 0;
  }

  /** Exact up to 2^53. */
  varint(): number {
    let value = 0;
    for (let index = 0; index < 8; index++) {
      const byte = this.byte();
      value = value * 128 + (byte & 127);
      if (byte < 128) return value;
    }
    return value * 256 + this.byte();
  }

  /** Big-endian, signed. */
  integer(count: number): number {
    const first = this.byte();
    let value = first >= 128 ? first - 256 : first;
    for (let index = 1; index < count; index++) value = value * 256 + this.byte();
    return value;
  }

  take(count: number): Uint8Array | undefined {
    const end = this.at + count;
    if (end > this.bytes.length) {
      this.isOver = true;
      return undefined;
    }
    const taken = this.bytes.slice(this.at, end);
    this.at = end;
    return taken;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
