// Command: what a control client may ask of the running agent.
// Neighbours: the control port brings the words, `agent` and `lamps` do what they say.
// Invariant: each request is answered exactly once, at once or when its outcome is known; a word
// that is not understood changes nothing and is answered with what is allowed.

import type { Agent } from "./agent.ts";
import type { Effects } from "./effects.ts";
import { Hold } from "./lamp.ts";
import { statusOf, statusText } from "./status.ts";

const HOLDS: { readonly [word: string]: Hold } = { on: Hold.ON, off: Hold.OFF, auto: Hold.AUTO };

/** Carries out one request of control client `client`. */
export function command(
  agent: Agent,
  effects: Effects,
  client: number,
  words: readonly string[],
): void {
  const [verb = "", ...rest] = words;
  switch (verb) {
    case "status":
      return status(agent, effects, client, rest);
    case "connect":
      if (!agent.connect(client)) effects.reply(client, false, "azimuth is stopping");
      return;
    case "disconnect":
      if (!agent.disconnect(client)) effects.reply(client, false, "azimuth is stopping");
      return;
    case "reload":
      return effects.reload(client);
    case "led":
      return led(agent, effects, client, rest);
    default: {
      const allowed = "allowed: status, connect, disconnect, reload, led";
      effects.reply(client, false, `unknown request "${verb.slice(0, 40)}"; ${allowed}`);
    }
  }
}

function status(agent: Agent, effects: Effects, client: number, rest: readonly string[]): void {
  const json = rest[0] === "--json";
  effects.reply(client, true, json ? JSON.stringify(statusOf(agent)) : statusText(agent));
}

function led(agent: Agent, effects: Effects, client: number, rest: readonly string[]): void {
  const [name = "", word = ""] = rest;
  const hold = Object.hasOwn(HOLDS, word) ? HOLDS[word] : undefined;
  if (hold === undefined || rest.length !== 2) {
    return effects.reply(client, false, "usage: led NAME on|off|auto");
  }
  if (!agent.machines.lamps.hold(name, hold)) {
    const names = agent.machines.lamps.all.map((lamp) => lamp.name).join(", ");
    const known = names === "" ? "the settings name none" : `allowed: ${names}`;
    return effects.reply(client, false, `no LED named "${name.slice(0, 40)}"; ${known}`);
  }
  effects.reply(client, true, `${name} ${word}`);
}
