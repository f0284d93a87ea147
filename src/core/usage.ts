// Usage: what the words of a command line ask for, and the help that lists what they may be.
// Neighbours: `main` parses with it and acts; the agent answers the commands that it is sent.
// Invariant: pure; every command line becomes one typed command, or one line that says what is
// wrong with it.

import { nearest } from "./nearest.ts";
import { PLACE_WORDS, parsePlace, TPM_DEVICE, type TpmPlace } from "./place.ts";

/** Settings file when `-c` is not given. */
export const SETTINGS_FILE = "/etc/azimuth/azimuth.ini";

/** How to reach a running agent: its control socket, or "" for the one that `file` names. */
export interface Reach {
  readonly file: string;
  readonly socket: string;
}

/** What `azimuth tpm` prints. */
export type TpmOutput = "text" | "json" | "enrollment";

/** `azimuth tpm`. */
export interface TpmCommand {
  readonly name: "tpm";
  /** As written, for messages. */
  readonly placeText: string;
  readonly place: TpmPlace;
  readonly output: TpmOutput;
  /** Device id of the enrollment; "" for the MAC address. */
  readonly deviceId: string;
  readonly isScanned: boolean;
  readonly isCreating: boolean;
  /** Path of libazimuth.so; "" to look for it. */
  readonly library: string;
}

/** `azimuth seal`. */
export interface SealCommand {
  readonly name: "seal";
  readonly file: string;
  /** Where the TPM is; "" for the place that the file names. */
  readonly placeText: string;
  /** Give up a key of another kind that is in the TPM. */
  readonly isReplacing: boolean;
  /** "" for none. */
  readonly ownerPasswordFile: string;
  /** Path of libazimuth.so; "" to look for it. */
  readonly library: string;
}

/** One command line, understood. */
export type Command =
  | { readonly name: "run" | "check"; readonly file: string }
  | { readonly name: "status"; readonly reach: Reach; readonly isJson: boolean }
  | { readonly name: "connect" | "disconnect" | "reload"; readonly reach: Reach }
  | {
      readonly name: "led";
      readonly reach: Reach;
      readonly lamp: string;
      readonly action: "on" | "off" | "auto";
    }
  | TpmCommand
  | SealCommand
  | { readonly name: "version" | "help" };

/** One line about a command line that was not understood; the process exits with 2. */
export interface UsageProblem {
  readonly problem: string;
}

const NAMES = [
  "run",
  "check",
  "status",
  "connect",
  "disconnect",
  "reload",
  "led",
  "tpm",
  "seal",
  "version",
  "help",
] as const;
type Name = (typeof NAMES)[number];

const ACTIONS = ["on", "off", "auto"] as const;

interface Option {
  readonly long: string;
  /** "" for none. */
  readonly short: string;
  readonly takesValue: boolean;
  readonly of: readonly Name[];
}

const TO_THE_AGENT: readonly Name[] = ["status", "connect", "disconnect", "reload", "led"];

const OPTIONS: readonly Option[] = [
  {
    long: "--config",
    short: "-c",
    takesValue: true,
    of: ["run", "check", "seal", ...TO_THE_AGENT],
  },
  { long: "--socket", short: "-s", takesValue: true, of: TO_THE_AGENT },
  { long: "--json", short: "", takesValue: false, of: ["status", "tpm"] },
  { long: "--enrollment", short: "", takesValue: false, of: ["tpm"] },
  { long: "--device-id", short: "", takesValue: true, of: ["tpm"] },
  { long: "--qr", short: "", takesValue: false, of: ["tpm"] },
  { long: "--create", short: "", takesValue: false, of: ["tpm"] },
  { long: "--replace", short: "", takesValue: false, of: ["seal"] },
  { long: "--owner-password-file", short: "", takesValue: true, of: ["seal"] },
  { long: "--tpm", short: "", takesValue: true, of: ["tpm", "seal"] },
  { long: "--library", short: "", takesValue: true, of: ["tpm", "seal"] },
];

