// WebSocket, tested: its table cell by cell, what is carried both ways, and how it ends.
// Neighbours: `src/core/websocket.ts`; `scene` plays the rest; `test/port/websocket.test.ts` has
// real sockets and servers.
// Invariant: frames are written out here and in `test/fuzz/frames.ts`, from RFC 6455.

import { describe, expect, test } from "bun:test";
import { Cause } from "../../src/core/effects.ts";
import { WebSocketState } from "../../src/core/websocket.ts";
import { CLOSE_MS, UPGRADE_MS } from "../../src/limits.ts";
import { frame } from "../fuzz/frames.ts";
import { answer, NO, NONCE, OVER, PLAIN, Scene, STATES, STEPS, sceneIn, YES } from "./scene.ts";
import { walkTable } from "./table.ts";

walkTable<Scene>({
  file: "core/websocket.ts",
  states: Object.fromEntries(STATES.map((state) => [state, () => sceneIn(state)])),
  stateOf: ({ layer }) => WebSocketState[layer.state]!,
  events: {
    "open plain": ({ layer }) => void layer.open(PLAIN),
    open: ({ layer }) => void layer.open(OVER),
    opened: ({ inner }) => void inner.onOpened(),
    secured: ({ inner }) => void inner.onSecured(),
    data: ({ inner }) => void inner.onData(frame(0x82, Buffer.of(1))),
    "close frame": ({ inner }) => void inner.onData(frame(0x88, Buffer.of(3, 233))),
    "answer yes": ({ inner }) => void inner.onData(Buffer.from(YES)),
    "answer no": ({ inner }) => void inner.onData(Buffer.from(NO)),
    writable: ({ inner }) => void inner.onWritable(),
    closed: ({ inner }) => void inner.onClosed(Cause.TCP_RESET, ""),
    "end()": ({ layer }) => void layer.end(),
    "abort()": ({ layer }) => void layer.abort(),
    deadline: (scene) => void scene.alarm(1_000_000_000),
  },
  look: (scene) => scene.look(),
});

describe("where the target names no path", () => {
  test("bytes, events and causes pass through", () => {
    const scene = sceneIn("PLAIN");
    scene.room = 2;
    expect(scene.layer.write(Buffer.from("hello"), 1, 5)).toBe(2);
    expect(Buffer.from(scene.sent).toString()).toBe("el");
    const chunk = Buffer.of(0x20, 2, 0, 0);
    scene.inner.onData(chunk);
    expect(scene.data).toEqual([...chunk]);
    scene.inner.onClosed(Cause.TLS_EXPIRED, "words");
    expect([scene.cause, scene.detail]).toEqual([Cause.TLS_EXPIRED, "words"]);
  });
});

