/**
 * All enrollments of one kind: create, read, change, delete under etags, page by page, in bulk.
 * Neighbours: `dps.ts` has one for devices and one for groups. Facts: DPS service REST.
 * Invariant: ids are compared without regard to case; the order is that of creation.
 */
import { isObject, type Json, type JsonObject } from "../merge.ts";
import type { World } from "../world.ts";
import { Enrollment, type EnrollmentRecord } from "./enrollment.ts";
import { DpsCode, DpsError, malformed } from "./errors.ts";

const BULK_MAX = 10;

/** The precondition of a request: undefined for none, `*` for "exists", else an etag. */
export type Match = string | undefined;

/** One page of a list. */
export interface Page<T> {
  items: T[];
  /** Where the next page begins, -1 at the end. */
  next: number;
}

/** The part of a list that begins at `from`, at most `countMax` long. */
export function pageOf<T>(all: readonly T[], from: number, countMax: number): Page<T> {
  const end = from + countMax;
  return { items: all.slice(from, end), next: end < all.length ? end : -1 };
}

/** Checks a precondition against what is there; throws 412. */
export function demandMatch(match: Match, etag: string | undefined): void {
  if (match === undefined || (match === "*" && etag !== undefined) || match === etag) return;
  throw new DpsError(DpsCode.PreconditionFailed, "the etag is another one");
}

/** Enrollments of devices, or of groups. */
export class Catalog {
  private readonly enrollments = new Map<string, Enrollment>();

  constructor(
    private readonly world: World,
    private readonly isGroup: boolean,
  ) {}

  /** In order of creation. */
  all(): Enrollment[] {
    return [...this.enrollments.values()];
  }

  find(id: string): Enrollment | undefined {
    return this.enrollments.get(id.toLowerCase());
  }

  /** The enrollment, or throws 404. */
  demand(id: string): Enrollment {
    const found = this.find(id);
    if (found !== undefined) return found;
    const what = this.isGroup ? "enrollment group" : "enrollment";
    throw new DpsError(DpsCode.EnrollmentNotFound, `${what} ${id} does not exist`);
  }

  /** Creates, or changes under an etag; throws 400, 409 or 412. */
  put(id: string, body: JsonObject, match: Match): Enrollment {
    const old = this.find(id);
    demandMatch(match, old?.record.etag);
    if (old !== undefined && match === undefined) {
      throw new DpsError(DpsCode.AlreadyExists, `${id} is enrolled already; give its etag`);
    }
    const made = Enrollment.take(id, this.isGroup, body, old, this.world);
    this.enrollments.set(id.toLowerCase(), made);
    return made;
  }

  /** Takes an enrollment out; throws 404 or 412. */
  remove(id: string, match: Match): Enrollment {
    const found = this.demand(id);
    demandMatch(match, found.record.etag);
    this.enrollments.delete(id.toLowerCase());
    return found;
  }

  /** One step of a bulk call; throws what the single call throws. */
  change(mode: Json, id: string, body: JsonObject): Enrollment {
    const etag = typeof body.etag === "string" ? body.etag : "";
    switch (mode) {
      case "create":
        return this.put(id, body, undefined);
      case "update":
        return this.put(id, body, "*");
      case "updateIfMatchEtag":
        return this.put(id, body, etag);
      case "delete":
        return this.remove(id, undefined);
      default:
        throw malformed("mode must be create, update, updateIfMatchEtag or delete");
    }
  }

  /** Bodies of a bulk call, each with its id; throws 400. */
  bulkBodies(body: JsonObject): [string, JsonObject][] {
    const list = body[this.isGroup ? "enrollmentGroups" : "enrollments"];
    if (!Array.isArray(list) || list.length < 1 || list.length > BULK_MAX) {
      throw malformed(`a bulk call takes an array of 1 to ${BULK_MAX} enrollments`);
    }
    return list.map((item) => {
      if (!isObject(item)) throw malformed("each enrollment must be an object");
      return [String(item[this.isGroup ? "enrollmentGroupId" : "registrationId"] ?? ""), item];
    });
  }

  records(): EnrollmentRecord[] {
    return this.all().map((enrollment) => enrollment.record);
  }

  restore(records: readonly EnrollmentRecord[]): void {
    for (const record of records) {
      this.enrollments.set(record.id.toLowerCase(), Enrollment.restore(record));
    }
  }
}
