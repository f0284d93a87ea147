// Disk: what a power cut may leave of files, after any operation of a recorded program.
// Neighbours: `test/native/cut.c` makes the record; `judge` opens what is made here.
// Invariant: what was synced is there; of the rest, each sector is from any moment since the last
// sync, whatever the others are, and so is the length; names change in their order, or not at all.

import type { Prng } from "../../src/kit/prng.ts";

const SECTOR_BYTES = 512;
const HEAD_BYTES = 25;

export enum Operation {
  WRITE,
  SIZE,
  BEGIN,
  END,
  CREATE,
  RENAME,
  REMOVE,
  MARK,
}

/** One operation of the record. */
export interface Step {
  readonly operation: Operation;
  /** Of the file, 0 for the folder; of a MARK its kind. */
  readonly inode: number;
  /** Where it was written, or the new length; of a MARK its value. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly name: string;
  readonly other: string;
}

/** How what was not synced fares. */
export enum Fate {
  LOST,
  KEPT,
  MIXED,
}

interface File {
  durable: Uint8Array;
  pending: { readonly at: number; readonly step: Step }[];
  beganAt: number;
}

/** Reads a record. */
export function parseRecord(record: Buffer): Step[] {
  const steps: Step[] = [];
  for (let at = 0; at + HEAD_BYTES <= record.length; ) {
    const operation = record.readUInt8(at) as Operation;
    const inode = Number(record.readBigUInt64LE(at + 1));
    const offset = Number(record.readBigInt64LE(at + 9));
    const count = record.readUInt32LE(at + 17);
    const nameEnd = at + HEAD_BYTES + record.readUInt16LE(at + 21);
    const otherEnd = nameEnd + record.readUInt16LE(at + 23);
    const name = record.toString("utf8", at + HEAD_BYTES, nameEnd);
    const other = record.toString("utf8", nameEnd, otherEnd);
    at = otherEnd + count;
    steps.push({ operation, inode, offset, bytes: record.subarray(otherEnd, at), name, other });
  }
  return steps;
}

/** The files of one folder. */
export class Disk {
  /** Files by a number of our own, and that number by inode. */
  private readonly files = new Map<number, File>();
  private readonly numbers = new Map<number, number>();
  private readonly names = new Map<string, number>();
  private pendingNames: { readonly at: number; readonly step: Step }[] = [];
  private namesBeganAt = 0;
  private at = 0;

  /** True when the step left another disk than the one before. */
  apply(step: Step): boolean {
    const { operation, inode } = step;
    const at = this.at++;
    switch (operation) {
      case Operation.WRITE:
      case Operation.SIZE:
        this.known(step, at).pending.push({ at, step });
        return true;
      case Operation.CREATE:
        this.known(step, at, true);
        return true;
      case Operation.RENAME:
      case Operation.REMOVE:
        this.pendingNames.push({ at, step });
        return true;
      case Operation.BEGIN:
        if (inode === 0) this.namesBeganAt = at;
        else this.known(step, at).beganAt = at;
        return false;
      case Operation.END:
        if (inode === 0) this.syncNames();
        else this.sync(this.known(step, at));
        return true;
      case Operation.MARK:
        return false;
    }
  }

  /** The files after a cut here. */
  cut(fate: Fate, prng: Prng): Map<string, Uint8Array> {
    const names = new Map(this.names);
    const kept = {
      [Fate.LOST]: 0,
      [Fate.KEPT]: this.pendingNames.length,
      [Fate.MIXED]: prng.below(this.pendingNames.length + 1),
    }[fate];
    for (const { step } of this.pendingNames.slice(0, kept)) rename(names, step);
    const content = new Map<string, Uint8Array>();
    for (const [name, number] of names) {
      content.set(name, left(this.files.get(number)!, fate, prng));
    }
    return content;
  }

  /** The file of a step. Inodes are used again, so each file gets a number of its own. */
  private known({ inode, name }: Step, at: number, isNew = false): File {
    const file = isNew ? undefined : this.files.get(this.numbers.get(inode) ?? 0);
    if (file !== undefined) return file;
    const number = this.files.size + 1;
    const made = { durable: new Uint8Array(0), pending: [], beganAt: 0 };
    this.numbers.set(inode, number);
    this.files.set(number, made);
    const step = { operation: Operation.CREATE, inode: number, offset: 0, bytes: made.durable };
    this.pendingNames.push({ at, step: { ...step, name, other: "" } });
    return made;
  }

