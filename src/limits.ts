// Limits: every bound, interval and buffer size of the agent, in one place.
// Neighbours: all rooms but `kit` read it; `src/README.md` draws how the times relate.
// Invariant: the relations at the end hold, or the process does not start.

import { assert } from "./kit/assert.ts";

// Buffers and tables
/** Largest packet taken from the hub: a 128 KB method call or a full twin document fits. */
export const PACKET_BYTES_MAX = 256 * 1024;
/** Bytes waiting for the socket: the largest message we send plus the reserve. */
export const TRANSMIT_BYTES = 512 * 1024;
/** Of these messages leave so many free: acknowledgements, pings and twin requests always fit. */
export const TRANSMIT_RESERVE_BYTES = 64 * 1024;
/** Bytes of messages on their way to the hub, which has not acknowledged them yet. */
export const WINDOW_BYTES = 1024 * 1024;
/** Their number at most; a power of two. */
export const WINDOW_MESSAGES = 256;
/** Messages read from the store at once. */
export const LOAD_MESSAGES = 16;
/** A telemetry topic without its bag, as long as it may be: ids of 128 characters, escaped. */
export const TOPIC_BYTES_MAX = 820;
/** The queue: its default size and range. */
export const QUEUE_MB_DEFAULT = 64;
export const QUEUE_MB_MAX = 16_384;
export const QUEUE_MESSAGES_MAX = 100_000_000;
/**
 * Largest message to the hub, topic and body: the hub takes 256 KB of PUBLISH, in which the
 * topic's length and the identifier take 4 bytes (azure-docs, iot-hub-devguide-messages-construct).
 */
export const MESSAGE_BYTES_MAX = 256 * 1024 - 4;
/** maximum.payload.size, at most; beside a body of that size no topic would fit. */
export const BODY_BYTES_MAX = 256 * 1024;
/** Messages on their way into the store, which have not been accepted yet. */
export const PENDING_BYTES = 4 * 1024 * 1024;
export const PENDING_MESSAGES = 16 * 1024;
/** From this size on the journal of the store is copied into the database: 2 to 6 ms of work. */
export const JOURNAL_BYTES_FILL = 2 * 1024 * 1024;
/** Beyond this nothing is taken while another program keeps the journal from being emptied. */
export const JOURNAL_BYTES_MAX = 64 * 1024 * 1024;
/** Another program writes to the store: tried again after this; and for copying the journal. */
export const STORE_BUSY_MS = 20;
export const STORE_FILL_MS = 1_000;
/** The disk is full or refuses: tried again after this. */
export const STORE_REFUSED_MS = 1_000;
/** Waits between attempts to make a new store, doubling. */
export const STORE_REBUILD_MS_MIN = 5_000;
export const STORE_REBUILD_MS_MAX = 300_000;
/** Rows that one look for expired messages goes through; and those met while sending, a turn. */
export const EXPIRE_ROWS = 1_000;
export const EXPIRE_MET_MAX = 256;
/** A calendar before 2020-01-01 was never set: it tells no message's age. */
export const CALENDAR_S_MIN = 1_577_836_800;
/** Window of unacknowledged QoS 1 messages: default and range. */
export const IN_FLIGHT_DEFAULT = 8;
export const IN_FLIGHT_MAX = 128;
/** Effects that one step may ask for. */
export const EFFECT_SLOTS = 256;
/** Lamps that one settings file may name. */
export const LAMPS_MAX = 32;
/** Longest request number of a method call that is answered; the hub's own are a few digits. */
export const METHOD_RID_BYTES_MAX = 256;
/** Longest line a control client may send, and clients served at once. */
export const CONTROL_LINE_BYTES_MAX = 4096;
export const CONTROL_CLIENTS_MAX = 8;
/** Frames that wait for the socket when a WebSocket carries MQTT: at most so many bytes. */
export const FRAME_TRANSMIT_BYTES = 64 * 1024 - 1;
/** Longest frame taken from the hub, beyond any packet and any coalescing of packets. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;

// Steps of a connection, each with its own deadline
export const DIAL_MS = 20_000;
export const TLS_MS = 20_000;
export const CONNACK_MS = 30_000;
export const SUBACK_MS = 25_000;
export const PUBACK_MS = 30_000;
export const TWIN_ANSWER_MS = 25_000;
/** The uplink's own deadlines on the way; each ends before the link's, so that it can say more. */
export const PROXY_MS = 17_000;
export const UPGRADE_MS = 17_000;
/** Twin requests in a row without an answer before the link counts as dead. */
export const TWIN_TRIES = 3;
/** After DISCONNECT the hub has this long to close the socket. */
export const CLOSE_MS = 2_000;
export const SIGN_MS = 30_000;

