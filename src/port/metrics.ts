// Metrics port: a file that is replaced whole, or a port on loopback that answers with the text.
// Neighbours: the turn drains EXPOSE effects here; node exporters and scrapers read it.
// Invariant: a reader sees a whole text or none; the loop never waits for the disk; nothing but
// this machine is answered.

import { chmod, rename, rmSync, writeFile } from "node:fs";
import type { Exposure } from "../core/effects.ts";

/** OpenMetrics 1.0, section 4.1. */
const CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const MODE = 0o644;
const LOOPBACK = "127.0.0.1";
/** Names of this machine; a page of somebody else's that resolves to us uses its own. */
const LOCAL_HOST = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/i;

/** Keeps a file up to date. */
export class MetricsFile implements Exposure {
  private isWriting = false;
  private next: string | null = null;
  private isClosed = false;
  private problem = "";
  private readonly draft: string;

  /**
   * @param path the file; its folder must exist and take a second one, `path.new`
   * @param onProblem told once a kind of failure, one line; "" when it is over
   */
  constructor(
    private readonly path: string,
    private readonly onProblem: (problem: string) => void,
  ) {
    this.draft = `${path}.new`;
  }

  expose(text: string): void {
    if (this.isClosed) return;
    this.next = text;
    if (!this.isWriting) this.write();
  }

  /** Removes the file, at once, for the process ends: one that is gone has no figures. */
  close(): void {
    this.isClosed = true;
    this.next = null;
    this.remove();
  }

  private write(): void {
    const text = this.next!;
    this.next = null;
    this.isWriting = true;
    const then = (next: () => void) => (error: NodeJS.ErrnoException | null) => {
      if (error !== null) this.done(error);
      else next();
    };
    const replace = () => rename(this.draft, this.path, (error) => this.done(error));
    // Whatever the umask of the process is: figures are for all, its other files are not.
    const publish = () => chmod(this.draft, MODE, then(replace));
    writeFile(this.draft, text, then(publish));
  }

  private done(error: NodeJS.ErrnoException | null): void {
    this.isWriting = false;
    const problem = error === null ? "" : `${this.path}: metrics not written: ${error.code}`;
    if (problem !== this.problem) this.onProblem(problem);
    this.problem = problem;
    if (this.isClosed) this.remove();
    else if (this.next !== null) this.write();
  }

  private remove(): void {
    try {
      rmSync(this.path, { force: true });
      rmSync(this.draft, { force: true });
    } catch {
      // Nobody is left to be told.
    }
  }
}

/** Serves the last text at `GET /metrics` on 127.0.0.1. */
export class MetricsServer implements Exposure {
  private text = "# EOF\n";
  private server: Bun.Server<undefined> | null = null;

  /**
   * Listens; "" or one line that says what is wrong.
   * @param port 0 for any free one, which {@link port} then tells
   */
  open(port: number): string {
    try {
      const answer = (request: Request) => this.answer(request);
      this.server = Bun.serve({ hostname: LOOPBACK, port, fetch: answer, idleTimeout: 10 });
      return "";
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      const why = code === "EADDRINUSE" ? "in use by another program" : code;
      return `port ${port} for metrics: ${why}`;
    }
  }

  /** The port that is listened on; 0: none. */
  get port(): number {
    return this.server?.port ?? 0;
  }

  expose(text: string): void {
    this.text = text;
  }

  close(): void {
    this.server?.stop(true);
    this.server = null;
  }

  private answer(request: Request): Response {
    const host = request.headers.get("host") ?? "";
    if (!LOCAL_HOST.test(host)) return new Response("not for this host\n", { status: 403 });
    if (new URL(request.url).pathname !== "/metrics") {
      return new Response("only /metrics is here\n", { status: 404 });
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      const headers = { allow: "GET, HEAD" };
      return new Response("only GET\n", { status: 405, headers });
    }
    return new Response(this.text, { headers: { "content-type": CONTENT_TYPE } });
  }
}
