// main: reads the arguments and hands over to the command that they name.
// Neighbours: `core/usage` understands the arguments; `command/*` builds ports and machines.
// Invariant: exit codes as documented: 0 done, 1 refused or failed with a reason, 2 usage.

import { check } from "./command/configuration.ts";
import { forward } from "./command/request.ts";
import { run } from "./command/run.ts";
import { seal } from "./command/seal.ts";
import { fail, say } from "./command/speech.ts";
import { tpm } from "./command/tpm.ts";
import { type Command, HELP, parseArguments } from "./core/usage.ts";
import { VERSION } from "./kit/version.ts";

function carryOut(command: Command): void | Promise<void> {
  switch (command.name) {
    case "run":
      return run(command.file);
    case "check":
      return check(command.file);
    case "status":
      return forward(command.reach, command.isJson ? ["status", "--json"] : ["status"]);
    case "connect":
    case "disconnect":
    case "reload":
      return forward(command.reach, [command.name]);
    case "led":
      return forward(command.reach, ["led", command.lamp, command.action]);
    case "tpm":
      return tpm(command);
    case "seal":
      return seal(command);
    case "version":
      say(`azimuth ${VERSION}`);
      return;
    case "help":
      say(HELP.trimEnd());
      return;
  }
}

const command = parseArguments(process.argv.slice(2));
if ("problem" in command) fail([`azimuth: ${command.problem}`], 2);
await carryOut(command);