// Keep-alive
/** Default of the keep-alive in CONNECT; the hub cuts at 1.5 times of it. */
export const KEEP_ALIVE_S_DEFAULT = 240;
export const KEEP_ALIVE_S_MIN = 10;
/** The hub's own bound: 29.45 min / 1.5 (azure-docs, iot-mqtt-connect-to-iot-hub). */
export const KEEP_ALIVE_S_MAX = 1177;
/** With something in flight and no byte from the hub for this long, ask whether it is there. */
export const SILENCE_MS = 10_000;
/** How long the hub may take to answer a ping. */
export const PINGRESP_MS = 15_000;
/** A dead link with something in flight must be noticed within this (design, decision 7). */
export const HALF_OPEN_MS = 30_000;

// Backoff between attempts: full jitter, doubling
export const BACKOFF_MS_MIN = 1_000;
export const BACKOFF_MS_MAX = 60_000;
/** Floor after the hub has said no (CONNACK 4 or 5): hammering it helps nobody. */
export const REFUSED_MS_MIN = 10_000;
/** connect.spread: default and range; `make sim HERD=1000` measures it. */
export const SPREAD_S_DEFAULT = 40;
export const SPREAD_S_MAX = 600;
/** A connection that lasted this long makes the next attempt count as a first one. */
export const STABLE_MS = 30_000;

// Credential
export const TOKEN_S = 3_600;
/** Renewal at 50 min, 5 % either way, so that a fleet does not renew as one. */
export const RENEW_S = 3_000;
export const RENEW_JITTER = 0.05;
/** A token with less than this left is not used for a new connection. */
export const TOKEN_LEFT_S_MIN = 600;
/** The hub's tolerance for a wrong clock (azure.md 4.2); beyond it the clock is the diagnosis. */
export const CLOCK_SKEW_S_MAX = 300;

// Provisioning
/** One request to DPS; and polls before a registration counts as failed. */
export const DPS_ANSWER_MS = 30_000;
export const DPS_POLLS_MAX = 60;
/** Life of the token that a registration is signed with. */
export const DPS_TOKEN_S = 3_600;
/** A whole procedure of the TPM: making a key on a slow chip takes a minute. */
export const TPM_PROCEDURE_MS = 300_000;
/** After that many refusals in a row, or that long, the hub is asked for by DPS again … */
export const REFUSALS_MAX = 10;
export const REFUSALS_MS_MAX = 900_000;
/** … and then at most so often, with half of it more by chance. */
export const REPROVISION_MS = 1_800_000;
/** Floor after the TPM has refused a password: more tries may lock it. */
export const TPM_REFUSED_MS_MIN = 600_000;

// Ways out of a site
/** How long port 443 is kept to once it has worked where 8883 was blocked. */
export const DETOUR_MS = 24 * 3_600_000;
// Certificate of the device
export const DAY_S = 86_400;
/** A certificate that ends within this is told of, at start and each day. */
export const CERTIFICATE_WARNING_S = 30 * DAY_S;
export const CERTIFICATE_CHECK_MS = DAY_S * 1000;

