// Lamp: the LED that the agent drives, and how the demonstration looks at it.
// Neighbours: `world` writes it into the agent's settings and reads it; `story` judges what it saw.
// Invariant: only reads; what the lamp shows comes from its file, never from what the agent says.

import { accessSync, constants, readdirSync, readFileSync } from "node:fs";

/** What the lamp shows. */
export enum Light {
  /** There is no lamp file to look at. */
  NONE,
  DARK,
  LIT,
}

/** A lamp by the driver that the agent uses. */
export interface Lamp {
  readonly driver: "file" | "leds";
  /** `target` in the agent's settings: a path, or a name below /sys/class/leds. */
  readonly target: string;
  /** The file that shows its state. */
  readonly file: string;
}

const LEDS = "/sys/class/leds";

/** A lamp that is a plain file. */
export function fileLamp(path: string): Lamp {
  return { driver: "file", target: path, file: path };
}

/**
 * A lamp of the LED class. Throws one line when there is none of that name, or no permission.
 * @param folder in place of /sys/class/leds, for tests
 */
export function namedLamp(name: string, folder = LEDS): Lamp {
  const file = `${folder}/${name}/brightness`;
  try {
    accessSync(file, constants.R_OK | constants.W_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`DEMO_LED=${name}: ${file} is not writable (${code}); ${names(folder)}`);
  }
  return { driver: "leds", target: name, file };
}

/** Looks at the lamp. */
export function light(lamp: Lamp): Light {
  try {
    return Number(readFileSync(lamp.file, "utf8")) > 0 ? Light.LIT : Light.DARK;
  } catch {
    return Light.NONE;
  }
}

/** The lamp in a word. */
export function lightWord(state: Light): string {
  return ["absent", "dark", "lit"][state]!;
}

function names(folder: string): string {
  try {
    const all = readdirSync(folder).sort();
    if (all.length > 0) return `there are: ${all.join(", ")}`;
  } catch {
    // said below
  }
  return "this machine has no LED there; leave DEMO_LED out for a lamp that is a file";
}
