// File: small settings files for tests, and what comes of them.
// Neighbours: `endpoint.test` and `validate.test`.
// Invariant: a text is read without `port/settings`, so that only the judging is tested.

import type { Entry } from "../../src/core/effects.ts";
import type { FileText } from "../../src/core/endpoint.ts";
import type { Settings } from "../../src/core/settings.ts";
import { formatProblem, validate } from "../../src/core/validate.ts";

export const KEY = "bm90IGEgcmVhbCBrZXksIG9ubHkgYSB0ZXN0IG9uZQ==";
export const CONNECTION = `HostName=hub.example.net;DeviceId=gw1;SharedAccessKey=${KEY}`;

/** Entries of a small INI text without comments. */
export function entries(text: string): Entry[] {
  const found: Entry[] = [];
  let section = "";
  text.split("\n").forEach((raw, index) => {
    const line = raw.trim();
    if (line === "") return;
    if (line.startsWith("[")) {
      section = line.slice(1, -1);
      return;
    }
    const equals = line.indexOf("=");
    const key = line.slice(0, equals).trim();
    found.push({ section, key, value: line.slice(equals + 1).trim(), line: index + 1 });
  });
  return found;
}

/** A file that a lamp would overwrite. */
export function withFile(key: string, path: string, target: string): string {
  return withLines(`${key} = ${path}\n[led.A]\ndriver = file\ntarget = ${target}`);
}

export const NO_FILE = (): FileText => ({ problem: "no such file" });

export function settingsOf(text: string, fileOf: (path: string) => FileText = NO_FILE): Settings {
  const validated = validate(entries(text), [], fileOf);
  if ("problems" in validated) throw new Error(JSON.stringify(validated.problems));
  return validated.settings;
}

export function problemsOf(text: string, fileOf: (path: string) => FileText = NO_FILE): string[] {
  const validated = validate(entries(text), [], fileOf);
  if ("settings" in validated) throw new Error("no problem was found");
  return validated.problems.map((problem) => formatProblem("a.ini", problem));
}

/** A sound file with a few lines more, which begin at line 3. */
export function withLines(lines: string): string {
  return `[endpoint]\nconnection-string = ${CONNECTION}\n${lines}`;
}
