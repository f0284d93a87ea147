// Rids: request numbers of twin requests.
// Neighbours: `twin` and `report` draw from one and the same counter.
// Invariant: two requests under way never have the same number, so an answer finds its asker.

import { RID_MAX } from "../codec/topic.ts";

/** Counts 1, 2, … RID_MAX and starts again. */
export class Rids {
  /** @param last the number drawn last; 0 before the first */
  constructor(private last = 0) {}

  /** The next request number, 1 .. RID_MAX. */
  next(): number {
    this.last = this.last === RID_MAX ? 1 : this.last + 1;
    return this.last;
  }
}
