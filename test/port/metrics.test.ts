// Metrics port, tested: files that readers see whole, and a server that answers this machine alone.
// Neighbours: `src/port/metrics.ts`; what the text says is tested with `core/metrics`.
// Invariant: texts are told apart by their length, so that a torn one would show.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MetricsFile, MetricsServer } from "../../src/port/metrics.ts";

let folder: string;
let path: string;
let problems: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "azimuth-metrics-"));
  path = join(folder, "azimuth.prom");
  problems = [];
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Until `isSo`, which the runner's own time limit bounds. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await Bun.sleep(1);
}

function file(): MetricsFile {
  return new MetricsFile(path, (problem) => void problems.push(problem));
}

const textOf = () => (existsSync(path) ? readFileSync(path, "utf8") : "");

describe("the file", () => {
  test("holds the text, may be read by all, and stands alone in its folder", async () => {
    const umask = process.umask(0o077);
    file().expose("a 1\n# EOF\n");
    await until(() => textOf() !== "");
    process.umask(umask);
    expect(textOf()).toBe("a 1\n# EOF\n");
    expect(statSync(path).mode & 0o777).toBe(0o644);
    expect(readdirSync(folder)).toEqual(["azimuth.prom"]);
  });

  test("is replaced whole: no torn text and no gap is seen, and the last one stays", async () => {
    const metrics = file();
    const long = (digit: string) => `${digit.repeat(300_000)}\n# EOF\n`;
    metrics.expose(long("0"));
    await until(() => textOf() !== "");
    for (let round = 1; round <= 200; round++) {
      metrics.expose(long(String(round % 10)));
      const text = textOf();
      expect(text).toBe(long(text[0]!));
      await Bun.sleep(0);
    }
    metrics.expose("last\n");
    await until(() => textOf() === "last\n");
  });

  test("that cannot be written is said once, and once when it can be again", async () => {
    rmSync(folder, { recursive: true });
    const metrics = file();
    metrics.expose("a\n");
    await until(() => problems.length === 1);
    metrics.expose("b\n");
    mkdirSync(folder);
    await until(() => {
      metrics.expose("c\n");
      return textOf() === "c\n";
    });
    await until(() => problems.length === 2);
    expect(problems).toEqual([`${path}: metrics not written: ENOENT`, ""]);
  });

  test("goes when the process does, also when a write was under way", async () => {
    const metrics = file();
    metrics.expose("a\n");
    await until(() => textOf() === "a\n");
    metrics.expose("b\n");
    metrics.close();
    metrics.expose("c\n");
    await until(() => readdirSync(folder).length === 0);
  });
});

/** What the server says to these bytes. */
function answer(port: number, head: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`${head}\r\n\r\n`));
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("close", () => resolve(text));
    socket.on("error", reject);
  });
}

describe("the server", () => {
  let server: MetricsServer;

  beforeEach(() => {
    server = new MetricsServer();
    expect(server.open(0)).toBe("");
  });

  afterEach(() => server.close());

  const get = (path: string, host: string, method = "GET") =>
    answer(server.port, `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close`);

  test("answers with the last text and its type", async () => {
    server.expose("a 1\n# EOF\n");
    server.expose("a 2\n# EOF\n");
    const response = await fetch(`http://127.0.0.1:${server.port}/metrics`);
    expect(response.headers.get("content-type")).toBe(
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
    );
    expect(await response.text()).toBe("a 2\n# EOF\n");
  });

  test("has a valid text before the first one", async () => {
    expect(await get("/metrics", "localhost")).toEndWith("\r\n\r\n# EOF\n");
  });

  test.each([
    ["/metrics", "localhost:1234", "GET", 200],
    ["/metrics", "[::1]", "HEAD", 200],
    ["/metrics", "evil.example", "GET", 403],
    ["/metrics", "127.0.0.1.evil.example", "GET", 403],
    ["/", "localhost", "GET", 404],
    ["/metrics/..", "localhost", "GET", 404],
    ["/metrics", "localhost", "POST", 405],
  ])("%s for %s by %s: %d", async (path, host, method, status) => {
    expect(await get(path, host, method)).toStartWith(`HTTP/1.1 ${status} `);
  });

  test("listens on loopback and nowhere else", async () => {
    const hex = server.port.toString(16).toUpperCase().padStart(4, "0");
    const tables = ["/proc/net/tcp", "/proc/net/tcp6"].map((table) => readFileSync(table, "utf8"));
    const listening = tables
      .join("\n")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter((row) => row[1]?.endsWith(`:${hex}`) && row[3] === "0A");
    expect(listening.map((row) => row[1])).toEqual([`0100007F:${hex}`]);
  });

  test("says who has the port", () => {
    const second = new MetricsServer();
    expect(second.open(server.port)).toBe(
      `port ${server.port} for metrics: in use by another program`,
    );
    expect(second.port).toBe(0);
    second.close();
  });
});