// Stopping
/** Default time that in-flight messages get before a clean disconnect. */
export const QUIESCE_S_DEFAULT = 10;
/** Longer has no effect: a message without PUBACK for PUBACK_MS ends the link. */
export const QUIESCE_S_MAX = 30;

// Telemetry
export const TELEMETRY_S_DEFAULT = 10;
export const TELEMETRY_S_MAX = 86_400;

// Diagnosis
/** A close this soon after a publish is blamed on that publish. */
export const BLAME_MS = 5_000;

// Connection schedule
/** connection.schedule.inactivity.interval.seconds: default, as in Kura, and range. */
export const INACTIVITY_S_DEFAULT = 60;
export const INACTIVITY_S_MAX = 86_400;
/** Between two looks at the calendar; longer, a clock that was set would go unseen. */
export const CLOCK_LOOK_MS = 60_000;
/** A clock that gains or loses more than this between two looks was set: plan again. */
export const CLOCK_JUMP_S = 60;
/** A moment that was jumped over is made up for, unless the clock had lost all sense. */
export const CLOCK_MISSED_S_MAX = 86_400;

// Recovery ladder
/** Between two rungs, however fast attempts fail. */
export const RUNG_MS_MIN = 300_000;
/** The cause of a rung must be durable within this, or the rung is left out. */
export const REMEMBER_MS = 30_000;
/** What a rung does must have ended, or the process with it. */
export const CLIMB_MS = 180_000;
/** The network hook may take so long; then it is killed. */
export const HOOK_MS = 120_000;
/** Between asking it to end and ending it; and how long its last words are waited for. */
export const HOOK_GRACE_MS = 5_000;
export const HOOK_WORDS_MS = 1_000;
/** Of what a hook says so many lines are logged, of so many characters. */
export const HOOK_LINES_MAX = 20;
export const HOOK_LINE_CHARACTERS_MAX = 200;
/** Default of connection.recovery.max.failures, as in Kura, and its range. */
export const FAILURES_DEFAULT = 10;
export const FAILURES_MAX = 1_000;
/** A day of the ladder, in running time: the calendar of a gateway without a clock may jump. */
export const LADDER_DAY_MS = 86_400_000;
/** Running time is noted so often; what a power cut takes of it makes the ladder slower only. */
export const LADDER_NOTE_MS = 900_000;
/** Rungs climbed that are remembered with their causes. */
export const LADDER_HISTORY = 16;
/** Longest detail that is kept with a cause. */
export const LADDER_TEXT_MAX = 200;
/** Rungs that a day may see: refresh, provision, restart, hook, reboot. */
export const RUNGS_A_DAY_DEFAULT: readonly number[] = [24, 12, 4, 4, 2];
/** Of each kind, whatever the settings say. */
export const RUNGS_A_DAY_MAX = 48;

/** Exit code of a process that wants to be started again: EX_TEMPFAIL of sysexits.h. */
export const EXIT_RESTART = 75;

// Draining the backlog
export { PRIORITIES } from "./kit/key.ts";
/** Of the sends, in percent, at least so many go to less urgent messages that wait. */
export const BACKLOG_SHARE_DEFAULT = 20;
export const BACKLOG_SHARE_MAX = 50;
/** Kura's rate limit spares priorities below this. */
export const LIMITED_PRIORITY_MIN = 5;
/** Slowed down no further than this, in messages a second. */
export const RATE_MIN = 0.1;
/** Faster than this the hub has not been too slow for long: no limit any more. */
export const RATE_MAX = 1_000;
/** After a cut, the rate is back where it was after this, and grows twice as fast from then on. */
export const RATE_RECOVER_MS = 120_000;
/** Messages may come so much earlier than evenly spaced, so that one wake sends several. */
export const RATE_BURST_MS = 100;
/** Throttled twice within this is throttled once. */
export const RATE_CUT_MS_MIN = 5_000;
/** A close at this rate, or two within this time, may be the hub's way to say 429002. */
export const RATE_SUSPECT = 10;
export const RATE_SUSPECT_MS = 600_000;

