// Validate: from the entries of a settings file to Settings, or to all that is wrong with them.
// Neighbours: `sheet` checks each entry by itself, `endpoint` and `network` what these sections
// mean; `command/configuration` calls it and prints problems with `formatProblem`.
// Invariant: pure; all problems at once, by line; no text of a problem holds a secret.

import { metricsOf, recoveryOf, watchdogOf } from "./care.ts";
import { dataOf, telemetryOf } from "./delivery.ts";
import { type Entry, Level, type Problem } from "./effects.ts";
import { endpointOf, type FileText } from "./endpoint.ts";
import { networkOf } from "./network.ts";
import * as schema from "./schema.ts";
import type { LampSettings, Settings } from "./settings.ts";
import { type Section, Sheet } from "./sheet.ts";
import { timetableOf } from "./timetable.ts";
import { allowed, fault, Kind, shown } from "./value.ts";

/** The outcome: settings that need no further checks, or what is wrong, sorted by line. */
export type Validated = { readonly settings: Settings } | { readonly problems: readonly Problem[] };

const LEVELS: Record<string, Level> = {
  error: Level.ERROR,
  warning: Level.WARNING,
  notice: Level.NOTICE,
  info: Level.INFO,
  debug: Level.DEBUG,
};

/**
 * Checks a whole settings file.
 * @param entries what the reader of the file found
 * @param problems what the reader found wrong; they come back among the problems
 * @param fileOf answers for each of {@link filesWanted}
 * @param sections all sections of the file, for those without entries
 */
export function validate(
  entries: readonly Entry[],
  problems: readonly Problem[],
  fileOf: (path: string) => FileText,
  sections: readonly Section[] = [],
): Validated {
  // A file that could not be read lacks everything: saying so would only hide the reason.
  const unread = problems.filter((problem) => problem.line === 0);
  if (unread.length > 0) return { problems: unread };
  const sheet = new Sheet(entries, problems, sections);
  const endpoint = endpointOf(sheet, fileOf);
  const network = networkOf(sheet, fileOf);
  const lamps = lampsOf(sheet);
  const metrics = metricsOf(sheet);
  const other = metrics.file === "" ? "" : ownerOf(sheet, metrics.file, "metrics", "file");
  if (other !== "") sheet.add("metrics", "file", `${other}; allowed: a file of its own`);
  if (sheet.problems.length > 0 || endpoint === undefined) {
    return { problems: [...sheet.problems].sort((a, b) => a.line - b.line) };
  }
  const data = dataOf(sheet);
  const means = { hasDps: endpoint.idScope !== "", isDurable: data.isDurable };
  const settings: Settings = {
    endpoint,
    network,
    data,
    schedule: timetableOf(sheet),
    telemetry: telemetryOf(sheet),
    lamps,
    recovery: recoveryOf(sheet, means),
    watchdog: watchdogOf(sheet),
    metrics,
    agent: {
      controlSocket: sheet.text("agent", "control-socket"),
      logLevel: LEVELS[sheet.text("agent", "log-level").toLowerCase()]!,
      stateFolder: sheet.text("agent", "state-dir"),
    },
  };
  return { settings };
}

/** One line for a person: `file:line: [section] key: problem; allowed: …`. */
export function formatProblem(file: string, problem: Problem): string {
  const place = problem.line === 0 ? file : `${file}:${problem.line}`;
  const section = problem.section === "" ? "" : ` [${bare(problem.section)}]`;
  const key = problem.key === "" ? "" : ` ${bare(problem.key)}`;
  const where = section === "" && key === "" ? "" : `${section}${key}:`;
  return `${place}:${where} ${problem.text}`;
}

/** A name as it was written, unless it could be a secret put in the wrong place. */
function bare(name: string): string {
  const text = shown(name);
  return text === `"${name}"` ? name : text;
}

function lampsOf(sheet: Sheet): readonly LampSettings[] {
  const lamps: LampSettings[] = [];
  const owners = new Map<string, string>();
  for (const section of sheet.lamps) {
    requireKeys(sheet, section);
    const lamp = lampOf(sheet, section);
    lamps.push(lamp);
    if (lamp.target === "" || !sheet.isSound(section, "driver")) continue;
    const text = targetFault(lamp) || useFault(sheet, lamp);
    const pin = `${lamp.driver} ${lamp.target}`;
    const owner = owners.get(pin);
    if (text !== "") sheet.add(section, "target", text);
    else if (owner !== undefined) {
      sheet.add(section, "target", `is the pin of [${owner}] too; allowed: one lamp for each pin`);
    }
    owners.set(pin, section);
  }
  return lamps;
}

function requireKeys(sheet: Sheet, section: string): void {
  for (const key of schema.keysOf(section)) {
    if (key.fallback !== null || !sheet.isMissing(section, key.name)) continue;
    sheet.add(section, key.name, `is missing; allowed: ${allowed(key.value)}`);
  }
}

function lampOf(sheet: Sheet, section: string): LampSettings {
  return {
    name: section.slice(schema.LAMP_PREFIX.length),
    driver: sheet.text(section, "driver").toLowerCase() as LampSettings["driver"],
    target: sheet.text(section, "target"),
    activeLow: sheet.text(section, "active").toLowerCase() === "low",
    initial: sheet.text(section, "initial").toLowerCase() === "on",
  };
}

/** What is wrong with the target for its driver; "" when nothing is. */
function targetFault(lamp: LampSettings): string {
  const value = schema.TARGETS[lamp.driver];
  const text = fault(value, lamp.target);
  return text === "" ? "" : `${text} for driver ${lamp.driver}; allowed: ${allowed(value)}`;
}

/** What else a lamp's file is in the settings, as a lamp would overwrite it; "" for nothing. */
function useFault(sheet: Sheet, lamp: LampSettings): string {
  if (lamp.driver !== "file") return "";
  const other = ownerOf(sheet, lamp.target, "", "");
  return other === "" ? "" : `${other}; allowed: a file of its own`;
}

/** What else a path is in the settings than the value of this key, in words; "" for nothing. */
function ownerOf(sheet: Sheet, path: string, exceptSection: string, exceptName: string): string {
  const other = schema.KEYS.find(({ section, name, value }) => {
    if (section === exceptSection && name === exceptName) return false;
    const text = value.kind === Kind.PATH ? sheet.text(section, name) : "";
    return text !== "" && plain(text) === plain(path);
  });
  return other === undefined ? "" : `is the ${other.name} of [${other.section}] too`;
}

/** A path without empty, `.` and `..` parts, so that one place has one spelling. */
function plain(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}
