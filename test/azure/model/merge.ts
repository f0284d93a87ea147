/**
 * JSON merge patch (RFC 7396) on twin sections, and the rules for what a twin may hold.
 * Neighbours: `section.ts` applies both. Facts: IoT Hub device twins guide, "Tags and properties
 * format". Invariant: documents have no prototype, so a key named `__proto__` is a key like others.
 */

/** A JSON value. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
/** A JSON object without a prototype. */
export interface JsonObject {
  [key: string]: Json;
}

const KEY_BYTES_MAX = 1024;
const TEXT_BYTES_MAX = 4096;
const INTEGER_MAX = 4_503_599_627_370_496;
const DEPTH_MAX = 10;
const NUMBER_BYTES = 8;
const BOOLEAN_BYTES = 4;

/** Whether a value is an object and no array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Deep copy into objects without prototype. */
export function clone(value: Json): Json {
  if (Array.isArray(value)) return value.map(clone);
  if (!isObject(value)) return value;
  const copy: JsonObject = Object.create(null);
  for (const key of Object.keys(value)) copy[key] = clone(value[key]!);
  return copy;
}

/** Merges `patch` into a copy of `target`: null removes, objects merge, the rest replaces. */
export function merge(target: JsonObject, patch: JsonObject): JsonObject {
  const result = clone(target) as JsonObject;
  for (const key of Object.keys(patch)) {
    const value = patch[key]!;
    if (value === null) {
      delete result[key];
    } else if (isObject(value)) {
      const old = result[key];
      result[key] = merge(isObject(old) ? old : Object.create(null), value);
    } else {
      result[key] = clone(value);
    }
  }
  return result;
}

/** The patch that turns `from` into `to`: `to` itself, and null for each key that is gone. */
export function difference(from: JsonObject, to: JsonObject): JsonObject {
  const patch = clone(to) as JsonObject;
  for (const key of Object.keys(from)) {
    const old = from[key]!;
    const now = patch[key];
    if (now === undefined) patch[key] = null;
    else if (isObject(old) && isObject(now)) patch[key] = difference(old, now);
  }
  return patch;
}

function keyProblem(key: string): string {
  if (key === "") return "empty key";
  if (Buffer.byteLength(key) > KEY_BYTES_MAX) return `key of more than ${KEY_BYTES_MAX} bytes`;
  if (/[\u0000-\u001f\u007f-\u009f.$ ]/.test(key)) {
    return `key ${JSON.stringify(key)} holds a control character, a dot, a dollar sign or a space`;
  }
  return "";
}

function valueProblem(value: Json, depth: number): string {
  if (typeof value === "string") {
    const isLong = Buffer.byteLength(value) > TEXT_BYTES_MAX;
    return isLong ? `string of more than ${TEXT_BYTES_MAX} bytes` : "";
  }
  if (typeof value === "number") {
    const isOutside = Number.isInteger(value) && Math.abs(value) > INTEGER_MAX;
    return isOutside ? `integer beyond ±${INTEGER_MAX}` : "";
  }
  if (Array.isArray(value)) {
    if (depth >= DEPTH_MAX) return `nesting deeper than ${DEPTH_MAX}`;
    return firstProblem(value, (item) => valueProblem(item, depth + 1));
  }
  return isObject(value) ? objectProblem(value, depth + 1) : "";
}

function firstProblem<T>(items: readonly T[], check: (item: T) => string): string {
  for (const item of items) {
    const problem = check(item);
    if (problem !== "") return problem;
  }
  return "";
}

function objectProblem(value: JsonObject, depth: number): string {
  if (depth > DEPTH_MAX) return `nesting deeper than ${DEPTH_MAX}`;
  return firstProblem(
    Object.keys(value),
    (key) => keyProblem(key) || valueProblem(value[key]!, depth),
  );
}

/** Why a section may not hold or take this object, `''` when it may. */
export function documentProblem(value: JsonObject): string {
  return objectProblem(value, 0);
}

/** Size as the service counts: UTF-8 of keys and strings, 8 a number, 4 a boolean, 0 a null. */
export function sizeBytes(value: Json): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (typeof value === "number") return NUMBER_BYTES;
  if (typeof value === "boolean") return BOOLEAN_BYTES;
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + sizeBytes(item), 0);
  if (value === null) return 0;
  let sum = 0;
  for (const key of Object.keys(value)) sum += Buffer.byteLength(key) + sizeBytes(value[key]!);
  return sum;
}

/** Parses JSON text that must be an object; a text instead is the problem. */
export function parseObject(text: string): JsonObject | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "the body is not JSON";
  }
  return isObject(value) ? (clone(value) as JsonObject) : "the body is not a JSON object";
}
