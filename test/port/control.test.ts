// Tests of src/port/control.ts over real Unix sockets.
// Neighbours: the turn gets the words and replies; main asks as a client.
// Invariant: whatever comes in, there is one reply line and the server goes on.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CONTROL_CLIENTS_MAX, CONTROL_LINE_BYTES_MAX } from "../../src/limits.ts";
import { ask, ControlServer } from "../../src/port/control.ts";

const SOURCE = JSON.stringify(`${import.meta.dir}/../../src/port/control.ts`);

const LONG = "0123456789".repeat(200_000);

let folder: string;
let path: string;
let server: ControlServer;
let commands: { client: number; words: string[] }[];
/** What the turn would do; the default echoes the words. */
let onCommand: (client: number, words: string[]) => void;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "azimuth-control-"));
  path = join(folder, "run", "control.sock");
  commands = [];
  onCommand = (client, words) => server.reply(client, true, words.join(" "));
  server = new ControlServer({
    onCommand(client, words) {
      commands.push({ client, words });
      onCommand(client, words);
    },
  });
});

afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

function dial(): Socket {
  return connect({ path, allowHalfOpen: true }).on("error", () => {});
}

/** Everything that comes back until the server closes. */
async function answer(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (data) => {
    text += data;
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on("close", resolve).on("end", () => socket.end());
  await promise;
  return text;
}

function exchange(...parts: (string | Uint8Array)[]): Promise<string> {
  const socket = dial();
  for (const part of parts) socket.write(part);
  return answer(socket);
}

function mode(file: string): string {
  return (statSync(file).mode & 0o777).toString(8);
}

describe("a request", () => {
  test("goes in as words and comes back as the reply", async () => {
    expect(await server.open(path)).toBe("");
    expect(await ask(path, ["led", "LED1", "on"], 5000)).toEqual({ ok: true, text: "led LED1 on" });
    expect(commands.map((command) => command.words)).toEqual([["led", "LED1", "on"]]);
  });

  test("can be refused, with any text", async () => {
    const text = 'line one\nline "two"\t\u0000 gerät 🌍';
    onCommand = (client) => server.reply(client, false, text);
    await server.open(path);
    expect(await ask(path, ["status"], 5000)).toEqual({ ok: false, text });
  });

  test("may arrive byte by byte, and be answered later", async () => {
    onCommand = (client) => setTimeout(() => server.reply(client, true, "late"), 5);
    await server.open(path);
    const socket = dial();
    const done = answer(socket);
    for (const byte of '["status"]\n') {
      socket.write(byte);
      await Bun.sleep(0);
    }
    expect(await done).toBe('{"ok":true,"text":"late"}\n');
    expect(commands).toHaveLength(1);
  });

  test("may be followed by the end of the client's side", async () => {
    onCommand = (client) => setTimeout(() => server.reply(client, true, "heard"), 5);
    await server.open(path);
    const socket = dial();
    socket.end('["status"]\n');
    expect(await answer(socket)).toBe('{"ok":true,"text":"heard"}\n');
  });

  test("gets a long reply whole, to a client that reads slowly", async () => {
    onCommand = (client) => server.reply(client, true, LONG);
    await server.open(path);
    const socket = dial();
    socket.write('["status"]\n');
    socket.pause();
    setTimeout(() => socket.resume(), 20);
    expect(JSON.parse(await answer(socket))).toEqual({ ok: true, text: LONG });
  });

  test("counts once: what follows the line, and a second reply, are passed over", async () => {
    onCommand = (client) => {
      server.reply(client, true, "first");
      server.reply(client, true, "second");
    };
    await server.open(path);
    expect(await exchange('["a"]\n["b"]\n')).toBe('{"ok":true,"text":"first"}\n');
    expect(commands).toHaveLength(1);
  });
});

describe("bad input gets a refusal and the server goes on", () => {
  const SHAPE = '{"ok":false,"text":"a request is one line of JSON: an array of words"}\n';
  test.each([
    ["no JSON", "status\n"],
    ["an empty line", "\n"],
    ["an object", '{"words":["status"]}\n'],
    ["no words", "[]\n"],
    ["a number among the words", '["interval",5]\n'],
    ["nested words", '[["status"]]\n'],
    ["ill-formed UTF-8", Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d, 0x0a])],
  ])("%s", async (_name, bytes) => {
    await server.open(path);
    expect(await exchange(bytes)).toBe(SHAPE);
    expect(commands).toEqual([]);
    expect((await ask(path, ["still", "there"], 5000)).text).toBe("still there");
  });

  test("a line of the greatest length is taken, a longer one is not", async () => {
    await server.open(path);
    const word = "x".repeat(CONTROL_LINE_BYTES_MAX - 4);
    expect(JSON.parse(await exchange(`["${word}"]\n`)).text).toBe(word);
    const tooLong = `{"ok":false,"text":"a request has at most ${CONTROL_LINE_BYTES_MAX} bytes"}\n`;
    expect(await exchange(`["${word}x"]\n`)).toBe(tooLong);
    expect(await exchange(`["${word}`, "y".repeat(100_000))).toBe(tooLong);
  });

  test("a client that leaves early, at any point, costs nothing", async () => {
    let waiting = -1;
    onCommand = (client) => {
      waiting = client;
    };
    await server.open(path);
    for (const part of ["", '["sta', '["status"]\n']) {
      const socket = dial();
      await new Promise((resolve) => socket.write(part || "[", resolve));
      await Bun.sleep(5);
      socket.destroy();
      await Bun.sleep(5);
    }
    server.reply(waiting, true, "nobody is there");
    server.reply(12345, true, "nobody ever was");
    onCommand = (client) => server.reply(client, true, "fine");
    expect((await ask(path, ["status"], 5000)).text).toBe("fine");
  });

  test("one client more than the limit is refused, and slots come free again", async () => {
    await server.open(path);
    const idle: Socket[] = [];
    for (let count = 0; count < CONTROL_CLIENTS_MAX; count += 1) {
      const socket = dial();
      await new Promise((resolve) => socket.write("[", resolve));
      idle.push(socket);
    }
    const refused = await ask(path, ["status"], 5000);
    expect(refused).toEqual({ ok: false, text: "more than 8 control clients at once" });
    for (const socket of idle) socket.destroy();
    while (!(await ask(path, ["status"], 5000)).ok) await Bun.sleep(1);
    expect(commands.map((command) => command.words)).toEqual([["status"]]);
  });
});

