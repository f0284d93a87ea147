// Main: the demonstration: the production agent on local Azure, told as a story step by step.
// Neighbours: `world` holds the processes, `teller` plays `story`; `show` draws it on a terminal,
// `talk` does without a screen.
// Invariant: exit codes as in the help text; whichever way this process ends
// but by SIGKILL, its children have ended, its folder is gone and the terminal is as it was.

import type { Endpoint } from "./facts.ts";
import { fileLamp, type Lamp, namedLamp } from "./lamp.ts";
import { print, printError } from "./output.ts";
import { show } from "./show.ts";
import { recite, talk } from "./talk.ts";
import { canDraw, restore } from "./terminal.ts";
import { World } from "./world.ts";

const HELP = `usage: bun test/demo/main.ts [--keep] [--lamp FILE]
  --keep       leave the folder with settings and logs, and say where it is
  --lamp FILE  let this file be the lamp: 1 is lit, 0 is dark
environment
  ENDPOINT=tpm    the device proves who it is with a key in its TPM, which is swtpm here
                  and blank at first; DPS registers it. This is what happens without ENDPOINT
  ENDPOINT=sas    with the key of its connection string
  DEMO_LED=NAME   let the LED /sys/class/leds/NAME be the lamp
exit codes: 0 all that was played was seen, 1 not so, 2 not understood
`;

const ENDPOINTS: readonly Endpoint[] = ["tpm", "sas"];
const LOOPBACK = "localhost,127.0.0.1,::1";
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

interface Wishes {
  readonly endpoint: Endpoint;
  readonly isKept: boolean;
  readonly lamp: Lamp | undefined;
}

/** Ends with a usage problem in one line. */
function refuse(problem: string): never {
  printError(`demo: ${problem}\n`);
  process.exit(2);
}

function wishes(words: readonly string[], environment: NodeJS.ProcessEnv): Wishes {
  const wanted = environment.ENDPOINT || "tpm";
  const endpoint = ENDPOINTS.find((one) => one === wanted);
  if (endpoint === undefined) {
    refuse(`ENDPOINT=${JSON.stringify(wanted.slice(0, 40))} is not known; allowed: tpm, sas`);
  }
  let isKept = false;
  let lamp: Lamp | undefined;
  for (let index = 0; index < words.length; index++) {
    switch (words[index]) {
      case "--keep":
        isKept = true;
        break;
      case "--lamp": {
        const path = words[++index] ?? "";
        if (!path.startsWith("/")) refuse("--lamp wants an absolute path");
        lamp = fileLamp(path);
        break;
      }
      case "--help":
      case "-h":
        print(HELP);
        process.exit(0);
        break;
      default:
        refuse(`${JSON.stringify(words[index])} is not understood; allowed: --keep, --lamp FILE`);
    }
  }
  const led = environment.DEMO_LED ?? "";
  if (led === "" || lamp !== undefined) return { endpoint, isKept, lamp };
  try {
    return { endpoint, isKept, lamp: namedLamp(led) };
  } catch (error) {
    return refuse((error as Error).message);
  }
}

// Loopback is not reached through a proxy, neither by us nor by the children.
process.env.NO_PROXY = LOOPBACK;
process.env.no_proxy = LOOPBACK;
const wished = wishes(process.argv.slice(2), process.env);
const world = new World(wished);
let isLeaving = false;

async function leave(code: number, words: string): Promise<void> {
  // A second signal does not wait for anybody.
  if (isLeaving) process.exit(code);
  isLeaving = true;
  restore();
  if (words !== "") printError(`demo: ${words}\n`);
  await world.end();
  if (wished.isKept) print(`demo: kept ${world.folder}\n`);
  process.exit(code);
}

process.on("exit", () => {
  restore();
  world.endNow();
});
for (const [name, code] of Object.entries(SIGNALS)) {
  process.on(name, () => void leave(code, `ended by ${name}`));
}
function onDefect(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  void leave(1, `internal error: ${text}`);
}
process.on("uncaughtException", onDefect);
process.on("unhandledRejection", onDefect);

const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
const play = !isTerminal ? recite : canDraw(process.env) ? show : talk;
await leave((await play(world)) ? 0 : 1, "");
