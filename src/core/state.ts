// State: the states of the agent and what leads from one to another.
// Neighbours: `agent` is the machine; its test walks this table cell by cell, `status` shows the
// names.
// Invariant: every event has a cell in every state.

// state        | connect  | disconnect | stop     | signed   | sign failed
// IDLE         | attempt  | HELD       | STOPPED  | (kept)   | -
// HELD         | attempt  | (told)     | STOPPED  | (kept)   | -
// WAITING      | attempt  | HELD       | STOPPED  | (kept)   | -
// PROVISIONING | (joined) | HELD       | STOPPED  | stray    | stray
// SIGNING      | (joined) | HELD       | STOPPED  | attempt  | WAITING
// LINKING      | (joined) | HELD       | STOPPED  | stray    | stray
// ONLINE       | (told)   | HOLDING    | STOPPING | RENEWING | (again)
// RENEWING     | (joined) | HOLDING    | STOPPING | (kept)   | -
// HOLDING      | RENEWING | (joined)   | STOPPING | (kept)   | -
// PAUSING      | RENEWING | HOLDING    | STOPPING | (kept)   | -
// STOPPING     | refused  | refused    | -        | (kept)   | -
// STOPPED      | refused  | refused    | -        | (kept)   | -
//
// state        | connack | link down | deadline | registered | not registered
// IDLE         | -       | stray     | -        | stray      | stray
// HELD         | -       | stray     | -        | stray      | stray
// WAITING      | -       | stray     | attempt  | stray      | stray
// PROVISIONING | -       | stray     | WAITING  | attempt    | WAITING
// SIGNING      | -       | stray     | WAITING  | stray      | stray
// LINKING      | ONLINE  | WAITING   | WAITING  | stray      | stray
// ONLINE       | WAITING | WAITING   | sign     | stray      | stray
// RENEWING     | attempt | attempt   | close    | stray      | stray
// HOLDING      | HELD    | HELD      | close    | stray      | stray
// PAUSING      | IDLE    | IDLE      | IDLE     | stray      | stray
// STOPPING     | STOPPED | STOPPED   | close    | stray      | stray
// STOPPED      | -       | stray     | -        | stray      | stray
// attempt: PROVISIONING when DPS has to be asked first, else LINKING with a usable token or a
// certificate, else SIGNING. (kept): for the next attempt; stray where no signature was asked for.
// auto-on-startup false to true is a connect. True to false: no new attempt unless asked for by a
// connect; WAITING becomes IDLE, and so do PROVISIONING, SIGNING and LINKING in place of WAITING
// when the attempt under way fails; a connection made stays and comes back. A registration is
// cancelled by what leads out of PROVISIONING. Under a schedule that wants a connection IDLE is an
// attempt; under one that wants none WAITING is IDLE and ONLINE is PAUSING.

/** What the agent is at. */
export enum AgentState {
  IDLE,
  HELD,
  WAITING,
  PROVISIONING,
  SIGNING,
  LINKING,
  ONLINE,
  RENEWING,
  HOLDING,
  PAUSING,
  STOPPING,
  STOPPED,
}
