/**
 * One half of a twin: desired or reported properties with their version and metadata (tags have
 * neither). Neighbours: `merge.ts` has the rules, `twin.ts` the two sections.
 * Invariant: a refused change leaves nothing behind; the version grows by one for each change.
 */
import { isoTime } from "./calendar.ts";
import { clone, documentProblem, isObject, type JsonObject, merge, sizeBytes } from "./merge.ts";

/** What is kept in a file. */
export interface SectionRecord {
  document: JsonObject;
  metadata: JsonObject;
  version: number;
}

const empty = (): JsonObject => Object.create(null);

/** A document under twin rules. */
export class Section {
  document: JsonObject = empty();
  private metadata: JsonObject = empty();
  version = 1;

  /**
   * `bytesMax`: size bound as the service counts; `hasVersions`: metadata says in which version a
   * key changed (desired only).
   */
  constructor(
    private readonly what: string,
    private readonly bytesMax: number,
    private readonly hasVersions: boolean,
    nowMs: number,
  ) {
    this.metadata = this.stamp(nowMs);
  }

  /** Merges a patch; the text is the problem, `''` when it was taken. */
  patch(patch: JsonObject, nowMs: number): string {
    const problem = documentProblem(patch);
    if (problem !== "") return `${this.what}: ${problem}`;
    return this.take(merge(this.document, patch), patch, nowMs);
  }

  /** Replaces the document; the text is the problem, `''` when it was taken. */
  replace(document: JsonObject, nowMs: number): string {
    const problem = documentProblem(document);
    if (problem !== "") return `${this.what}: ${problem}`;
    // Merging into nothing drops nulls, which a twin never holds.
    const clean = merge(empty(), document);
    const tooLarge = this.sizeProblem(clean);
    if (tooLarge !== "") return tooLarge;
    this.document = empty();
    this.metadata = empty();
    return this.take(clean, clean, nowMs);
  }

  /** The document with `$version`, and `$metadata` for the service. */
  view(withMetadata: boolean): JsonObject {
    const view = clone(this.document) as JsonObject;
    if (withMetadata) view.$metadata = clone(this.metadata) as JsonObject;
    view.$version = this.version;
    return view;
  }

  record(): SectionRecord {
    return { document: this.document, metadata: this.metadata, version: this.version };
  }

  /** Takes over what a file has kept. */
  restore(record: SectionRecord): void {
    this.document = clone(record.document) as JsonObject;
    this.metadata = clone(record.metadata) as JsonObject;
    this.version = record.version;
  }

  private take(next: JsonObject, patch: JsonObject, nowMs: number): string {
    const problem = this.sizeProblem(next);
    if (problem !== "") return problem;
    this.document = next;
    this.version++;
    this.metadata = this.mark(this.metadata, next, patch, nowMs);
    return "";
  }

  private sizeProblem(document: JsonObject): string {
    const bytes = sizeBytes(document);
    if (bytes <= this.bytesMax) return "";
    return `${this.what}: ${bytes} bytes, ${this.bytesMax} are allowed`;
  }

  private stamp(nowMs: number): JsonObject {
    const stamp = empty();
    stamp.$lastUpdated = isoTime(nowMs);
    if (this.hasVersions) stamp.$lastUpdatedVersion = this.version;
    return stamp;
  }

  /** Metadata of `document` after `patch`: what was touched has a new stamp, the rest its old. */
  private mark(old: JsonObject, document: JsonObject, patch: JsonObject, nowMs: number) {
    const marked = this.stamp(nowMs);
    for (const key of Object.keys(document)) {
      const before = old[key];
      const known = isObject(before) ? before : empty();
      const touched = Object.hasOwn(patch, key) ? patch[key]! : null;
      if (touched === null) {
        marked[key] = isObject(before) ? before : this.stamp(nowMs);
        continue;
      }
      const value = document[key]!;
      marked[key] =
        isObject(value) && isObject(touched)
          ? this.mark(known, value, touched, nowMs)
          : this.stamp(nowMs);
    }
    return marked;
  }
}
