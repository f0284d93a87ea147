// Configuration: settings file to settings that can be run with, or what is wrong in it.
// Neighbours: `port/settings` reads, `core/validate` judges; `run` and `azimuth check` want it.
// Invariant: what passes here runs; each problem names its file, line, section and key.

import type { Calendar, Entry, Problem, Shown } from "../core/effects.ts";
import { certified, filesWanted } from "../core/endpoint.ts";
import type { Settings } from "../core/settings.ts";
import { EXPRESSION, ZONE } from "../core/timetable.ts";
import { formatProblem, validate } from "../core/validate.ts";
import { validityText } from "../core/validity.ts";
import { CronCalendar } from "../port/calendar.ts";
import { loadCredentials } from "../port/certificate.ts";
import { SystemClock } from "../port/clock.ts";
import { macAddress } from "../port/network.ts";
import { loadRoots } from "../port/roots.ts";
import { isSameFile, load, type Parsed, readSecret } from "../port/settings.ts";
import { fail, say, warn } from "./speech.ts";

const KEY_LEFT =
  "connection-string-file still holds a key, which is not used beside key = tpm; " +
  "azimuth seal moves it into the TPM";

/** Settings ready to run with, and what is worth a word although it is allowed. */
export interface Configuration {
  readonly settings: Settings;
  readonly roots: string;
  /** The certificate of an endpoint of type x509. */
  readonly shown: Shown;
  readonly warnings: readonly string[];
}

/** The same with the calendar of its schedule; null while that is not enabled. */
export interface Readiness extends Configuration {
  readonly calendar: Calendar | null;
}

/** Reads and checks a settings file with the files it names; or one line for each problem. */
export async function configure(file: string): Promise<Readiness | readonly string[]> {
  const parsed = load(file);
  const judged = judge(file, parsed);
  if (!("settings" in judged)) return judged;
  const { isEnabled, expression, zone } = judged.settings.schedule;
  if (!isEnabled) return { ...judged, calendar: null };
  const calendar = await CronCalendar.of(expression, zone, new SystemClock().wallS());
  if (typeof calendar !== "string") return { ...judged, calendar };
  const key = calendar.startsWith("no time zone") ? ZONE : EXPRESSION;
  return [formatProblem(file, problemAt(parsed.entries, "data", key, calendar))];
}

/** The part of {@link configure} that needs no calendar, of what was read or is about to be. */
export function judge(file: string, parsed: Parsed): Configuration | readonly string[] {
  const warnings: string[] = [];
  const secrets = new Map(filesWanted(parsed.entries).map((path) => [path, readSecret(path)]));
  for (const secret of secrets.values()) {
    if ("warning" in secret && secret.warning !== "") warnings.push(secret.warning);
  }
  const problems = [...parsed.problems, ...selfProblems(file, parsed.entries)];
  const fileOf = (path: string) => secrets.get(path) ?? { problem: `${path}: not read` };
  const validated = validate(parsed.entries, problems, fileOf, parsed.sections);
  if ("problems" in validated) {
    return validated.problems.map((problem) => formatProblem(file, problem));
  }
  const settings = named(validated.settings);
  if (settings === undefined) {
    const text = "there is no network interface whose MAC address could be taken";
    return [formatProblem(file, problemAt(parsed.entries, "endpoint", "registration-id", text))];
  }
  if (settings.endpoint.isSealed && settings.endpoint.key !== "") warnings.push(KEY_LEFT);
  const certified = withCertificate(settings);
  if ("problem" in certified) {
    return [
      formatProblem(file, problemAt(parsed.entries, "endpoint", certified.key, certified.problem)),
    ];
  }
  if (certified.warning !== "") warnings.push(certified.warning);
  try {
    return { ...certified, roots: loadRoots(settings.endpoint.caFile), warnings };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return [formatProblem(file, problemAt(parsed.entries, "endpoint", "ca-file", text))];
  }
}

function problemAt(entries: readonly Entry[], section: string, key: string, text: string): Problem {
  const entry = entries.find((one) => one.section === section && one.key === key);
  return { line: entry?.line ?? 0, section, key, text };
}

/** The settings with the MAC address where they ask for it; undefined when there is none. */
function named(settings: Settings): Settings | undefined {
  if (settings.endpoint.registrationId.toLowerCase() !== "mac") return settings;
  const registrationId = macAddress();
  if (registrationId === "") return undefined;
  return { ...settings, endpoint: { ...settings.endpoint, registrationId } };
}

/** Settings, and the certificate that an endpoint of type x509 shows. */
interface Certified {
  readonly settings: Settings;
  readonly shown: Shown;
  readonly warning: string;
}

/** The settings with what the certificate says that they name; or what is wrong with it. */
function withCertificate(
  settings: Settings,
): Certified | { readonly key: string; readonly problem: string } {
  const { type, certificateFile, privateKeyFile } = settings.endpoint;
  if (type !== "x509") return { settings, shown: {}, warning: "" };
  const loaded = loadCredentials(certificateFile, privateKeyFile);
  if ("problem" in loaded) return loaded;
  const { shown, warning, ...certificate } = loaded;
  const endpoint = certified(settings.endpoint, certificate);
  return "problem" in endpoint ? endpoint : { settings: { ...settings, endpoint }, shown, warning };
}

/** Lamps and metrics that would overwrite the very file that names them. */
function selfProblems(file: string, entries: readonly Entry[]): Problem[] {
  const isTarget = ({ section, key }: Entry) =>
    key === "target" || (section === "metrics" && key === "file");
  const targets = entries.filter((entry) => isTarget(entry) && entry.value.startsWith("/"));
  return targets
    .filter(({ value }) => isSameFile(value, file))
    .map(({ line, section, key }) => {
      return { line, section, key, text: "is this settings file; allowed: a file of its own" };
    });
}

/** `azimuth check`. */
export async function check(file: string): Promise<void> {
  const configured = await configure(file);
  if (!("settings" in configured)) fail(configured, 1);
  for (const warning of configured.warnings) warn(`warning: ${warning}`);
  // The running agent says this by itself, at start and each day.
  const { certificate } = configured.settings.endpoint;
  const text = validityText(certificate, Date.now() / 1000);
  if (text !== "") warn(`warning: ${text}`);
  say(`${file}: valid`);
}
