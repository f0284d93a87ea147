// Step: the steps of a registration, and what leads from one to another.
// Neighbours: `provision` is the machine; its test walks this table cell by cell, `status` shows
// the names.
// Invariant: every event has a cell in every state.

// state       | TPM         | key         | certificate | problem     | deadline
// OFF         | stray       | stray       | stray       | -           | -
// IDENTIFYING | CHALLENGING | -           | -           | fail, OFF   | fail, OFF
// CHALLENGING | ACTIVATING  | -           | -           | fail, OFF   | fail, OFF
// ACTIVATING  | SIGNING     | -           | -           | fail, OFF   | fail, OFF
// SIGNING     | MARKING     | MARKING     | -           | fail, OFF   | fail, OFF
// MARKING     | REGISTERING | REGISTERING | REGISTERING | REGISTERING | REGISTERING
// REGISTERING | POLLING     | POLLING     | POLLING     | fail, OFF   | fail, OFF
// POLLING     | -           | -           | -           | -           | REGISTERING
// ADOPTING    | SPARING     | -           | -           | fail, OFF   | fail, OFF
// SPARING     | SAVING      | -           | -           | fail, OFF   | fail, OFF
// SAVING      | SWAPPING    | OFF         | OFF         | SWAPPING    | SWAPPING
// SWAPPING    | OFF         | -           | -           | OFF         | OFF
// The columns TPM, key and certificate say what follows when a step was done well, by how the
// device proves itself. It begins with IDENTIFYING, SIGNING or MARKING. REGISTERING leads to
// ADOPTING, without a TPM to SAVING, when the answer is "assigned".
// An assignment that the disk does not take is a warning: without it a cut costs a registration;
// what follows is what would have followed.
// A swap that fails leaves the new key in the spare place, where it is found and used.

/** What a registration is at. */
export enum ProvisionState {
  OFF,
  IDENTIFYING,
  CHALLENGING,
  ACTIVATING,
  SIGNING,
  MARKING,
  REGISTERING,
  POLLING,
  ADOPTING,
  SPARING,
  SAVING,
  SWAPPING,
}
