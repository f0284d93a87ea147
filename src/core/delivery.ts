// Delivery: sections [data] and [telemetry] of the settings: how messages are kept and sent.
// Neighbours: `schema` has these keys in its table; `validate` reads the values from its sheet.
// Invariant: names, and meaning unless said otherwise, are those of Kura's DataService.

import {
  BACKLOG_SHARE_DEFAULT,
  BACKLOG_SHARE_MAX,
  BACKOFF_MS_MAX,
  BODY_BYTES_MAX,
  IN_FLIGHT_DEFAULT,
  IN_FLIGHT_MAX,
  MESSAGE_BYTES_MAX,
  QUEUE_MB_DEFAULT,
  QUEUE_MB_MAX,
  QUEUE_MESSAGES_MAX,
  QUIESCE_S_DEFAULT,
  QUIESCE_S_MAX,
  SPREAD_S_DEFAULT,
  SPREAD_S_MAX,
  TELEMETRY_S_DEFAULT,
  TELEMETRY_S_MAX,
} from "../limits.ts";
import { PATIENCE_KEYS } from "./care.ts";
import { Applies, BOOLEAN, choices, integer, type Key } from "./key.ts";
import { WhenFull } from "./outbox.ts";
import type { DataSettings, TelemetrySettings } from "./settings.ts";
import type { Sheet } from "./sheet.ts";
import { TIMETABLE_KEYS } from "./timetable.ts";

/** The keys, in the order of `conf/azimuth.ini`. */
export const DELIVERY_KEYS: readonly Key[] = [
  {
    section: "data",
    name: "connect.auto-on-startup",
    value: BOOLEAN,
    fallback: "false",
    applies: Applies.AT_ONCE,
    meaning:
      "Connect when the agent starts; changed to true it connects at once, changed to false it " +
      "leaves a live connection alone.",
  },
  {
    section: "data",
    name: "connect.retry-interval",
    value: integer(1, 3600, "seconds"),
    fallback: String(BACKOFF_MS_MAX / 1000),
    applies: Applies.AT_ONCE,
    meaning: "Longest wait between two attempts to connect; waits are random and grow to this.",
  },
  {
    section: "data",
    name: "connect.spread",
    value: integer(0, SPREAD_S_MAX, "seconds"),
    fallback: String(SPREAD_S_DEFAULT),
    applies: Applies.AT_ONCE,
    meaning:
      "The hub has closed or reset a connection, perhaps the whole fleet's: connect again at a " +
      "random moment within this time, or the one above where that is shorter; 0: at once.",
  },
  {
    section: "data",
    name: "disconnect.quiesce-timeout",
    value: integer(0, QUIESCE_S_MAX, "seconds"),
    fallback: String(QUIESCE_S_DEFAULT),
    applies: Applies.AT_ONCE,
    meaning:
      "How long a disconnect or a stop waits for acknowledgements; what waits stays in the store.",
  },
  {
    section: "data",
    name: "in-flight-messages.max-number",
    value: integer(1, IN_FLIGHT_MAX, "messages"),
    fallback: String(IN_FLIGHT_DEFAULT),
    applies: Applies.AT_ONCE,
    meaning: "Messages sent and not yet acknowledged at any one time.",
  },
  {
    section: "data",
    name: "in-flight-messages.republish-on-new-session",
    value: BOOLEAN,
    fallback: "true",
    applies: Applies.AT_ONCE,
    meaning:
      "Messages without acknowledgement go out again in a new session; false: they are given up.",
  },
  {
    section: "data",
    name: "in-flight-messages.congestion-timeout",
    value: integer(0, 3600, "seconds"),
    fallback: "0",
    applies: Applies.AT_ONCE,
    meaning: "Connect anew when the number above stays reached for so long; 0: never.",
  },
  {
    section: "data",
    name: "maximum.payload.size",
    value: integer(1, BODY_BYTES_MAX, "bytes"),
    fallback: String(BODY_BYTES_MAX),
    applies: Applies.AT_ONCE,
    meaning: "Longest body of a message; topic and body together may have 262,140.",
  },
  {
    section: "data",
    name: "store.place",
    value: choices("disk", "memory"),
    fallback: "disk",
    applies: Applies.RESTART,
    meaning:
      "Where messages wait; disk: in state-dir, where they outlive power cuts; memory: until the " +
      "agent stops.",
  },
  {
    section: "data",
    name: "store.size",
    value: integer(1, QUEUE_MB_MAX, "MB"),
    fallback: String(QUEUE_MB_DEFAULT),
    applies: Applies.RESTART,
    meaning: "What all messages that wait may need together.",
  },
  {
    section: "data",
    name: "store.capacity",
    value: integer(0, QUEUE_MESSAGES_MAX, "messages"),
    fallback: "0",
    applies: Applies.AT_ONCE,
    meaning:
      "How many messages may wait; priorities 0 and 1 are taken all the same; 0: as many as fit.",
  },
  {
    section: "data",
    name: "store.when-full",
    value: choices("drop-oldest", "drop-newest", "refuse"),
    fallback: "drop-oldest",
    applies: Applies.AT_ONCE,
    meaning:
      "What gives way when no more fits; drop-oldest: the oldest of the least urgent, but none " +
      "more urgent than the new message; drop-newest: the new one; refuse: its maker is told.",
  },
  {
    section: "data",
    name: "store.housekeeper-interval",
    value: integer(5, 86_400, "seconds"),
    fallback: "900",
    applies: Applies.AT_ONCE,
    meaning: "Time between two looks for messages whose time to live is over.",
  },
  {
    section: "data",
    name: "backlog.share",
    value: integer(1, BACKLOG_SHARE_MAX, "percent"),
    fallback: String(BACKLOG_SHARE_DEFAULT),
    applies: Applies.AT_ONCE,
    meaning:
      "Part of the sends that less urgent messages get, at least, while more urgent ones wait.",
  },
  {
    section: "data",
    name: "enable.rate.limit",
    value: BOOLEAN,
    fallback: "false",
    applies: Applies.AT_ONCE,
    meaning: "Send messages of priority 5 to 9 no faster than the next three keys say.",
  },
  {
    section: "data",
    name: "rate.limit.average",
    value: integer(1, 100_000, "messages"),
    fallback: "1",
    applies: Applies.AT_ONCE,
    meaning: "Messages for each unit of time.",
  },
  {
    section: "data",
    name: "rate.limit.time.unit",
    value: choices("seconds", "minutes", "hours", "days"),
    fallback: "seconds",
    applies: Applies.AT_ONCE,
    meaning: "The unit of time.",
  },
  {
    section: "data",
    name: "rate.limit.burst.size",
    value: integer(1, 100_000, "messages"),
    fallback: "1",
    applies: Applies.AT_ONCE,
    meaning: "Messages at once after a pause.",
  },
  ...TIMETABLE_KEYS,
  ...PATIENCE_KEYS,
  {
    section: "telemetry",
    name: "interval",
    value: integer(0, TELEMETRY_S_MAX, "seconds"),
    fallback: String(TELEMETRY_S_DEFAULT),
    applies: Applies.AT_ONCE,
    meaning: "Time between two messages of built-in telemetry; 0 switches it off.",
  },
  {
    section: "telemetry",
    name: "priority",
    value: integer(0, 9, ""),
    fallback: "7",
    applies: Applies.AT_ONCE,
    meaning: "How urgent it is; 0 is the most urgent. Order is kept within a priority.",
  },
  {
    section: "telemetry",
    name: "time-to-live",
    value: integer(0, 31_536_000, "seconds"),
    fallback: "0",
    applies: Applies.AT_ONCE,
    meaning: "After that nobody wants a message any more; 0: always.",
  },
];

