// Init, tested: the SysV init script on real processes, with a shell script in the agent's place.
// Neighbours: `conf/azimuth.init`; `conf.test.ts` checks its texts.
// Invariant: every path of the script is moved into a folder of this test, and every process it
// starts is ended here.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const conf = resolve(import.meta.dir, "../conf");
const folder = mkdtempSync(join(tmpdir(), "init-"));
const script = join(folder, "init");

/** Stands in for the agent: says who it is, and ends on TERM with a word. */
const AGENT = `#!/bin/sh
case "$1" in
  run)
    trap 'echo bye >&2; exit 0' TERM
    echo "run with $3, collector $BUN_GC_TIMER_DISABLE, core $(ulimit -c)" >&2
    echo $$ >"$(dirname "$0")/agent.pid"
    while :; do sleep 0.05; done
    ;;
  reload) echo "reload $3"; exit 1 ;;
  check) if [ -e "$(dirname "$0")/unsound" ]; then echo "unsound"; exit 1; fi ;;
esac
`;

/** Stands in for logger: a file takes what comes. */
const LOGGER = `echo $$ >${folder}/logger.pid\nexec cat >>${folder}/log\n`;

/** Runs the script with one word. */
function init(word: string): { code: number; output: string } {
  const ran = Bun.spawnSync(["sh", script, word]);
  return { code: ran.exitCode, output: ran.stdout.toString() + ran.stderr.toString() };
}

const read = (name: string) => readFileSync(join(folder, name), "utf8");

/** Waits, with patience, until `isSo`. */
async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; tries < 400 && !isSo(); tries++) await Bun.sleep(25);
  expect(isSo()).toBe(true);
}

async function pidOf(who: "agent" | "logger", before = ""): Promise<string> {
  const name = `${who}.pid`;
  const known = () => existsSync(join(folder, name)) && read(name).trim() !== "";
  await until(() => known() && read(name).trim() !== before);
  return read(name).trim();
}

beforeAll(async () => {
  const moved: readonly (readonly [RegExp, string])[] = [
    [/^PATH=/m, `PATH=${folder}:`],
    [/^DAEMON=.*/m, `DAEMON=${folder}/azimuth`],
    [/^SETTINGS=.*/m, `SETTINGS=${folder}/azimuth.ini`],
    [/^ACCOUNT=.*/m, "ACCOUNT=no-such-account"],
    [/^RUN=.*/m, `RUN=${folder}/run`],
    [/^STATE=.*/m, `STATE=${folder}/state`],
    [/^PIDFILE=.*/m, `PIDFILE=${folder}/supervisor.pid`],
    [/^PAUSE=.*/m, "PAUSE=0"],
    [/\/etc\/azimuth\/azimuth\.env/, `${folder}/azimuth.env`],
    [/\/etc\/default\/azimuth/g, `${folder}/none`],
  ];
  let text = readFileSync(join(conf, "azimuth.init"), "utf8");
  for (const [pattern, replacement] of moved) {
    expect(text).toMatch(pattern);
    text = text.replace(pattern, replacement);
  }
  await Bun.write(script, text);
  await Bun.write(join(folder, "azimuth"), AGENT);
  await Bun.write(join(folder, "logger"), `#!/bin/sh\n${LOGGER}`);
  for (const name of ["init", "azimuth", "logger"]) chmodSync(join(folder, name), 0o755);
  for (const name of ["azimuth.ini", "azimuth.env"]) {
    copyFileSync(join(conf, name), join(folder, name));
  }
});

afterAll(() => {
  init("stop");
  rmSync(folder, { recursive: true });
});

describe("before a start", () => {
  test("it does not run, in the words and codes of the LSB", () => {
    expect(init("status")).toEqual({ code: 3, output: "azimuth does not run\n" });
    expect(init("stop")).toEqual({ code: 0, output: "azimuth does not run\n" });
  });

  test("other words are not understood", () => {
    expect(init("begin").code).toBe(2);
    expect(init("begin").output).toContain("start|stop|restart|reload|status");
  });
});

test("start, a second start, a crash, reload, restart, stop", async () => {
  expect(init("start")).toEqual({ code: 0, output: "azimuth started\n" });
  expect(statSync(join(folder, "state")).mode & 0o777).toBe(0o700);
  const first = await pidOf("agent");
  expect(init("start").output).toStartWith("azimuth runs already (pid ");
  expect(init("status").code).toBe(0);
  expect(init("reload")).toEqual({ code: 1, output: `reload ${folder}/azimuth.ini\n` });

  process.kill(Number(first), "SIGKILL");
  const second = await pidOf("agent", first);
  expect(init("status").code).toBe(0);

  expect(init("restart")).toEqual({ code: 0, output: "azimuth stopped\nazimuth started\n" });
  await pidOf("agent", second);
  expect(init("stop")).toEqual({ code: 0, output: "azimuth stopped\n" });
  expect(init("status").code).toBe(3);

  await until(() => read("log").split("bye").length === 3);
  const log = read("log");
  expect(log).toContain(`run with ${folder}/azimuth.ini, collector 1, core 0\n`);
  expect(log).toContain("the agent ended with 137, next start in 0 s\n");
  expect(log.match(/^run with/gm)).toHaveLength(3);
});

test("the logger is killed, the agent ends: both come back, and all is logged", async () => {
  for (const name of ["agent.pid", "logger.pid", "log"])
    rmSync(join(folder, name), { force: true });
  expect(init("start").code).toBe(0);
  const agent = await pidOf("agent");
  const logger = await pidOf("logger");
  process.kill(Number(logger), "SIGKILL");
  // Until it is gone it may still take what comes.
  await pidOf("logger", logger);
  process.kill(Number(agent), "SIGKILL");
  const next = await pidOf("agent", agent);
  expect(init("status").code).toBe(0);
  const ends = () => (existsSync(join(folder, "log")) ? read("log").split("ended with 137") : []);
  await until(() => ends().length === 2);

  process.kill(Number(next), "SIGKILL");
  await pidOf("agent", next);
  await until(() => ends().length === 3);
  expect(init("stop").code).toBe(0);
  await until(() => read("log").trimEnd().endsWith("bye"));
  await until(() => !existsSync(`/proc/${read("logger.pid").trim()}`));
});

test("settings that the agent cannot use: the reason, and nothing is started", async () => {
  await Bun.write(join(folder, "unsound"), "");
  expect(init("start")).toEqual({ code: 6, output: "unsound\nazimuth not started\n" });
  expect(init("status").code).toBe(3);
  rmSync(join(folder, "unsound"));
});
