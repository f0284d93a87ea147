// Tests of screen: the picture, line for line, in a few states; and that it always fits.
// Neighbours: `sample` makes the facts.
// Invariant: expected lines are written out as a person would see them.

import { describe, expect, test } from "bun:test";
import type { Facts } from "./facts.ts";
import { ASCII, glyphsFor, LINES } from "./glyphs.ts";
import { Light } from "./lamp.ts";
import { Ledger } from "./ledger.ts";
import { painted, plain, Style, span, width, wrap } from "./paint.ts";
import { asked, closed, facts, ledger, message, registered, status } from "./sample.ts";
import { cursorColumn, type Scene, screen } from "./screen.ts";

function scene(parts: Partial<Scene> = {}): Scene {
  return { facts: facts(), heading: "story", journal: [], typed: "", hint: "hint", ...parts };
}

function drawn(one: Scene, columns = 80, rows = 24, glyphs = LINES): string[] {
  return screen(one, columns, rows, glyphs).map(plain);
}

test("lit, connected, with telemetry and a story", () => {
  const seen = ledger(1);
  seen.enter(message(2, 5, true));
  seen.enter(message(2, 6, true));
  const now = facts({
    ledger: seen,
    lamp: Light.LIT,
    twin: {
      desired: { LED1: true, $version: 2 },
      reported: { LED1: { value: true, ac: 200, av: 2 } },
    },
  });
  const journal = [
    { mark: "ok", text: "1 first: seen", detail: "and all of its detail" },
    { mark: "..", text: "2 second", detail: "" },
  ];
  expect(drawn(scene({ facts: now, heading: "story: step 2 of 8", journal }))).toEqual([
    " azimuth demo       the agent as on a gateway, local Azure, all on this machine",
    " ┌─ gateway-1 ──────────────────────┐               ┌─ local Azure ───────────┐",
    " │ agent online            \\|/      │ MQTT over TLS │ gateway-1 connected     │",
    " │ 0 waiting          LED1 -●- lit  │═══════════════│ 2 messages              │",
    " │                         /|\\      │               │ 1 seen twice            │",
    " └──────────────────────────────────┘               └─────────────────────────┘",
    " desired   LED1 = true  version 2",
    " reported  LED1 = true  ac 200  av 2",
    " diagnosis none so far",
    "",
    " ─ telemetry as the hub got it ────────────────────────────────────────────────",
    "  10:00:00   #1    LED1 false   up 2 s",
    "  10:00:05   #2    LED1 true    up 4 s     made 10:00:00, held 5 s",
    "  10:00:06   #2    LED1 true    up 4 s     made 10:00:00, held 6 s  seen before",
    " ─ story: step 2 of 8 ─────────────────────────────────────────────────────────",
    " ok 1 first: seen, and all of its detail",
    " .. 2 second",
    "",
    "",
    "",
    "",
    "",
    "",
    " > hint",
  ]);
});

test("dark, the cable pulled, a diagnosis of two lines, on a terminal without UTF-8", () => {
  const lost = ledger();
  lost.enter(closed());
  const text =
    "closed by the hub after 6 s without a reason: network loss, hub maintenance, " +
    "or taken over by another connection";
  const agent = status(
    {
      state: "waiting",
      connected: false,
      nextAttemptMs: 1600,
      lastDiagnosis: { text, at: "2026-01-01T10:00:07Z", over: false },
    },
    { waiting: 2, inFlight: 1 },
  );
  const now = facts({ isPlugged: false, ledger: lost, agent });
  expect(drawn(scene({ facts: now, typed: "plu" }), 80, 24, ASCII)).toEqual([
    " azimuth demo       the agent as on a gateway, local Azure, all on this machine",
    " +- gateway-1 ----------------------+               +- local Azure -----------+",
    " | agent waiting                    |    pulled     | gateway-1 not connected |",
    " | 2 waiting, 1 sent  LED1  o  dark |=====]   [=====| 0 messages              |",
    " | again in 1.6 s                   |               | 0 seen twice            |",
    " +----------------------------------+               +-------------------------+",
    " desired   nothing yet",
    " reported  nothing yet",
    " diagnosis 10:00:07 closed by the hub after 6 s without a reason: network loss,",
    "           hub maintenance, or taken over by another connection",
    " - telemetry as the hub got it ------------------------------------------------",
    "",
    "",
    "",
    " - story ----------------------------------------------------------------------",
    ...Array(8).fill(""),
    " > plu",
  ]);
});