const WHEN_FULL: Readonly<Record<string, WhenFull>> = {
  "drop-oldest": WhenFull.DROP_OLDEST,
  "drop-newest": WhenFull.DROP_NEWEST,
  refuse: WhenFull.REFUSE,
};
const UNITS_MS: Readonly<Record<string, number>> = {
  seconds: 1_000,
  minutes: 60_000,
  hours: 3_600_000,
  days: 86_400_000,
};
const MB = 1024 * 1024;

/** Section [data] of a sheet without problems. */
export function dataOf(sheet: Sheet): DataSettings {
  const number = (name: string): number => sheet.number("data", name);
  const word = (name: string): string => sheet.text("data", name).toLowerCase();
  return {
    autoOnStartup: sheet.isTrue("data", "connect.auto-on-startup"),
    retryIntervalS: number("connect.retry-interval"),
    connectSpreadS: number("connect.spread"),
    quiesceTimeoutS: number("disconnect.quiesce-timeout"),
    inFlightMax: number("in-flight-messages.max-number"),
    isRepublished: sheet.isTrue("data", "in-flight-messages.republish-on-new-session"),
    congestionS: number("in-flight-messages.congestion-timeout"),
    bounds: {
      bytesMax: number("store.size") * MB,
      countMax: number("store.capacity"),
      whenFull: WHEN_FULL[word("store.when-full")]!,
      messageBytesMax: MESSAGE_BYTES_MAX,
      bodyBytesMax: number("maximum.payload.size"),
    },
    drain: {
      sharePercent: number("backlog.share"),
      limit: sheet.isTrue("data", "enable.rate.limit")
        ? {
            average: number("rate.limit.average"),
            unitMs: UNITS_MS[word("rate.limit.time.unit")]!,
            burst: number("rate.limit.burst.size"),
          }
        : null,
    },
    purgeIntervalS: number("store.housekeeper-interval"),
    isDurable: word("store.place") === "disk",
  };
}

/** Section [telemetry] of a sheet without problems. */
export function telemetryOf(sheet: Sheet): TelemetrySettings {
  return {
    intervalS: sheet.number("telemetry", "interval"),
    priority: sheet.number("telemetry", "priority"),
    ttlS: sheet.number("telemetry", "time-to-live"),
  };
}
