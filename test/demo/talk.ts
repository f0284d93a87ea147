// Talk: the demonstration in plain lines, for pipes and for terminals that cannot be drawn on.
// Neighbours: `teller` plays the story; `commands` carries out what is typed after it; `show` is
// the same with a picture.
// Invariant: one line a step, each saying what was seen, under what was typed for it; nothing but
// printable text is written.

import { Commands } from "./commands.ts";
import { WORDS, wordOf } from "./keys.ts";
import { print } from "./output.ts";
import { STORIES } from "./story.ts";
import { noteLine, outcomeNotes, tell } from "./teller.ts";
import type { World } from "./world.ts";

const TAIL_LINES = 12;

/** Plays the story; true when all of it was seen. */
export async function recite(world: World): Promise<boolean> {
  const story = STORIES[world.endpoint];
  const count = await tell(story, world, {
    onStep: (_number, _title, typed) => {
      if (typed.length > 0) print(`     $ ${typed.join(" ")}\n`);
    },
    onOutcome: (number, outcome) => {
      const lines = outcomeNotes(outcome, String(number)).map(noteLine);
      print(`${[...lines, ...(outcome.ok ? [] : world.tails(TAIL_LINES))].join("\n")}\n`);
    },
  });
  print(`${countLine(count, story.length)}\n`);
  return count === story.length;
}

/** The line that ends the story. */
export function countLine(count: number, all: number): string {
  return `demo: ${count} of ${all} steps seen`;
}

/** Plays the story, then carries out lines of stdin until `quit`, its end, or a death. */
export async function talk(world: World): Promise<boolean> {
  const isSeen = await recite(world);
  if (world.facts.death !== "") return false;
  const commands = new Commands(world, (note) => {
    // What was typed stands there already.
    if (note.mark !== ">") print(`${noteLine(note)}\n`);
  });
  print(`commands: ${WORDS.join(" ")}\n> `);
  for await (const line of console) {
    if (wordOf(line) === "quit") return isSeen;
    if (line.trim() !== "") await commands.run(line);
    if (world.facts.death !== "") return false;
    print("> ");
  }
  print("\n");
  return isSeen;
}
