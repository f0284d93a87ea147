/**
 * One device twin: tags, desired and reported properties, etag. Neighbours: `device.ts` owns it,
 * `twins.ts` changes it for services and devices. Facts: IoT Hub device twins guide.
 * Invariant: the etag changes with tags and desired, the version with every change.
 */
import { invalid } from "./errors.ts";
import { clone, isObject, type Json, type JsonObject } from "./merge.ts";
import { Section, type SectionRecord } from "./section.ts";

const PROPERTIES_BYTES_MAX = 32_768;
const TAGS_BYTES_MAX = 8192;

/** What is kept in a file. */
export interface TwinRecord {
  tags: JsonObject;
  desired: SectionRecord;
  reported: SectionRecord;
  version: number;
  etagNumber: number;
}

/** Twin of one device. */
export class Twin {
  private readonly tagSection: Section;
  readonly desired: Section;
  readonly reported: Section;
  version = 2;
  private etagNumber = 1;

  constructor(nowMs: number) {
    this.tagSection = new Section("tags", TAGS_BYTES_MAX, false, nowMs);
    this.desired = new Section("properties.desired", PROPERTIES_BYTES_MAX, true, nowMs);
    this.reported = new Section("properties.reported", PROPERTIES_BYTES_MAX, false, nowMs);
  }

  get tags(): JsonObject {
    return this.tagSection.document;
  }

  /** Opaque text that changes with each service-side change. */
  get etag(): string {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(this.etagNumber));
    return bytes.toString("base64");
  }

  /** What a device gets: both sections with `$version`, no metadata. */
  deviceView(): string {
    return JSON.stringify({
      desired: this.desired.view(false),
      reported: this.reported.view(false),
    });
  }

  /** Merges a device's patch; the text is the problem, `''` when it was taken. */
  report(patch: JsonObject, nowMs: number): string {
    const problem = this.reported.patch(patch, nowMs);
    if (problem === "") this.version++;
    return problem;
  }

  /**
   * A service's change of tags and desired properties, both or none. Throws 400.
   * `isWhole`: replace instead of merge; a part that is not named becomes empty then.
   */
  change(
    tags: JsonObject | undefined,
    desired: JsonObject | undefined,
    isWhole: boolean,
    nowMs: number,
  ): void {
    const before = this.record();
    const problem =
      this.changeSection(this.tagSection, tags, isWhole, nowMs) ||
      this.changeSection(this.desired, desired, isWhole, nowMs);
    if (problem !== "") {
      this.restore(before);
      throw invalid(problem);
    }
    this.version++;
    this.etagNumber++;
  }

  record(): TwinRecord {
    return {
      tags: this.tags,
      desired: this.desired.record(),
      reported: this.reported.record(),
      version: this.version,
      etagNumber: this.etagNumber,
    };
  }

  restore(record: TwinRecord): void {
    this.tagSection.document = clone(record.tags) as JsonObject;
    this.desired.restore(record.desired);
    this.reported.restore(record.reported);
    this.version = record.version;
    this.etagNumber = record.etagNumber;
  }

  private changeSection(
    section: Section,
    value: JsonObject | undefined,
    isWhole: boolean,
    nowMs: number,
  ): string {
    if (isWhole) return section.replace(value ?? Object.create(null), nowMs);
    return value === undefined ? "" : section.patch(value, nowMs);
  }
}

/** A named object member, without the `$` keys that a read twin carries; throws 400. */
export function part(body: JsonObject, name: string, where: string): JsonObject | undefined {
  const value: Json | undefined = body[name];
  if (value === undefined) return undefined;
  if (!isObject(value)) throw invalid(`${where}${name} must be an object`);
  const copy: JsonObject = Object.create(null);
  for (const key of Object.keys(value)) {
    if (key !== "$metadata" && key !== "$version") copy[key] = clone(value[key]!);
  }
  return copy;
}