describe("a client is dropped in the end", () => {
  function socketCount(): number {
    const links = readdirSync("/proc/self/fd").map((name) => `/proc/self/fd/${name}`);
    return links.filter(isSocket).length;
  }

  function isSocket(link: string): boolean {
    try {
      return readlinkSync(link).startsWith("socket:");
    } catch {
      return false;
    }
  }

  let during = 0;

  beforeEach(async () => {
    const onCommand = (client: number) => {
      during = socketCount();
      server.reply(client, true, LONG);
    };
    server = new ControlServer({ onCommand }, 20);
    await server.open(path);
  });

  test("when it says nothing", async () => {
    expect(await exchange("")).toBe("");
  });

  test("when it does not take its reply", async () => {
    const script = `Bun.connect({ unix: ${JSON.stringify(path)}, socket: { data() {},
      open(socket) { socket.write('["status"]\\n'); Bun.sleepSync(60_000); } } });`;
    const child = Bun.spawn([process.execPath, "-e", script], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    while (during === 0 || socketCount() >= during) await Bun.sleep(1);
    expect(child.exitCode).toBe(null);
    child.kill();
    await child.exited;
  });
});

describe("the socket file", () => {
  test("has mode 0600 whatever the umask, its new folder 0755; the umask stays", async () => {
    const before = process.umask(0);
    try {
      expect(await server.open(path)).toBe("");
      expect(process.umask()).toBe(0);
    } finally {
      process.umask(before);
    }
    expect(mode(path)).toBe("600");
    expect(mode(join(folder, "run"))).toBe("755");
  });

  test("goes away with close", async () => {
    await server.open(path);
    server.close();
    expect(existsSync(path)).toBe(false);
    server.close();
  });

  test("of a living agent is left alone", async () => {
    await server.open(path);
    const second = new ControlServer({ onCommand() {} });
    expect(await second.open(path)).toBe(`azimuth is already running (${path})`);
    second.close();
    expect((await ask(path, ["status"], 5000)).ok).toBe(true);
  });

  test("of a dead agent is replaced", async () => {
    const script = `import { ControlServer } from ${SOURCE};
      console.log(await new ControlServer({ onCommand() {} }).open(${JSON.stringify(path)}));`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    await child.stdout.getReader().read();
    child.kill("SIGKILL");
    await child.exited;
    expect(existsSync(path)).toBe(true);
    expect(await server.open(path)).toBe("");
    expect((await ask(path, ["status"], 5000)).ok).toBe(true);
  });

  /** What a dead agent leaves: a socket that nobody listens at. */
  function leaveSocket(): void {
    mkdirSync(join(folder, "run"));
    const dead = Bun.listen({ unix: join(folder, "dead"), socket: { data() {} } });
    renameSync(join(folder, "dead"), path);
    dead.stop(true);
  }

  test("of a dead agent goes to one of those that start together", async () => {
    leaveSocket();
    const others = [1, 2, 3].map(() => new ControlServer({ onCommand() {} }));
    const all = [server, ...others];
    const said = await Promise.all(all.map((one) => one.open(path)));
    const winner = said.indexOf("");
    all.forEach((one, index) => {
      if (index !== winner) one.close();
    });
    expect(readdirSync(join(folder, "run"))).toEqual(["control.sock"]);
    all[winner]!.close();
    const refusal = `azimuth is already running (${path})`;
    expect(said.sort()).toEqual(["", refusal, refusal, refusal]);
  });

  test("of another is left alone by close", async () => {
    await server.open(path);
    rmSync(path);
    const second = new ControlServer({ onCommand: (client) => second.reply(client, true, "mine") });
    expect(await second.open(path)).toBe("");
    server.close();
    expect(await ask(path, ["status"], 5000)).toEqual({ ok: true, text: "mine" });
    second.close();
    expect(existsSync(path)).toBe(false);
  });

  test("cannot be made: one line that names the place", async () => {
    const plain = join(folder, "plain");
    writeFileSync(plain, "text");
    expect(await server.open(plain)).toBe(`control-socket ${plain}: exists and is not a socket`);
    expect(await server.open(join(plain, "x.sock"))).toMatch(
      /^control-socket .*: (ENOTDIR|EEXIST);/,
    );
    const long = join(folder, "x".repeat(120));
    expect(await server.open(long)).toBe(`control-socket ${long}: longer than 107 bytes`);
  });
});

describe("asking", () => {
  test("when none is running", async () => {
    expect(await ask(path, ["status"], 5000)).toEqual({
      ok: false,
      text: `no azimuth is running (${path})`,
    });
  });

  test("when no answer comes", async () => {
    onCommand = () => {};
    await server.open(path);
    expect(await ask(path, ["status"], 20)).toEqual({
      ok: false,
      text: `azimuth gave no answer within 20 ms (${path})`,
    });
  });

  test("when the agent goes away meanwhile", async () => {
    onCommand = () => server.close();
    await server.open(path);
    const { ok, text } = await ask(path, ["status"], 5000);
    expect({ ok, text }).toEqual({ ok: false, text: `azimuth ended without an answer (${path})` });
  });

  test("when something else listens there", async () => {
    const other = Bun.listen({
      unix: join(folder, "other.sock"),
      socket: { data: (socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n") },
    });
    const { ok, text } = await ask(join(folder, "other.sock"), ["status"], 5000);
    expect({ ok, text }).toEqual({ ok: false, text: "the answer is not one of azimuth's" });
    other.stop(true);
  });

  test("without permission", async () => {
    await server.open(path);
    chmodSync(folder, 0o755);
    chmodSync(path, 0);
    // Imported first: the tree may lie where nobody but root can read.
    const script = `const { ask } = await import(${SOURCE});
      if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534); }
      console.log((await ask(${JSON.stringify(path)}, ["status"], 5000)).text);`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    const text = await new Response(child.stdout).text();
    expect(text).toStartWith(`no permission to ask azimuth (${path})`);
  });
});

test("a broken assertion in a command ends the process", async () => {
  const script = `import { ask, ControlServer } from ${SOURCE};
    const server = new ControlServer({ onCommand() { throw new Error("broken"); } });
    const path = ${JSON.stringify(path)};
    server.open(path).then(() => ask(path, ["status"], 5000)).then(() => process.exit(0));`;
  const child = Bun.spawn([process.execPath, "-e", script], { stderr: "pipe" });
  const text = await new Response(child.stderr).text();
  expect(text).toContain("broken");
  expect(await child.exited).toBe(1);
});
