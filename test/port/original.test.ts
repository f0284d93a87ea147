// Original, tested on real files: what is replaced, what is refused, and what a cut leaves.
// Neighbours: `src/port/original.ts`; `azimuth seal` rewrites settings with it.
// Invariant: the folder of each test is its own and is gone after it.

import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Original } from "../../src/port/original.ts";

const BYTES_MAX = 1024;

let folder: string;
let path: string;
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), "azimuth-original-"));
  path = join(folder, "a.ini");
  fs.writeFileSync(path, "old", { mode: 0o600 });
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

function read(name = path): Original {
  const original = Original.read(name, BYTES_MAX);
  if (typeof original === "string") throw new Error(original);
  return original;
}

const text = (): string => fs.readFileSync(path, "utf8");
const mode = (): number => fs.statSync(path).mode & 0o7777;

describe("a file", () => {
  test("is replaced whole, keeps its mode, and leaves nothing beside", () => {
    fs.chmodSync(path, 0o640);
    expect(read().text).toBe("old");
    expect(read().replace("new")).toBe("");
    expect([text(), mode()]).toEqual(["new", 0o640]);
    expect(fs.readdirSync(folder)).toEqual(["a.ini"]);
  });

  test("keeps its owner and group", () => {
    if (process.getuid!() === 0) fs.chownSync(path, 12, 34);
    const before = fs.statSync(path);
    expect(read().replace("new")).toBe("");
    const { uid, gid } = fs.statSync(path);
    expect([uid, gid]).toEqual([before.uid, before.gid]);
  });

  test("behind a link is replaced where it is; the link stays", () => {
    const link = join(folder, "link.ini");
    fs.symlinkSync(path, link);
    expect(read(link).path).toBe(fs.realpathSync(path));
    expect(read(link).replace("new")).toBe("");
    expect(fs.lstatSync(link).isSymbolicLink()).toBe(true);
    expect(text()).toBe("new");
  });

  test("what a cut or somebody else left beside is not followed", () => {
    const victim = join(folder, "victim");
    fs.writeFileSync(victim, "mine");
    fs.symlinkSync(victim, `${path}.new`);
    expect(read().replace("new")).toBe("");
    expect([text(), fs.readFileSync(victim, "utf8")]).toEqual(["new", "mine"]);
  });
});

describe("refused", () => {
  const beFolder = (): void => {
    fs.rmSync(path);
    fs.mkdirSync(path);
  };

  test.each([
    ["none", () => fs.rmSync(path), "no such file"],
    ["a folder", () => beFolder(), "not a plain file"],
    ["too long", () => fs.writeFileSync(path, "x".repeat(1025)), "longer than 1 KB"],
    ["not text", () => fs.writeFileSync(path, Buffer.from([0xff])), "not text in UTF-8"],
    [
      "a second name, which would keep the key",
      () => fs.linkSync(path, join(folder, "b.ini")),
      "has 2 names (hard links); allowed: one, or the key stays",
    ],
  ])("%s", (_name, spoil, problem) => {
    spoil();
    expect(Original.read(path, BYTES_MAX)).toBe(`${path}: ${problem}`);
  });

  test("a file that was changed after it was read, in place or as a whole", () => {
    const first = read();
    fs.writeFileSync(path, "edited");
    expect(first.replace("new")).toEndWith("was changed meanwhile, and is left as it is");
    const second = read();
    fs.writeFileSync(`${path}.b`, "edited");
    fs.renameSync(`${path}.b`, path);
    expect(second.replace("new")).toEndWith("was changed meanwhile, and is left as it is");
    expect(text()).toBe("edited");
  });

  test("a place beside that is taken by a folder", () => {
    fs.mkdirSync(`${path}.new`);
    expect(read().replace("new")).toMatch(/a\.ini: (ERR_FS_EISDIR|EISDIR|EFAULT)/);
    expect(text()).toBe("old");
  });
});

test("an error of any call leaves the old text or the new one, and nothing beside", () => {
  const calls = [
    "openSync",
    "writeFileSync",
    "fchownSync",
    "fchmodSync",
    "fsyncSync",
    "renameSync",
  ] as const;
  const words = { ENOSPC: "the disk is full", EROFS: "the file system is read-only", EIO: "EIO" };
  for (const call of calls) {
    for (const [code, said] of Object.entries(words)) {
      fs.writeFileSync(path, "old");
      const original = read();
      const spy = spyOn(fs, call).mockImplementationOnce(() => {
        throw Object.assign(new Error("failed"), { code });
      });
      expect(original.replace("new")).toContain(said);
      spy.mockRestore();
      expect([text(), fs.readdirSync(folder)]).toEqual(["old", ["a.ini"]]);
    }
  }
});

test("copies beside that hold a secret are found, whatever else is there", () => {
  fs.writeFileSync(path, "a secret");
  fs.writeFileSync(`${path}~`, "a secret");
  fs.writeFileSync(join(folder, ".a.ini.swp"), Buffer.from("\0\xffsecret\0", "latin1"));
  fs.writeFileSync(join(folder, "other"), "nothing");
  fs.mkdirSync(join(folder, "secret"));
  fs.symlinkSync(path, join(folder, "link"));
  const real = fs.realpathSync(folder);
  const spy = spyOn(fs, "readdirSync").mockImplementationOnce(() => {
    throw Object.assign(new Error("failed"), { code: "EACCES" });
  });
  expect(read().copies("secret")).toEqual([]);
  spy.mockRestore();
  expect(read().copies("secret")).toEqual([join(real, ".a.ini.swp"), join(real, "a.ini~")]);
});
