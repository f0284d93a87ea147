// Plant: bugs put into the production machines on purpose, to show that the simulator finds them.
// Neighbours: `fleet.test.ts` runs each; nothing else may use this.
// Invariant: a plant is taken out again whatever happens in between.

import { Writer } from "../../src/codec/writer.ts";
import { Journal, JournalState } from "../../src/core/journal.ts";
import { Lamp } from "../../src/core/lamp.ts";
import { Ledger } from "../../src/core/ledger.ts";
import { Recovery } from "../../src/core/recovery.ts";
import { Session } from "../../src/core/session.ts";

/** A bug by name. */
export type Bug =
  | "no-dup"
  | "forget-in-flight"
  | "window-off-by-one"
  | "stuck"
  | "null-ignored"
  | "sent-early"
  | "deleted-early";

/** What the journal does when a sync has come back. */
interface Landing {
  onLanded(): void;
}

/** Runs `body` with the bug in place. */
export function withBug<T>(bug: Bug, body: () => T): T {
  const { publish } = Writer.prototype;
  const { onDown } = Session.prototype;
  const { load } = Ledger.prototype;
  const { commit } = Journal.prototype;
  const { pump } = Session.prototype;
  const { onFailure } = Recovery.prototype;
  const { onDesired } = Lamp.prototype;
  try {
    if (bug === "no-dup") {
      Writer.prototype.publish = function (a, b, c, d, e, f, qos, _dup, retain, identifier) {
        return publish.call(this, a, b, c, d, e, f, qos, false, retain, identifier);
      };
    } else if (bug === "forget-in-flight") {
      Session.prototype.onDown = function () {
        for (let identifier = 1; identifier <= 0xffff; identifier++) this.onPuback(identifier);
        onDown.call(this);
      };
    } else if (bug === "sent-early") {
      Journal.prototype.commit = function (nowMs) {
        commit.call(this, nowMs);
        if (this.state === JournalState.SYNCING) (this as unknown as Landing).onLanded();
      };
    } else if (bug === "deleted-early") {
      Ledger.prototype.load = function (...range) {
        const found = load.apply(this, range);
        for (const message of found) this.release(message);
        return found;
      };
    } else if (bug === "stuck") {
      Recovery.prototype.onFailure = function (ending, capMs, nowMs, wallS) {
        onFailure.call(this, ending, capMs, nowMs, wallS);
        return Number.POSITIVE_INFINITY;
      };
    } else if (bug === "null-ignored") {
      Lamp.prototype.onDesired = function (value, version) {
        if (value !== null) return onDesired.call(this, value, version);
        this.version = version;
      };
    } else {
      Session.prototype.pump = function (nowMs, wallS) {
        this.window++;
        pump.call(this, nowMs, wallS);
        this.window--;
      };
    }
    return body();
  } finally {
    Writer.prototype.publish = publish;
    Session.prototype.onDown = onDown;
    Ledger.prototype.load = load;
    Journal.prototype.commit = commit;
    Session.prototype.pump = pump;
    Recovery.prototype.onFailure = onFailure;
    Lamp.prototype.onDesired = onDesired;
  }
}
