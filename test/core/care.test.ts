// Care, tested: recovery, watchdog and metrics as they are read from a settings file.
// Neighbours: `src/core/care.ts`; `ladder.test`, `pulse.test` and `metrics.test` have what is done
// with them.
// Invariant: files are written out here as an operator would.

import { describe, expect, test } from "bun:test";
import { wordsOf } from "../../src/core/care.ts";
import { problemsOf, settingsOf, withLines } from "./file.ts";

const ALL = `
  [data]
  enable.recovery.on.connection.failure = true
  connection.recovery.max.failures = 3
  [recovery]
  refresh-per-day = 5
  provision-per-day = 4
  restart-per-day = 3
  hook-per-day = 2
  reboot-per-day = 1
  hook-command = /usr/bin/env mend "the network" eth0
  [watchdog]
  device = /dev/watchdog1
  timeout = 5
  [metrics]
  file = /run/azimuth/metrics.prom
  port = 9101
  update-interval = 1`;

const TPM = "[endpoint]\ntype = tpm\nid-scope = 0ne00012AB3\n";

test("everything given, with a DPS to register at", () => {
  const { recovery, watchdog, metrics } = settingsOf(`${TPM}${ALL}`);
  expect(recovery).toEqual({
    isEnabled: true,
    failuresMax: 3,
    perDay: [5, 4, 3, 2, 1],
    hook: ["/usr/bin/env", "mend", "the network", "eth0"],
  });
  expect(watchdog).toEqual({ device: "/dev/watchdog1", timeoutS: 5 });
  expect(metrics).toEqual({ file: "/run/azimuth/metrics.prom", port: 9101, intervalS: 1 });
});

describe("a rung that cannot be climbed is allowed no times a day", () => {
  test("DPS, with a connection string", () => {
    expect(settingsOf(withLines(ALL)).recovery.perDay).toEqual([5, 0, 3, 2, 1]);
  });

  test("the hook, without a command", () => {
    const text = ALL.replace(/hook-command.*/, "");
    expect(settingsOf(`${TPM}${text}`).recovery.perDay).toEqual([5, 4, 3, 0, 1]);
  });

  test("any of them, when no cause can be written down", () => {
    const text = ALL.replace("[recovery]", "store.place = memory\n[recovery]");
    expect(settingsOf(`${TPM}${text}`).recovery.perDay).toEqual([0, 0, 0, 0, 0]);
  });
});

describe("the words of a command", () => {
  test.each([
    ["/bin/true", ["/bin/true"]],
    ["/bin/a  -b\t c ", ["/bin/a", "-b", "c"]],
    ['/bin/a "b c" "" d', ["/bin/a", "b c", "", "d"]],
    ['"/opt/my tools/a" b', ["/opt/my tools/a", "b"]],
    ["/bin/a $HOME ; rm * | 'b' \\", ["/bin/a", "$HOME", ";", "rm", "*", "|", "'b'", "\\"]],
  ])("%s", (command, words) => {
    expect(wordsOf(command)).toEqual(words);
  });

  test.each(["", " ", "/", "true", "./a", '"a b"', '/bin/a "b', '/bin/a b"c"', '/bin/a "b"c'])(
    "%p is none",
    (command) => {
      expect(wordsOf(command)).toBeUndefined();
    },
  );

  test("that is none is refused with what is allowed", () => {
    expect(problemsOf(withLines("[recovery]\nhook-command = mend"))).toEqual([
      'a.ini:4: [recovery] hook-command: "mend" does not have the right form; allowed: an ' +
        'absolute path, then words, with "quotes" around one that has spaces',
    ]);
  });
});

describe("the metrics' file", () => {
  test.each([
    ["/etc/roots.pem", "is the ca-file of [endpoint] too"],
    ["/run/azimuth/../azimuth/control.sock", "is the control-socket of [agent] too"],
  ])("may not be %s", (path, problem) => {
    const lines = `ca-file = /etc/roots.pem\n[metrics]\nfile = ${path}`;
    expect(problemsOf(withLines(lines))).toEqual([
      `a.ini:5: [metrics] file: ${problem}; allowed: a file of its own`,
    ]);
  });

  test("may not be a lamp's", () => {
    const lamp = "[led.A]\ndriver = file\ntarget = /run/a";
    expect(problemsOf(withLines(`[metrics]\nfile = /run/a\n${lamp}`))).toEqual([
      "a.ini:7: [led.A] target: is the file of [metrics] too; allowed: a file of its own",
    ]);
  });
});
