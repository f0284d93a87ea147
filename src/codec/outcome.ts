// Outcome: what an answer of the TPM means for the agent, and in words.
// Neighbours: the TPM port reports codes; the TPM machine asks here what to do about them.
// Invariant: every code has a kind; unknown ones are REFUSED by the TPM or LOST on the way.

/** What to do: the rows of the table of TPM failures. */
export enum Outcome {
  DONE,
  /** RETRY, TESTING, YIELDED: the port has repeated it in vain; later again. */
  BUSY,
  /** The TPM spares its memory, or it cannot be written now: seconds later again. */
  SLOW,
  /** Too many wrong passwords: no use to try before the recovery time has gone by. */
  LOCKED,
  /** Wrong password: never repeat by itself, each time counts towards the lockout. */
  PASSWORD,
  /** There is nothing at this handle. */
  ABSENT,
  /** Startup is missing. */
  UNSTARTED,
  /** Sessions or objects are gone: drop them, start the procedure again from its start. */
  RESTARTED,
  /** No room for objects or sessions: flush, then again. */
  FULL,
  /** The TPM has failed for good, until it is reset. */
  FAILED,
  /** No answer came, or none that can be trusted; everything made before is gone. */
  LOST,
  /** Refused for another reason; the text tells which. */
  REFUSED,
}

/** Codes that the port gives itself: no connection to the TPM; the TPM did not answer in time. */
export const RC_LOST = 0x000b000a;
export const RC_SILENT = 0x00f00006;
/** TPM_RC_INITIALIZE: also what Startup answers when it was done before. */
export const RC_INITIALIZE = 0x100;

const PLAIN: Readonly<Record<number, readonly [Outcome, string]>> = {
  0: [Outcome.DONE, "success"],
  256: [Outcome.UNSTARTED, "TPM2_Startup is missing or was done before"],
  257: [Outcome.FAILED, "the TPM is in failure mode"],
  288: [Outcome.REFUSED, "the command is disabled"],
  289: [Outcome.REFUSED, "the command does not go with this audit session"],
  303: [Outcome.REFUSED, "the command needs another hierarchy's authorisation"],
  304: [Outcome.RESTARTED, "the TPM must be restarted"],
  323: [Outcome.REFUSED, "the TPM does not know this command"],
  331: [Outcome.REFUSED, "no room in the memory for persistent objects"],
  332: [Outcome.REFUSED, "this persistent handle is in use"],
  2305: [Outcome.FULL, "gap between session contexts too large"],
  2306: [Outcome.FULL, "no room for another object"],
  2307: [Outcome.FULL, "no room for another session"],
  2308: [Outcome.FULL, "out of memory"],
  2309: [Outcome.FULL, "out of session handles"],
  2310: [Outcome.FULL, "out of object handles"],
  2312: [Outcome.BUSY, "the TPM has interrupted the command"],
  2313: [Outcome.REFUSED, "the command was cancelled"],
  2314: [Outcome.BUSY, "the TPM is testing itself"],
  2336: [Outcome.SLOW, "the TPM limits the rate of writes to its memory"],
  2337: [Outcome.LOCKED, "locked out after too many wrong passwords"],
  2338: [Outcome.BUSY, "the TPM was not ready"],
  2339: [Outcome.SLOW, "the TPM's memory cannot be written now"],
  [RC_LOST]: [Outcome.LOST, "no connection to the TPM"],
  15728641: [Outcome.REFUSED, "what was to be sent is no sound structure"],
  15728642: [Outcome.RESTARTED, "the object is not known any more"],
  15728643: [Outcome.RESTARTED, "the session is not known any more"],
  15728644: [Outcome.LOST, "another command is under way"],
  15728645: [Outcome.FULL, "too many objects and sessions are in use"],
  [RC_SILENT]: [Outcome.LOST, "the TPM did not answer in time"],
};

/** Codes about one handle, parameter or session (part 2, 6.6.2), without saying which. */
const FORMAT_ONE: Readonly<Record<number, readonly [Outcome, string]>> = {
  132: [Outcome.REFUSED, "value out of range"],
  139: [Outcome.ABSENT, "there is nothing at this handle"],
  142: [Outcome.PASSWORD, "wrong password; it counts towards the lockout"],
  146: [Outcome.REFUSED, "scheme not supported"],
  149: [Outcome.REFUSED, "wrong size"],
  157: [Outcome.REFUSED, "the policy of the key is not fulfilled"],
  159: [Outcome.REFUSED, "integrity check failed: made for another TPM or key, or damaged"],
  162: [Outcome.PASSWORD, "wrong password"],
};

const SESSION_GONE_FIRST = 0x910;
const SESSION_GONE_LAST = 0x91e;
const FORMAT_ONE_BIT = 0x80;

/** The kind of a code, as the TPM, tpm2-tss or the port gave it. */
export function outcomeOf(rc: number): Outcome {
  return entryOf(rc)[0];
}

/** One line: the code in hexadecimal and what it means. */
export function outcomeText(rc: number): string {
  return `0x${rc.toString(16)}: ${entryOf(rc)[1]}${subjectOf(rc)}`;
}

function entryOf(rc: number): readonly [Outcome, string] {
  const known = PLAIN[rc];
  if (known !== undefined) return known;
  const layer = rc >>> 16;
  // The kernel's resource manager puts its layer before some codes of the TPM (0x000b0143).
  if (layer === 0x0b || layer === 0x0c) {
    const inner = rc & 0xffff;
    return inner >= 0x80 ? entryOf(inner) : [Outcome.LOST, "the resource manager failed"];
  }
  if (layer !== 0) return [Outcome.LOST, "the answer of the TPM is not sound"];
  if (rc >= SESSION_GONE_FIRST && rc <= SESSION_GONE_LAST) {
    return [Outcome.RESTARTED, "a session or object is gone"];
  }
  const code = rc & 0xbf;
  const isFormatOne = (rc & FORMAT_ONE_BIT) !== 0;
  return (isFormatOne && FORMAT_ONE[code]) || [Outcome.REFUSED, "refused by the TPM"];
}

/** Which handle, parameter or session a code of format one speaks of. */
function subjectOf(rc: number): string {
  if (rc >>> 16 !== 0 || (rc & FORMAT_ONE_BIT) === 0) return "";
  const number = (rc >> 8) & 0x0f;
  if ((rc & 0x40) !== 0) return ` (parameter ${number})`;
  if (number === 0) return "";
  return number >= 8 ? ` (session ${number - 8})` : ` (handle ${number})`;
}
