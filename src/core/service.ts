// Service: the shape of the world around DPS: requests over HTTPS, and what is kept of the answers.
// Neighbours: `effects` hands these names on to the ports; `provision` asks for what they do.
// Invariant: types alone, no behaviour.

/** One HTTPS request. */
export interface WebRequest {
  readonly method: "GET" | "PUT";
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Value of the Authorization header, "" for none; secret. */
  readonly authorization: string;
  /** JSON, "" for none. */
  readonly body: string;
}

/** What came back; status 0 when nothing did. */
export interface WebAnswer {
  readonly status: number;
  /** The server's `Date` in Unix s; NaN without one. */
  readonly dateS: number;
  /** `Retry-After` in s; NaN without one. */
  readonly retryAfterS: number;
  readonly body: string;
  /** Why nothing came back, "" when something did. */
  readonly problem: string;
}

/** What the web tells the turn. */
export interface WebEvents {
  onFetched(ticket: number, answer: WebAnswer): void;
}

/** Carries HTTPS requests. Answers each with one `onFetched`, never from inside `ask`. */
export interface Web {
  /** Trusts the PEM text `roots` only. */
  ask(ticket: number, request: WebRequest, roots: string): void;
}

/** What the memo tells the turn: "" or one line that says why nothing was kept. */
export interface MemoEvents {
  onSaved(problem: string): void;
}

/** Keeps a short text over restarts. Answers each `save` with one `onSaved`, never from inside. */
export interface Memo {
  /** What was kept when the process started; "" for nothing. */
  readonly text: string;
  save(text: string): void;
}
