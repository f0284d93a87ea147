// main: reads the arguments and hands over to the command that they name.
// Neighbours: `core/usage` understands the arguments; `command/*` builds ports and machines.
// Invariant: exit codes as documented: 0 done, 1 refused or failed with a reason, 2 usage.

import { fail, say } from "./command/speech.ts";
import { type Command, HELP, parseArguments, type Reach } from "./core/usage.ts";
import { VERSION } from "./kit/version.ts";

/** Loads what the command needs and nothing else: what the agent never uses is no memory of its. */
async function carryOut(command: Command): Promise<void> {
  switch (command.name) {
    case "run":
      return (await import("./command/run.ts")).run(command.file);
    case "check":
      return (await import("./command/configuration.ts")).check(command.file);
    case "status":
      return forward(command.reach, command.isJson ? ["status", "--json"] : ["status"]);
    case "connect":
    case "disconnect":
    case "reload":
      return forward(command.reach, [command.name]);
    case "led":
      return forward(command.reach, ["led", command.lamp, command.action]);
    case "tpm":
      return (await import("./command/tpm.ts")).tpm(command);
    case "seal":
      return (await import("./command/seal.ts")).seal(command);
    case "version":
      say(`azimuth ${VERSION}`);
      return;
    case "help":
      say(HELP.trimEnd());
      return;
  }
}

async function forward(reach: Reach, words: readonly string[]): Promise<void> {
  await (await import("./command/request.ts")).forward(reach, words);
}

const command = parseArguments(process.argv.slice(2));
if ("problem" in command) fail([`azimuth: ${command.problem}`], 2);
await carryOut(command);
