// Tests of src/codec/head.ts: heads that are taken, heads that are not, however they are torn.
// Neighbours: proxy.test.ts and upgrade.test.ts have the meaning of what is read here.
// Invariant: expectations come from RFC 9112 and RFC 9110, not from the reader.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HEAD_BYTES_MAX, Head, HeadResult } from "../../src/codec/head.ts";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

function read(text: string): [Head, HeadResult] {
  const head = new Head();
  return [head, head.feed(bytes(text))];
}

describe("heads that are taken", () => {
  test("status, reason and fields", () => {
    const text = "HTTP/1.1 403 Not for you\r\nServer: x\r\nVIA:  1.1 a , b \r\nvia:c\r\n\r\n";
    const [head, result] = read(text);
    expect(result).toBe(HeadResult.WHOLE);
    expect([head.status, head.reason, head.statusText]).toEqual([
      403,
      "Not for you",
      "403 Not for you",
    ]);
    expect(head.values("Via")).toEqual(["1.1 a , b", "c"]);
    expect(head.list("via")).toEqual(["1.1 a", "b", "c"]);
    expect(head.values("absent")).toEqual([]);
    expect(head.taken).toBe(text.length);
  });

  test("no byte behind the empty line", () => {
    const head = new Head();
    const text = "HTTP/1.0 200\r\n\r\nrest";
    expect(head.feed(bytes(text))).toBe(HeadResult.WHOLE);
    expect(text.slice(head.taken)).toBe("rest");
    expect(head.statusText).toBe("200");
  });

  test("interim heads are read over, 101 is none", () => {
    const [head, result] = read("HTTP/1.1 100 Go\r\nA: b\r\n\r\nHTTP/1.1 103 \r\n\r\n");
    expect(result).toBe(HeadResult.MORE);
    expect(head.feed(bytes("HTTP/1.1 502 Bad\r\nC: d\r\n\r\n"))).toBe(HeadResult.WHOLE);
    expect([head.status, head.values("a"), head.values("c")]).toEqual([502, [], ["d"]]);
    expect(read("HTTP/1.1 101 Switching\r\n\r\n")[1]).toBe(HeadResult.WHOLE);
  });

  test("a reason from a stranger is made fit for a log", () => {
    const [head] = read(`HTTP/1.1 500 \xe9\t${"long ".repeat(40)}\r\n\r\n`);
    expect(head.reason).toMatch(/^\?\?long [ -~]{1,60}$/);
    expect(head.reason.length).toBeLessThanOrEqual(60);
  });
});

describe("what is no head", () => {
  test.each([
    "220 mail\r\n\r\n",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "http/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 600 OK\r\n\r\n",
    "HTTP/1.1 200 O\x00K\r\n\r\n",
    "HTTP/1.1 200 OK\r\nName : blank\r\n\r\n",
    "HTTP/1.1 200 OK\r\n: nameless\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "\r\nHTTP/1.1 200 OK\r\n\r\n",
  ])("%j", (text) => {
    expect(read(text)[1]).toBe(HeadResult.BROKEN);
  });

  test("one that does not end within 8 KB, to the byte", () => {
    const start = "HTTP/1.1 200 OK\r\nA: ";
    const fit = start + "x".repeat(HEAD_BYTES_MAX - start.length - 4);
    expect(read(`${fit}\r\n\r\n`)[1]).toBe(HeadResult.WHOLE);
    expect(read(`${fit}x\r\n\r\n`)[1]).toBe(HeadResult.BROKEN);
    const interim = "HTTP/1.1 100 \r\n\r\n".repeat(HEAD_BYTES_MAX);
    expect(read(interim)[1]).toBe(HeadResult.BROKEN);
  });
});

test("the same stream gives the same head however it is torn", () => {
  const texts = ["HTTP/1.1 100 \r\n\r\n", "HTTP/1.1 407 No\r\nA: b\r\n\r\n", "A: b", "\r\n", "x"];
  const streams = fc.array(fc.constantFrom(...texts), { maxLength: 6 });
  const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 });
  fc.assert(
    fc.property(streams, sizes, (parts, cuts) => {
      const stream = bytes(parts.join(""));
      const [whole, expected] = read(parts.join(""));
      const torn = new Head();
      let result = HeadResult.MORE;
      let taken = 0;
      for (let at = 0, cut = 0; at < stream.length && result === HeadResult.MORE; cut++) {
        const size = cuts[cut % cuts.length]!;
        result = torn.feed(stream.subarray(at, at + size));
        taken += torn.taken;
        at += size;
      }
      expect(result).toBe(expected);
      expect([torn.statusText, taken]).toEqual([whole.statusText, whole.taken]);
    }),
  );
});
