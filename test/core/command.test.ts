// Command, tested on a rig: each request of a control client is answered exactly once.
// Neighbours: `src/core/{command,waiters,agent}.ts`; the socket is tested in `port/control`.
// Invariant: a client's number is used once in a test, as the port does it.

import { describe, expect, test } from "bun:test";
import { Cause } from "../../src/core/effects.ts";
import { CONTROL_CLIENTS_MAX } from "../../src/limits.ts";
import { connack, Rig, SIGNATURE, settings } from "../rig.ts";

function replies(rig: Rig): string[] {
  return rig.take().filter((call) => call.startsWith("reply "));
}

describe("requests", () => {
  test("status in both forms", () => {
    const rig = new Rig();
    rig.turn.start();
    rig.turn.onCommand(1, ["status"]);
    rig.turn.onCommand(2, ["status", "--json"]);
    const [text, json] = replies(rig);
    expect(text).toStartWith("reply 1 ok azimuth ");
    expect(JSON.parse(json!.slice("reply 2 ok ".length)).state).toBe("signing");
  });

  test("reload is handed on with its client, who is answered by whoever reloads", () => {
    const rig = new Rig();
    rig.turn.start();
    rig.take();
    rig.turn.onCommand(5, ["reload"]);
    rig.turn.onCommand(-1, ["reload"]);
    expect(rig.take()).toEqual(["reload 5", "reload -1"]);
  });

  test("led NAME on|off|auto drives and says so", () => {
    const rig = new Rig();
    rig.turn.start();
    rig.take();
    for (const word of ["on", "off", "auto"]) rig.turn.onCommand(1, ["led", "LED1", word]);
    expect(rig.take()).toEqual([
      "drive 0 on",
      "reply 1 ok LED1 on",
      "drive 0 off",
      "reply 1 ok LED1 off",
      "drive 0 off",
      "reply 1 ok LED1 auto",
    ]);
  });

  const refusals: readonly (readonly [readonly string[], string])[] = [
    [[], 'unknown request ""; allowed: status, connect, disconnect, reload, led'],
    [["fly"], 'unknown request "fly"; allowed: status, connect, disconnect, reload, led'],
    [
      ["x".repeat(4000)],
      `unknown request "${"x".repeat(40)}"; allowed: status, connect, disconnect, reload, led`,
    ],
    [["toString"], 'unknown request "toString"; allowed: status, connect, disconnect, reload, led'],
    [["led"], "usage: led NAME on|off|auto"],
    [["led", "LED1"], "usage: led NAME on|off|auto"],
    [["led", "LED1", "constructor"], "usage: led NAME on|off|auto"],
    [["led", "LED1", "on", "now"], "usage: led NAME on|off|auto"],
    [["led", "LED7", "on"], 'no LED named "LED7"; allowed: LED1'],
    [["led", "toString", "on"], 'no LED named "toString"; allowed: LED1'],
  ];
  for (const [words, text] of refusals) {
    test(`${words.join(" ").slice(0, 30)} is refused and changes nothing`, () => {
      const rig = new Rig();
      rig.turn.start();
      rig.take();
      rig.turn.onCommand(9, words);
      expect(rig.take()).toEqual([`reply 9 no ${text}`]);
    });
  }

  test("without any lamp that is said", () => {
    const rig = new Rig(settings({ lamps: [] }));
    rig.turn.start();
    rig.take();
    rig.turn.onCommand(9, ["led", "LED1", "on"]);
    expect(rig.take()).toEqual(['reply 9 no no LED named "LED1"; the settings name none']);
  });
});

