// Chip: builds the way to a TPM from what an operator wrote.
// Neighbours: `run`, `tpm` and `seal` want a courier; `port/courier`, `port/tpm`, chips are it.
// Invariant: a library that cannot be loaded ends the process with the reason.

import { dirname } from "node:path";
import type { Chip, ChipEvents, TpmEvents } from "../core/effects.ts";
import type { TpmPlace } from "../core/place.ts";
import { TimerAlarm } from "../port/alarm.ts";
import { SystemClock } from "../port/clock.ts";
import { Courier } from "../port/courier.ts";
import { DeviceChip } from "../port/device.ts";
import { findLibrary } from "../port/library.ts";
import { SocketChip } from "../port/swtpm.ts";
import { Library } from "../port/tpm.ts";
import { fail } from "./speech.ts";

/** swtpm serves one program at a time and lets others wait without a word. */
export const FIRST_ANSWER_MS = 5_000;

/**
 * A courier to the TPM at `place`; `library` is the path of libazimuth.so, "" to look for it.
 * @param who the command, for the line that says why it ends
 */
export function makeCourier(
  events: TpmEvents,
  place: TpmPlace,
  library: string,
  who: string,
): Courier {
  return new Courier(
    events,
    openLibrary(library, who),
    new SystemClock(),
    (chipEvents) => makeChip(chipEvents, place),
    (onAlarm) => new TimerAlarm(onAlarm),
  );
}

function makeChip(events: ChipEvents, place: TpmPlace): Chip {
  return "device" in place ? new DeviceChip(events, place.device) : new SocketChip(events, place);
}

function openLibrary(path: string, who: string): Library {
  try {
    return new Library(path === "" ? findLibrary(process.execPath, dirname(Bun.main)) : path);
  } catch (error) {
    return fail([`${who}: ${error instanceof Error ? error.message : String(error)}`], 1);
  }
}
