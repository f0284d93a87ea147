// Plant: bugs put into the production machines on purpose, to show that the simulator finds them.
// Neighbours: `fleet.test.ts` runs each; nothing else may use this.
// Invariant: a plant is taken out again whatever happens in between.

import { Writer } from "../../src/codec/writer.ts";
import { Lamp } from "../../src/core/lamp.ts";
import { Outbox } from "../../src/core/outbox.ts";
import { Recovery } from "../../src/core/recovery.ts";
import { Session } from "../../src/core/session.ts";

/** A bug by name. */
export type Bug = "no-dup" | "forget-in-flight" | "window-off-by-one" | "stuck" | "null-ignored";

/** Runs `body` with the bug in place. */
export function withBug<T>(bug: Bug, body: () => T): T {
  const { publish } = Writer.prototype;
  const { rewind } = Outbox.prototype;
  const { pump } = Session.prototype;
  const { onFailure } = Recovery.prototype;
  const { onDesired } = Lamp.prototype;
  try {
    if (bug === "no-dup") {
      Writer.prototype.publish = function (a, b, c, d, e, f, qos, _dup, retain, identifier) {
        return publish.call(this, a, b, c, d, e, f, qos, false, retain, identifier);
      };
    } else if (bug === "forget-in-flight") {
      Outbox.prototype.rewind = function () {
        for (let identifier = 1; this.inFlight > 0; identifier++) this.release(identifier);
        rewind.call(this);
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
      Session.prototype.pump = function (nowMs) {
        this.window++;
        pump.call(this, nowMs);
        this.window--;
      };
    }
    return body();
  } finally {
    Writer.prototype.publish = publish;
    Outbox.prototype.rewind = rewind;
    Session.prototype.pump = pump;
    Recovery.prototype.onFailure = onFailure;
    Lamp.prototype.onDesired = onDesired;
  }
}
