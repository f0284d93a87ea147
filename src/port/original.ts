// Original: a settings file as it is on disk, and its replacement as a whole.
// Neighbours: `command/seal` reads with it and writes a text without the key.
// Invariant: after a cut at any moment the file holds the old text or the new one; owner, group
// and mode stay; what was not read here is never overwritten.

import fs from "node:fs";
import { basename, dirname, join } from "node:path";

/** More names in a folder than this are not looked through. */
const NAMES_MAX = 1000;
const COPY_BYTES_MAX = 1024 * 1024;

/** One file, as it was when it was read. */
export class Original {
  private constructor(
    /** Where it really is, links followed. */
    readonly path: string,
    readonly text: string,
    private readonly status: fs.Stats,
  ) {}

  /**
   * Reads the file at `path`; or one line that says why it cannot be replaced.
   * @param bytesMax a longer file is refused
   */
  static read(path: string, bytesMax: number): Original | string {
    try {
      const real = fs.realpathSync(path);
      const status = fs.statSync(real);
      if (!status.isFile()) return `${path}: not a plain file`;
      if (status.size > bytesMax) return `${path}: longer than ${bytesMax / 1024} KB`;
      if (status.nlink > 1) {
        return `${path}: has ${status.nlink} names (hard links); allowed: one, or the key stays`;
      }
      fs.accessSync(dirname(real), fs.constants.W_OK);
      const bytes = fs.readFileSync(real);
      const text = bytes.toString("utf8");
      if (!Buffer.from(text).equals(bytes)) return `${path}: not text in UTF-8`;
      return new Original(real, text, status);
    } catch (error) {
      return `${path}: ${reason(error)}`;
    }
  }

  /** Writes beside, syncs, renames over, and syncs the folder; "" or one line. */
  replace(text: string): string {
    const { path, status } = this;
    const beside = `${path}.new`;
    let isMade = false;
    try {
      if (!this.isUnchanged()) return `${path}: was changed meanwhile, and is left as it is`;
      fs.rmSync(beside, { force: true });
      const file = fs.openSync(beside, "wx", 0o600);
      isMade = true;
      try {
        fs.writeFileSync(file, text);
        fs.fchownSync(file, status.uid, status.gid);
        fs.fchmodSync(file, status.mode & 0o7777);
        fs.fsyncSync(file);
      } finally {
        fs.closeSync(file);
      }
      fs.renameSync(beside, path);
      const folder = fs.openSync(dirname(path), "r");
      try {
        fs.fsyncSync(folder);
      } finally {
        fs.closeSync(folder);
      }
      return "";
    } catch (error) {
      if (isMade) fs.rmSync(beside, { force: true });
      return `${path}: ${reason(error)}`;
    }
  }

  /** Paths of other files in its folder that hold `secret`, as an editor leaves them. */
  copies(secret: string): readonly string[] {
    const folder = dirname(this.path);
    const others = namesIn(folder).filter((name) => name !== basename(this.path));
    return others.map((name) => join(folder, name)).filter((path) => isWith(path, secret));
  }

  private isUnchanged(): boolean {
    const { ino, dev } = fs.statSync(this.path);
    if (ino !== this.status.ino || dev !== this.status.dev) return false;
    return fs.readFileSync(this.path, "utf8") === this.text;
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return fs.readdirSync(folder).sort().slice(0, NAMES_MAX);
  } catch {
    // A folder may let its names be used and not be listed.
    return [];
  }
}

function isWith(path: string, secret: string): boolean {
  try {
    const status = fs.lstatSync(path);
    if (!status.isFile() || status.size > COPY_BYTES_MAX) return false;
    return fs.readFileSync(path).includes(secret);
  } catch {
    // What cannot be read here is no copy that could be told of.
    return false;
  }
}

function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case "ENOENT":
      return "no such file";
    case "EACCES":
    case "EPERM":
      return `${code}: not allowed to replace it; be root`;
    case "EROFS":
      return "EROFS: the file system is read-only; mount it to be written";
    case "ENOSPC":
    case "EDQUOT":
      return `${code}: the disk is full`;
    default:
      return code ?? message;
  }
}