describe("the way to a WebSocket", () => {
  test("the request names host, path, key and subprotocol", () => {
    const scene = new Scene();
    scene.layer.open(OVER);
    scene.inner.onSecured();
    const text = Buffer.from(scene.sent).toString();
    expect(text).toStartWith("GET /$iothub/websocket HTTP/1.1\r\nHost: hub.example\r\n");
    expect(text).toContain(`\r\nSec-WebSocket-Key: ${NONCE}\r\n`);
    expect(text).toContain("\r\nSec-WebSocket-Protocol: mqtt\r\n");
  });

  test("nothing of MQTT leaves before the server has answered", () => {
    for (const state of ["DOWN", "OPENING", "ASKING"]) {
      const scene = sceneIn(state);
      expect(scene.layer.write(Buffer.from("CONNECT"), 0, 7)).toBe(0);
      expect(scene.sent).toEqual([]);
    }
  });

  test("frames right behind the answer, torn anywhere, are data", () => {
    const stream = Buffer.concat([YES, frame(0x82, Buffer.from("hey"))]);
    for (let cut = 1; cut < stream.length; cut++) {
      const scene = sceneIn("ASKING");
      scene.inner.onData(stream.subarray(0, cut));
      scene.inner.onData(Buffer.from(stream.subarray(cut)));
      expect(Buffer.from(scene.data).toString()).toBe("hey");
      expect(scene.look()[0]).toBe("secured");
    }
  });

  test.each([
    ["401 Unauthorized", Cause.WEBSOCKET_FORBIDDEN],
    ["403 Forbidden", Cause.WEBSOCKET_FORBIDDEN],
    ["404 Not Found", Cause.WEBSOCKET_NOT_FOUND],
    ["407 Who", Cause.PROXY_CREDENTIALS],
    ["200 OK", Cause.WEBSOCKET_REFUSED],
    ["302 Found", Cause.WEBSOCKET_REFUSED],
    ["503 Busy", Cause.WEBSOCKET_REFUSED],
  ])("%s", (status, cause) => {
    const scene = sceneIn("ASKING");
    scene.inner.onData(answer(status));
    expect([scene.cause, scene.detail]).toEqual([cause, status]);
    expect(scene.layer.state).toBe(WebSocketState.DOWN);
  });

  test("a 101 that proves nothing", () => {
    const scene = sceneIn("ASKING");
    scene.inner.onData(answer("101 Yes", "Upgrade: websocket", "Connection: Upgrade"));
    expect(scene.cause).toBe(Cause.WEBSOCKET_BROKEN);
    expect(scene.detail).toBe("wrong Sec-WebSocket-Accept");
  });

  test("no answer in time, counted from the open socket", () => {
    const scene = new Scene();
    scene.layer.open(OVER);
    scene.nowMs = 500;
    scene.inner.onOpened();
    expect(scene.atMs).toBe(Number.POSITIVE_INFINITY);
    scene.inner.onSecured();
    expect(scene.atMs).toBe(500 + UPGRADE_MS);
    scene.ring();
    expect(scene.cause).toBe(Cause.NONE);
    scene.alarm(500 + UPGRADE_MS);
    expect(scene.cause).toBe(Cause.WEBSOCKET_TIMEOUT);
    expect(scene.atMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("a request that the socket does not take is no request", () => {
    const scene = sceneIn("OPENING");
    scene.room = 10;
    scene.inner.onSecured();
    expect(scene.look()).toEqual(["ask", "drop", "closed"]);
    expect(scene.cause).toBe(Cause.WEBSOCKET_BROKEN);
  });
});

describe("what is carried", () => {
  test("a write is one masked binary frame", () => {
    const scene = sceneIn("CARRYING");
    expect(scene.layer.write(Buffer.from("..hello.."), 2, 7)).toBe(5);
    expect(scene.frames()).toEqual([[0x82, Buffer.from("hello")]]);
  });

  test("a full socket: nothing more is taken until it drains, nothing is lost", () => {
    const scene = sceneIn("CARRYING");
    scene.room = 3;
    expect(scene.layer.write(Buffer.from("hello"), 0, 5)).toBe(5);
    expect(scene.layer.write(Buffer.from("more"), 0, 4)).toBe(0);
    scene.room = 2;
    scene.inner.onWritable();
    expect(scene.look()).not.toContain("writable");
    scene.room = Number.POSITIVE_INFINITY;
    scene.inner.onWritable();
    expect(scene.look()).toContain("writable");
    expect(scene.layer.write(Buffer.from("more"), 0, 4)).toBe(4);
    const text = Buffer.concat(scene.frames().map(([, payload]) => payload));
    expect(text.toString()).toBe("hellomore");
  });

  test("a megabyte goes in parts, each as large as the buffer allows", () => {
    const scene = sceneIn("CARRYING");
    const bytes = Buffer.alloc(1_000_000, "abcdefg");
    let at = 0;
    let writes = 0;
    while (at < bytes.length) {
      const taken = scene.layer.write(bytes, at, bytes.length);
      expect(taken).toBeGreaterThan(0);
      at += taken;
      writes++;
    }
    expect(writes).toBeLessThan(20);
    const frames = scene.frames();
    expect(Buffer.concat(frames.map(([, payload]) => payload)).equals(bytes)).toBe(true);
  });

  test("data of a chunk comes as one, pings are answered with what they held", () => {
    const scene = sceneIn("CARRYING");
    const parts = [frame(0x02, Buffer.from("he")), frame(0x89, Buffer.from("ping"))];
    parts.push(
      frame(0x00, Buffer.alloc(0)),
      frame(0x80, Buffer.from("l")),
      frame(0x8a, Buffer.of(1)),
    );
    parts.push(frame(0x82, Buffer.from("lo")));
    scene.inner.onData(Buffer.concat(parts));
    expect(Buffer.from(scene.data).toString()).toBe("hello");
    expect(scene.look()).toEqual(["data", "frame"]);
    expect(scene.frames()).toEqual([[0x8a, Buffer.from("ping")]]);
  });

  test("a chunk without data tells nothing", () => {
    const scene = sceneIn("CARRYING");
    scene.inner.onData(frame(0x8a, Buffer.of(1)));
    scene.inner.onData(Buffer.of(0x82));
    expect(scene.look()).toEqual([]);
  });
});

describe("how it ends", () => {
  test("a frame against the rules: data before it counts, the server is told, then dropped", () => {
    const scene = sceneIn("CARRYING");
    scene.inner.onData(Buffer.concat([frame(0x82, Buffer.of(7)), frame(0x81, Buffer.from("x"))]));
    expect(scene.data).toEqual([7]);
    expect(scene.look()).toEqual(["data", "frame", "drop", "closed"]);
    expect(scene.frames()).toEqual([[0x88, Buffer.of(3, 234)]]);
    expect([scene.cause, scene.detail]).toEqual([Cause.WEBSOCKET_BROKEN, "a text frame"]);
  });

  test("a close by the server is answered with its code, and its words are the detail", () => {
    const scene = sceneIn("CARRYING");
    const words = Buffer.concat([Buffer.of(3, 233), Buffer.from("going é away")]);
    scene.inner.onData(Buffer.concat([frame(0x82, Buffer.of(7)), frame(0x88, words)]));
    expect(scene.look()).toEqual(["data", "frame", "half-close"]);
    expect(scene.frames()).toEqual([[0x88, Buffer.of(3, 233)]]);
    expect(scene.layer.write(Buffer.from("late"), 0, 4)).toBe(0);
    scene.inner.onClosed(Cause.CLOSED_BY_PEER, "closed");
    expect(scene.cause).toBe(Cause.CLOSED_BY_PEER);
    expect(scene.detail).toBe("WebSocket close 1001: going ?? away");
  });

  test("a server that closes without code, and then leaves the socket open", () => {
    const scene = sceneIn("CARRYING");
    scene.nowMs = 100;
    scene.inner.onData(frame(0x88, Buffer.alloc(0)));
    expect(scene.frames()).toEqual([[0x88, Buffer.of(3, 232)]]);
    scene.alarm(100 + CLOSE_MS);
    expect(scene.look().slice(-2)).toEqual(["drop", "closed"]);
    expect([scene.cause, scene.detail]).toEqual([Cause.CLOSED_BY_PEER, "WebSocket close"]);
  });

  test("an end sends what waits, then the close, then ends the socket", () => {
    const scene = sceneIn("CARRYING");
    scene.room = 4;
    scene.layer.write(Buffer.from("last"), 0, 4);
    scene.layer.end();
    scene.layer.end();
    expect(scene.look()).toEqual(["frame"]);
    scene.room = Number.POSITIVE_INFINITY;
    scene.inner.onWritable();
    expect(scene.look()).toEqual(["frame", "half-close"]);
    expect(scene.frames()).toEqual([
      [0x82, Buffer.from("last")],
      [0x88, Buffer.of(3, 232)],
    ]);
  });

  test("a turn that aborts and opens anew when told of data hears no more of the old", () => {
    const scene = sceneIn("CARRYING");
    scene.onEvent = (name) => {
      if (name !== "data") return;
      scene.layer.abort();
      scene.layer.open(OVER);
    };
    scene.inner.onData(Buffer.concat([frame(0x82, Buffer.of(1)), frame(0x81, Buffer.of(2))]));
    expect(scene.look()).toEqual(["data", "drop", "dial"]);
    expect(scene.layer.state).toBe(WebSocketState.OPENING);
  });

  test("nothing of one connection is left for the next", () => {
    const scene = sceneIn("CARRYING");
    scene.room = 1;
    scene.layer.write(Buffer.from("stale"), 0, 5);
    scene.inner.onData(frame(0x02, Buffer.of(1)));
    scene.inner.onClosed(Cause.TCP_RESET, "");
    scene.room = Number.POSITIVE_INFINITY;
    scene.sent.length = 0;
    scene.data.length = 0;
    for (const step of Object.values(STEPS).slice(0, 3)) step(scene);
    scene.sent.length = 0;
    scene.inner.onData(frame(0x82, Buffer.of(2)));
    scene.layer.write(Buffer.from("new"), 0, 3);
    expect(scene.data).toEqual([2]);
    expect(scene.frames()).toEqual([[0x82, Buffer.from("new")]]);
    scene.inner.onClosed(Cause.CLOSED_BY_PEER, "closed");
    expect(scene.detail).toBe("closed");
  });
});