describe("connect is answered", () => {
  test("when connected, with how long it took", () => {
    const rig = new Rig(settings({ data: { autoOnStartup: false } }));
    rig.turn.start();
    rig.turn.onCommand(1, ["connect"]);
    rig.turn.onSigned(SIGNATURE);
    rig.turn.onCommand(2, ["connect"]);
    rig.secure();
    expect(replies(rig)).toEqual([]);
    rig.pass(500);
    rig.turn.onData(connack());
    const text = "connected to hub.example as dev1 in 500 ms (new session)";
    expect(replies(rig)).toEqual([`reply 1 ok ${text}`, `reply 2 ok ${text}`]);
  });

  test("at once when already connected", () => {
    const rig = new Rig();
    rig.online();
    rig.turn.onCommand(1, ["connect"]);
    expect(replies(rig)).toEqual(["reply 1 ok already connected"]);
  });

  test("with the diagnosis when the attempt fails; later attempts answer no more", () => {
    const rig = new Rig(settings({ data: { autoOnStartup: false } }));
    rig.turn.start();
    rig.turn.onCommand(1, ["connect"]);
    rig.turn.onSigned(SIGNATURE);
    rig.close(Cause.REFUSED);
    expect(replies(rig)).toEqual([
      "reply 1 no refused: nothing listens at hub.example:8883; " +
        "check mqtt-port, or a firewall rejects it; azimuth goes on trying",
    ]);
    rig.redial();
    rig.take();
    rig.reconnect();
    expect(replies(rig)).toEqual([]);
  });

  test("when the key does not sign", () => {
    const rig = new Rig(settings({ data: { autoOnStartup: false } }));
    rig.turn.start();
    rig.turn.onCommand(1, ["connect"]);
    rig.turn.onSignFailed("locked");
    expect(replies(rig)).toEqual([
      "reply 1 no the device key did not sign the token (locked); azimuth goes on trying",
    ]);
  });

  test("when somebody disconnects meanwhile, and when the process stops", () => {
    for (const state of ["signing", "linking"]) {
      const rig = new Rig();
      rig.turn.start();
      if (state === "linking") rig.turn.onSigned(SIGNATURE);
      rig.turn.onCommand(1, ["connect"]);
      rig.turn.onCommand(2, ["disconnect"]);
      expect(replies(rig)).toEqual([
        "reply 1 no disconnected by an operator",
        "reply 2 ok disconnected",
      ]);
      rig.turn.onCommand(3, ["connect"]);
      rig.turn.stop();
      expect(replies(rig)).toEqual(["reply 3 no azimuth is stopping"]);
    }
  });

  test("when it comes while the connection is being closed", () => {
    const rig = new Rig();
    rig.online();
    rig.turn.onCommand(1, ["disconnect"]);
    rig.turn.onCommand(2, ["connect"]);
    expect(replies(rig)).toEqual(["reply 1 no connecting again, as asked since"]);
    rig.close();
    rig.reconnect();
    expect(replies(rig)).toEqual([
      "reply 2 ok connected to hub.example as dev1 in 0 ms (session resumed)",
    ]);
  });

  test("while the token is renewed", () => {
    const rig = new Rig();
    rig.online();
    rig.answerReport();
    rig.toRenewal();
    rig.turn.onSigned(SIGNATURE);
    rig.turn.onCommand(1, ["connect"]);
    rig.close();
    expect(replies(rig)).toEqual([]);
    rig.reconnect();
    expect(replies(rig)).toHaveLength(1);
  });
});

describe("disconnect is answered", () => {
  test("when the connection is closed", () => {
    const rig = new Rig();
    rig.online();
    rig.turn.onCommand(1, ["disconnect"]);
    rig.turn.onCommand(2, ["disconnect"]);
    expect(replies(rig)).toEqual([]);
    rig.close();
    expect(replies(rig)).toEqual(["reply 1 ok disconnected", "reply 2 ok disconnected"]);
  });

  test("at once when there is none", () => {
    const rig = new Rig(settings({ data: { autoOnStartup: false } }));
    rig.turn.start();
    rig.turn.onCommand(1, ["disconnect"]);
    rig.turn.onCommand(2, ["disconnect"]);
    expect(replies(rig)).toEqual(["reply 1 ok disconnected", "reply 2 ok disconnected"]);
  });

  test("when the process stops meanwhile", () => {
    const rig = new Rig();
    rig.online();
    rig.turn.onCommand(1, ["disconnect"]);
    rig.turn.stop();
    rig.turn.onCommand(2, ["disconnect"]);
    rig.turn.onCommand(3, ["connect"]);
    rig.close();
    expect(rig.take().filter((call) => /^(reply|exit)/.test(call))).toEqual([
      "reply 2 no azimuth is stopping",
      "reply 3 no azimuth is stopping",
      "reply 1 ok disconnected; azimuth is stopping",
      "exit 0",
    ]);
  });
});

test("clients that hang up while they wait do no harm, however many", () => {
  const rig = new Rig();
  rig.turn.start();
  for (let client = 0; client < 3 * CONTROL_CLIENTS_MAX; client++) {
    rig.turn.onCommand(client, ["connect"]);
  }
  const early = replies(rig);
  rig.turn.onSigned(SIGNATURE);
  rig.reconnect();
  const told = [...early, ...replies(rig)].map((reply) => Number(reply.split(" ")[1]));
  expect(told).toEqual(Array.from({ length: 3 * CONTROL_CLIENTS_MAX }, (_, client) => client));
});