describe("with a TPM", () => {
  const endorsementKey = "AToAAQ";
  const chip = { maker: "IBM SW TPM", specification: "2.0", keyCount: 0, endorsementKey };
  const enrollment = { registrationId: "abc", deviceId: "gateway-1", endorsementKey };
  const nobody = new Ledger("gateway-1");
  const fresh = { endpoint: "tpm", isEnabled: false, agent: undefined, ledger: nobody } as const;
  const rows = (now: Facts) => {
    const lines = drawn(scene({ facts: now }));
    return [lines[2], lines[5]].map((line) => line!.split("│").map((part) => part.trim()));
  };

  test("blank, then enrolled", () => {
    expect(rows(facts({ ...fresh, chip }))).toEqual([
      ["", "no agent yet", "plugged", "hub without a device", ""],
      ["", "TPM blank", "", "DPS nothing enrolled", ""],
    ]);
    expect(rows(facts({ ...fresh, chip, enrollment }))[1]![3]).toBe("DPS TPM enrolled");
    expect(rows(facts({ ...fresh, idScope: "" }))[1]).toEqual(["", "no TPM yet", "", "", ""]);
  });

  test("registering, registered, in trouble", () => {
    const seen = ledger();
    const shown = (parts: Parameters<typeof registered>[0], fault: string | null = null) =>
      rows(
        facts({
          endpoint: "tpm",
          ledger: seen,
          enrollment,
          agent: status(registered(parts, fault)),
        }),
      )[1];
    const early = shown({ registration: "polling", registeredAt: null });
    expect(early).toEqual(["", "TPM registering: polling", "", "DPS TPM enrolled", ""]);
    seen.enter(asked("assigned"));
    expect(shown({})).toEqual([
      "",
      "TPM signs, registered 09:00:00",
      "",
      "DPS registered it once",
      "",
    ]);
    seen.enter(asked("assigned"));
    expect(shown({}, "no answer")).toEqual(["", "TPM no answer", "", "DPS registered it 2x", ""]);
  });

  test("the picture has one line more, and the cable stays where it was", () => {
    const lines = drawn(scene({ facts: facts({ endpoint: "tpm", agent: status(registered()) }) }));
    expect(lines.slice(3, 8)).toEqual([
      " │ 0 waiting          LED1  ○  dark │═══════════════│ 0 messages              │",
      " │                                  │               │ 0 seen twice            │",
      " │ TPM signs, registered 09:00:00   │               │ DPS nothing enrolled    │",
      " └──────────────────────────────────┘               └─────────────────────────┘",
      " desired   nothing yet",
    ]);
    expect(lines.length).toBe(24);
  });
});

test("a refused value shows why, whole, on 80 columns", () => {
  const ad = "LED1 takes true or false, not a string";
  const twin = {
    desired: { LED1: "yes", $version: 4 },
    reported: { LED1: { value: false, ac: 400, av: 4, ad } },
  };
  const lines = drawn(scene({ facts: facts({ twin }) }));
  expect(lines[6]).toBe(' desired   LED1 = "yes"  version 4');
  expect(lines[7]).toBe(` reported  LED1 = false  ac 400  av 4  ${ad}`);
});

test("before anything has started there is no cable to see", () => {
  const now = facts({ hubPort: 0, isPlugged: false, agent: undefined, lamp: Light.NONE });
  const lines = drawn(scene({ facts: now }));
  expect(lines[2]).toContain("no agent yet");
  expect(lines[2]).toContain("not started yet");
  expect(lines.join("")).not.toMatch(/═|pulled/);
});

describe("it fits", () => {
  const journal = Array.from({ length: 50 }, (_, index) => ({
    mark: "ok",
    text: `${index} `.repeat(40),
    detail: "d".repeat(200),
  }));
  const many = ledger(...Array.from({ length: 30 }, (_, index) => index + 1));
  const sizes = [
    [80, 24],
    [120, 40],
    [81, 25],
    [300, 100],
    [40, 10],
  ] as const;
  for (const [columns, rows] of sizes) {
    test(`${columns} columns, ${rows} rows`, () => {
      const lines = screen(
        scene({ facts: facts({ ledger: many }), journal }),
        columns,
        rows,
        LINES,
      );
      expect(lines.length).toBe(rows);
      for (const line of lines) expect(width(line)).toBeLessThan(columns);
      expect(plain(lines.at(-1)!)).toBe(" > hint");
    });
  }
});

test("the journal shows its end, and detail only where all of it has room", () => {
  const journal = Array.from({ length: 20 }, (_, index) => ({
    mark: "ok",
    text: `line ${index}`,
    detail: "d".repeat(80),
  }));
  const lines = drawn(scene({ journal }));
  expect(lines.at(-2)).toBe(" ok line 19");
  expect(drawn(scene({ journal }), 120).at(-2)).toContain("line 19, ddd");
});

test("the cursor stands behind what was typed", () => {
  expect(cursorColumn(scene({ typed: "" }), 80)).toBe(4);
  expect(cursorColumn(scene({ typed: "log" }), 80)).toBe(7);
  expect(cursorColumn(scene({ typed: "x".repeat(100) }), 80)).toBe(79);
});

test("nothing that could move the cursor gets into a line", () => {
  expect(span("a\x1b[2J\r\nb\u{1f600}\u200bc").text).toBe("a?[2J??b??c");
  expect(span("│ ● … é").text).toBe("│ ● … é");
});

test("colours are there only where they are wanted, and end with their piece", () => {
  const line = [span("a", Style.GOOD), span("b")];
  expect(painted(line, true)).toBe("\x1b[32ma\x1b[0mb");
  expect(painted(line, false)).toBe("ab");
});

test("long text breaks at blanks, and is cut in the last line only", () => {
  expect(wrap("one two three", 8, 2, "..")).toEqual(["one two", "three"]);
  expect(wrap("abcdefghij", 4, 2, "..")).toEqual(["abcd", "ef.."]);
  expect(wrap("short", 8, 2, "..")).toEqual(["short"]);
});

test("the locale decides about the drawing characters", () => {
  expect(glyphsFor({ LANG: "C.UTF-8" })).toBe(LINES);
  expect(glyphsFor({ LANG: "en_US.utf8" })).toBe(LINES);
  expect(glyphsFor({ LANG: "C.UTF-8", LC_ALL: "C" })).toBe(ASCII);
  expect(glyphsFor({})).toBe(ASCII);
});