// Metrics
/** Largest text of all metrics; what does not fit is left out. */
export const METRICS_BYTES_MAX = 64 * 1024;
export const METRICS_S_DEFAULT = 15;
export const METRICS_S_MAX = 3_600;

// Watchdogs
/** Time that the hardware watchdog is asked to give: default and range. */
export const WATCHDOG_S_DEFAULT = 60;
export const WATCHDOG_S_MIN = 5;
export const WATCHDOG_S_MAX = 3_600;
/** Signs of life within the time that a watchdog gives. */
export const PULSES = 4;
/** Signs of life come no faster than this: an idle gateway wakes less than 5 times a second. */
export const PULSE_MS_MIN = 250;
/** After a reboot was asked for, signs of life go on for this long; then the hardware does it. */
export const PULSE_LAST_MS = 300_000;

/** Checks the relations between the figures above; called once at start. */
export function assertLimits(): void {
  assert(SILENCE_MS + PINGRESP_MS < HALF_OPEN_MS, "a half-open link is noticed in time");
  assert(QUIESCE_S_MAX * 1000 <= PUBACK_MS, "a quiesce that is allowed can be waited for");
  assert(PUBACK_MS <= HALF_OPEN_MS, "a missing PUBACK is noticed in time");
  assert(PROXY_MS < DIAL_MS, "a silent proxy is named before the dial is given up");
  assert(UPGRADE_MS < TLS_MS, "a WebSocket refused in silence is named before TLS is blamed");
  assert(RENEW_S * (1 + RENEW_JITTER) < TOKEN_S - CLOCK_SKEW_S_MAX, "renewal precedes expiry");
  const needBytes = MESSAGE_BYTES_MAX + TRANSMIT_RESERVE_BYTES;
  assert(TRANSMIT_BYTES >= needBytes, "the largest message leaves the reserve free");
  assert(WINDOW_BYTES >= 2 * MESSAGE_BYTES_MAX, "the window holds the largest message");
  assert(PENDING_BYTES >= 2 * MESSAGE_BYTES_MAX, "the largest message can be on its way");
  assert(JOURNAL_BYTES_FILL < JOURNAL_BYTES_MAX, "the journal is emptied before it is full");
  assert((WINDOW_MESSAGES & (WINDOW_MESSAGES - 1)) === 0, "window slots are a power of two");
  assert(2 * IN_FLIGHT_MAX <= WINDOW_MESSAGES, "the window holds what may be in flight");
  // A new twin document: each lamp is driven and then logs its pin and its light.
  const lampSlots = 3 * LAMPS_MAX;
  const clientSlots = 2 * CONTROL_CLIENTS_MAX;
  assert(lampSlots + clientSlots + 16 <= EFFECT_SLOTS, "the effects of the largest step fit");
  assert(CLOCK_LOOK_MS < CLOCK_MISSED_S_MAX * 1000, "a moment slept over is made up for");
  assert(RATE_MIN < RATE_SUSPECT && RATE_SUSPECT < RATE_MAX, "a suspect rate can be cut");
  assert(REMEMBER_MS + CLIMB_MS <= RUNG_MS_MIN, "a rung has ended before the next is due");
  assert(HOOK_MS + HOOK_GRACE_MS + HOOK_WORDS_MS < CLIMB_MS, "a hook has ended before its rung");
  assert(CLIMB_MS < PULSE_LAST_MS, "a reboot has its time before the watchdog takes over");
  const spreadMs = SPREAD_S_DEFAULT * 1000;
  assert(3 * spreadMs <= 2 * BACKOFF_MS_MAX, "a fleet's first attempts are over before others");
  assert(BACKOFF_MS_MIN <= REFUSED_MS_MIN && REFUSED_MS_MIN <= BACKOFF_MS_MAX, "floors are floors");
}
