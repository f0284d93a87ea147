// Request: commands that the running agent carries out.
// Neighbours: `port/control` reaches it; `core/command` understands the words there.
// Invariant: the agent's answer is the command's, with its exit code.

import { Sheet } from "../core/sheet.ts";
import type { Reach } from "../core/usage.ts";
import { ask } from "../port/control.ts";
import { load } from "../port/settings.ts";
import { fail, say } from "./speech.ts";

/** Longer than any attempt to connect can take: dial, TLS and CONNACK each have their deadline. */
const ASK_MS = 120_000;

/** The control socket that the settings file names, however broken the rest of it is. */
function socketOf(reach: Reach): string {
  if (reach.socket !== "") return reach.socket;
  const { entries, problems } = load(reach.file);
  const unread = problems.find((problem) => problem.line === 0);
  if (unread !== undefined) {
    const [reason = ""] = unread.text.split(";");
    const first = reason === "permission denied" ? "run as root or give" : "give --config FILE or";
    fail([`azimuth: ${reach.file}: ${reason}; ${first} --socket PATH`], 1);
  }
  return new Sheet(entries, []).text("agent", "control-socket");
}

/** A command that the running agent carries out. */
export async function forward(reach: Reach, words: readonly string[]): Promise<void> {
  const answer = await ask(socketOf(reach), words, ASK_MS);
  if (!answer.ok) fail([`azimuth: ${answer.text}`], 1);
  say(answer.text);
}
