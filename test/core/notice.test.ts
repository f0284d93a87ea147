// Notice, tested against a model that keeps the hub's side of the story.
// Neighbours: `src/core/notice.ts`; `lamps` is tested with whole reports.
// Invariant: the model decides what is true, never the notice.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Notice } from "../../src/core/notice.ts";

test("is due until the hub has it", () => {
  const notice = new Notice();
  expect(notice.isDue).toBe(true);
  expect(notice.take("on")).toBe(true);
  expect(notice.isDue).toBe(false);
  notice.confirm();
  expect(notice.isDue).toBe(false);
});

test("what the hub holds already is not sent", () => {
  const notice = new Notice();
  notice.onHeld("on");
  expect(notice.take("on")).toBe(false);
  expect(notice.isDue).toBe(false);
  notice.change();
  expect(notice.take("off")).toBe(true);
});

test("a change while under way is due again after the answer", () => {
  const notice = new Notice();
  notice.take("on");
  notice.change();
  notice.confirm();
  expect(notice.isDue).toBe(true);
  expect(notice.take("on")).toBe(false);
});

test("after a retraction even the old value is sent", () => {
  const notice = new Notice();
  notice.onHeld("off");
  notice.take("on");
  notice.retract();
  expect(notice.isDue).toBe(true);
  expect(notice.take("off")).toBe(true);
});

test("an answer counts once: a loss afterwards has nothing to take back", () => {
  const notice = new Notice();
  notice.take("on");
  notice.confirm();
  notice.retract();
  expect(notice.isDue).toBe(false);
});

test("an answer after a retraction is not believed", () => {
  const notice = new Notice();
  notice.take("on");
  notice.retract();
  notice.confirm();
  expect(notice.take("on")).toBe(true);
});

test("an answer to nothing changes nothing", () => {
  const notice = new Notice();
  notice.onHeld("on");
  notice.confirm();
  notice.retract();
  expect(notice.isDue).toBe(true);
  expect(notice.take("on")).toBe(false);
});

test("once all is quiet the hub holds the truth, and nothing is sent twice in vain", () => {
  const event = fc.constantFrom("on", "off", "fault", "send", "arrive", "answer", "lose", "get");
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60, size: "max" }), (run) => {
      const notice = new Notice();
      let truth = "off";
      let hub = "";
      let way = { text: "", arrived: false };
      const send = () => {
        if (way.text !== "" || !notice.isDue) return;
        if (notice.take(truth)) way = { text: truth, arrived: false };
        else expect(hub).toBe(truth);
      };
      const arrive = () => {
        if (way.text !== "") hub = way.text;
        way.arrived = way.text !== "";
      };
      const answer = () => {
        if (!way.arrived) return;
        notice.confirm();
        way = { text: "", arrived: false };
      };
      for (const step of run) {
        if (step === "send") send();
        else if (step === "arrive") arrive();
        else if (step === "answer") answer();
        else if (step === "lose") {
          // The link is gone, with or without the patch having reached the hub.
          notice.retract();
          way = { text: "", arrived: false };
        } else if (step === "get") {
          if (way.text === "") notice.onHeld(hub);
        } else {
          truth = step;
          notice.change();
        }
      }
      arrive();
      answer();
      send();
      arrive();
      answer();
      expect(hub).toBe(truth);
      expect(notice.isDue).toBe(false);
    }),
  );
});
