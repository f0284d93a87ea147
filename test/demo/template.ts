// Template: the agent's settings file of the demonstration, made from conf/demo.ini.
// Neighbours: `world` writes the result into its folder and starts the agent with it.
// Invariant: the shipped file is used as it stands; a name that nobody fills in is an error.

import type { Lamp } from "./lamp.ts";

/** What is filled in. */
export interface Values {
  readonly FOLDER: string;
  readonly MQTT_PORT: string;
  readonly HTTPS_PORT: string;
  readonly ID_SCOPE: string;
}

/** Fills in the names between @ and, where it is not the file of the template, the lamp. */
export function fill(template: string, values: Values, lamp: Lamp): string {
  const filled = template.replace(/@([A-Z_]+)@/g, (whole, name: string) => {
    const value = (values as unknown as Record<string, string | undefined>)[name];
    if (value === undefined) throw new Error(`demo.ini: nobody fills in ${whole}`);
    return value;
  });
  const driven = put(filled, "driver", lamp.driver);
  return put(driven, "target", JSON.stringify(lamp.target));
}

function put(text: string, key: string, value: string): string {
  const line = new RegExp(`^${key} *=.*$`, "m");
  if (!line.test(text)) throw new Error(`demo.ini: has no key ${key}`);
  return text.replace(line, () => `${key} = ${value}`);
}

/** The variables of a file of NAME=VALUE lines; lines that begin with # are comments. */
export function variables(text: string): Record<string, string> {
  const lines = text.split("\n").filter((line) => /^[A-Za-z_]\w*=/.test(line));
  return Object.fromEntries(lines.map((line) => [line.split("=", 1)[0], afterEquals(line)]));
}

function afterEquals(line: string): string {
  return line.slice(line.indexOf("=") + 1).trim();
}