/** Device ids of IoT Hub (azure-docs, iot-hub-devguide-identity-registry). */
const DEVICE_ID = /^[A-Za-z0-9.%_*?!(),:=@$'-]{1,128}$/;

/** The help text; 80 columns, ends with a newline. */
export const HELP = `azimuth - an Azure IoT Hub device agent for Linux gateways

usage: azimuth COMMAND [OPTION ...]

  run                    run the agent in the foreground, log to stderr
  check                  check the settings file, one line for each problem
  status [--json]        show the state, last diagnosis, counters and lamps
  connect                connect now, and again after every loss
  disconnect             disconnect and stay so until connect or a restart
  reload                 read the settings file again
  led NAME on|off|auto   set a lamp by hand; auto: the twin decides again
  tpm [--json]           show the TPM's keys, as DPS wants them, and its state
  seal                   move the key of the connection string into the TPM
  version                print the version
  help                   print this text

options
  -c, --config FILE      settings file (${SETTINGS_FILE})
  -s, --socket PATH      control socket of the running agent (as the file says)

options of tpm
      --enrollment       print the body of a DPS enrollment, nothing else
      --device-id ID     device id in it (the MAC address, as 0a1b2c3d4e5f)
      --qr               also draw registration id and endorsement key to scan
      --create           make keys that are missing, as a registration does

options of seal
      --replace          give up a key in the TPM that is not from seal
      --owner-password-file FILE   password of the TPM's owner, if it has one

options of tpm and seal
      --tpm PLACE        device, swtpm:HOST:PORT or swtpm:/PATH (${TPM_DEVICE},
                         seal: as the settings file says)
      --library PATH     libazimuth.so, where it is not found by itself

exit codes: 0 done, 1 refused or failed, 2 not understood
`;

/** What was found among the words of one command line. */
interface Words {
  readonly plain: readonly string[];
  readonly options: ReadonlyMap<string, string>;
}

/** Reads a command line without the program's own name. */
export function parseArguments(words: readonly string[]): Command | UsageProblem {
  const first = words[0];
  if (first === undefined) return { problem: "no command given; try azimuth help" };
  if (first === "--help" || first === "-h") return { name: "help" };
  if (first === "--version" || first === "-V") return { name: "version" };
  if (!isName(first)) return { problem: unknownCommand(first) };
  const rest = words.slice(1);
  if (rest.includes("--help") || rest.includes("-h")) return { name: "help" };
  const found = sortWords(first, rest);
  if ("problem" in found) return found;
  if (first === "led") return led(found);
  const extra = found.plain[0];
  if (extra !== undefined) {
    return { problem: `azimuth ${first} takes no argument ${JSON.stringify(extra)}` };
  }
  return simple(first, found);
}

function isName(word: string): word is Name {
  return (NAMES as readonly string[]).includes(word);
}

function unknownCommand(word: string): string {
  const near = nearest(word, NAMES);
  const hint = near === "" ? `allowed: ${NAMES.join(", ")}` : `did you mean ${near}?`;
  return `unknown command ${JSON.stringify(word)}; ${hint}`;
}

function sortWords(name: Name, words: readonly string[]): Words | UsageProblem {
  const plain: string[] = [];
  const options = new Map<string, string>();
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (!word.startsWith("-")) {
      plain.push(word);
      continue;
    }
    const equals = word.indexOf("=");
    const written = equals < 0 ? word : word.slice(0, equals);
    const option = optionsOf(name).find(({ long, short }) => [long, short].includes(written));
    if (option === undefined) return { problem: unknownOption(name, written) };
    if (options.has(option.long)) return { problem: `${option.long} is given twice` };
    let value = equals < 0 ? "" : word.slice(equals + 1);
    if (!option.takesValue) {
      if (equals >= 0) return { problem: `${option.long} takes no value` };
    } else {
      if (equals < 0) value = words[++index] ?? "";
      if (value === "") return { problem: `${written} needs a value` };
    }
    options.set(option.long, value);
  }
  return { plain, options };
}

function optionsOf(name: Name): readonly Option[] {
  return OPTIONS.filter((option) => option.of.includes(name));
}

function unknownOption(name: Name, word: string): string {
  const own = optionsOf(name).flatMap(({ long, short }) => (short === "" ? [long] : [long, short]));
  const near = nearest(word, own);
  const list = own.length === 0 ? "none" : own.join(", ");
  const hint = near === "" ? `allowed: ${list}` : `did you mean ${near}?`;
  return `azimuth ${name} has no option ${JSON.stringify(word)}; ${hint}`;
}

function reachOf(words: Words): Reach {
  const file = words.options.get("--config") ?? SETTINGS_FILE;
  return { file, socket: words.options.get("--socket") ?? "" };
}

function simple(name: Exclude<Name, "led">, words: Words): Command | UsageProblem {
  switch (name) {
    case "run":
    case "check":
      return { name, file: words.options.get("--config") ?? SETTINGS_FILE };
    case "status":
      return { name, reach: reachOf(words), isJson: words.options.has("--json") };
    case "connect":
    case "disconnect":
    case "reload":
      return { name, reach: reachOf(words) };
    case "tpm":
      return tpm(words.options);
    case "seal":
      return seal(words.options);
    case "version":
    case "help":
      return { name };
  }
}

function seal(options: Words["options"]): SealCommand | UsageProblem {
  const placeText = options.get("--tpm") ?? "";
  if (placeText !== "" && parsePlace(placeText) === undefined) return misplaced(placeText);
  return {
    name: "seal",
    file: options.get("--config") ?? SETTINGS_FILE,
    placeText,
    isReplacing: options.has("--replace"),
    ownerPasswordFile: options.get("--owner-password-file") ?? "",
    library: options.get("--library") ?? "",
  };
}

function misplaced(placeText: string): UsageProblem {
  return { problem: `--tpm ${JSON.stringify(placeText)}; allowed: ${PLACE_WORDS}` };
}

function tpm(options: Words["options"]): TpmCommand | UsageProblem {
  const placeText = options.get("--tpm") ?? TPM_DEVICE;
  const place = parsePlace(placeText);
  if (place === undefined) return misplaced(placeText);
  const isEnrollment = options.has("--enrollment");
  const outputs = ["--json", "--enrollment", "--qr"].filter((long) => options.has(long));
  if (outputs.length > 1) return { problem: `${outputs.join(" and ")} exclude each other` };
  const deviceId = options.get("--device-id") ?? "";
  if (deviceId !== "" && !isEnrollment) return { problem: "--device-id goes with --enrollment" };
  if (deviceId !== "" && !DEVICE_ID.test(deviceId)) {
    const allowed = "1 to 128 letters, digits and - . % _ * ? ! ( ) , : = @ $ '";
    return { problem: `--device-id ${JSON.stringify(deviceId)}; allowed: ${allowed}` };
  }
  return {
    name: "tpm",
    placeText,
    place,
    output: isEnrollment ? "enrollment" : options.has("--json") ? "json" : "text",
    deviceId,
    isScanned: options.has("--qr"),
    isCreating: options.has("--create"),
    library: options.get("--library") ?? "",
  };
}

function led(words: Words): Command | UsageProblem {
  const [lamp, word, extra] = words.plain;
  const action = ACTIONS.find((each) => each === word);
  if (lamp === undefined || action === undefined || extra !== undefined) {
    return { problem: "azimuth led wants a lamp and a state: azimuth led NAME on|off|auto" };
  }
  return { name: "led", reach: reachOf(words), lamp, action };
}