  private sync(file: File): void {
    const done = file.pending.filter(({ at }) => at < file.beganAt);
    file.pending = file.pending.filter(({ at }) => at >= file.beganAt);
    file.durable = after(
      file.durable,
      done.map(({ step }) => step),
    );
  }

  private syncNames(): void {
    for (const { at, step } of this.pendingNames) {
      if (at < this.namesBeganAt) rename(this.names, step);
    }
    this.pendingNames = this.pendingNames.filter(({ at }) => at >= this.namesBeganAt);
  }
}

function rename(names: Map<string, number>, { operation, name, other, inode }: Step): void {
  if (operation === Operation.CREATE) {
    names.set(name, inode);
    return;
  }
  const moved = names.get(name);
  names.delete(name);
  if (operation === Operation.RENAME && moved !== undefined) names.set(other, moved);
}

function left(file: File, fate: Fate, prng: Prng): Uint8Array {
  const steps = file.pending.map(({ step }) => step);
  if (fate === Fate.LOST || steps.length === 0) return file.durable;
  const whole = after(file.durable, steps);
  return fate === Fate.KEPT ? whole : mixed(file.durable, steps, prng);
}

/** Content after all of the steps. */
function after(content: Uint8Array, steps: readonly Step[]): Uint8Array {
  let bytes = Buffer.from(content);
  let length = content.length;
  for (const { operation, offset, bytes: written } of steps) {
    const end = operation === Operation.SIZE ? offset : Math.max(length, offset + written.length);
    if (end > bytes.length) bytes = Buffer.concat([bytes], Math.max(end, 2 * bytes.length));
    if (operation === Operation.SIZE) bytes.fill(0, end);
    else bytes.set(written, offset);
    length = end;
  }
  return bytes.subarray(0, length);
}

/** Content with every sector, and the length, from a moment of its own. */
function mixed(durable: Uint8Array, steps: readonly Step[], prng: Prng): Uint8Array {
  // Some cuts come when nearly all was written, some when nearly nothing was.
  const share = prng.unit();
  const moment = (count: number) => {
    if (prng.chance(0.2)) return prng.below(count + 1);
    return prng.chance(share) ? count : 0;
  };
  const upTo = moment(steps.length);
  let length = durable.length;
  let reach = durable.length;
  steps.forEach(({ operation, offset, bytes }, index) => {
    const end = operation === Operation.SIZE ? offset : Math.max(length, offset + bytes.length);
    if (index < upTo) length = end;
    reach = Math.max(reach, offset + bytes.length);
  });
  const content = Buffer.concat([durable], Math.max(reach, length));
  const touching = new Map<number, Step[]>();
  for (const [index, step] of steps.entries()) {
    const isSize = step.operation === Operation.SIZE;
    // A length is one number on a disk: shortening wipes nothing before the length itself is there.
    if (isSize && index >= upTo) continue;
    const first = Math.floor(step.offset / SECTOR_BYTES);
    const end = isSize ? content.length : step.offset + step.bytes.length;
    for (let sector = first; sector * SECTOR_BYTES < end; sector++) {
      const list = touching.get(sector);
      if (list === undefined) touching.set(sector, [step]);
      else list.push(step);
    }
  }
  for (const [sector, list] of touching) {
    const from = sector * SECTOR_BYTES;
    const part = content.subarray(from, from + SECTOR_BYTES);
    for (const step of list.slice(0, moment(list.length))) put(part, from, step);
  }
  return content.subarray(0, length);
}

/** What one step does to one sector that begins at `from`. */
function put(part: Buffer, from: number, { operation, offset, bytes }: Step): void {
  const start = Math.max(0, offset - from);
  if (operation === Operation.SIZE) {
    part.fill(0, Math.min(start, part.length));
    return;
  }
  const skip = Math.max(0, from - offset);
  part.set(bytes.subarray(skip, skip + part.length - start), start);
}
