/**
 * Bodies that are almost right: enrollments and registrations with parts exchanged, dropped or
 * bent. Neighbours: `dpslab.ts` asks. Invariant: whatever comes, the answer is a refusal or a
 * success, and no operation that was started ends in an exception later.
 */
import { expect, test } from "bun:test";
import { Chip } from "./chip.ts";
import { ask, type Body, token } from "./dpslab.ts";
import { KEY, Lab } from "./lab.ts";
import { DpsError } from "./model/dps/errors.ts";
import { isObject } from "./model/merge.ts";

const ROUNDS = 4000;
const ROUNDS_PER_LAB = 200;
const ID = "gw-1";
const chip = Chip.make();
const LIMITLESS = { registrationsPerMinute: 0, pollsPer10S: 0 };

const ATOMS: readonly Body[] = [
  null,
  true,
  -1,
  1e300,
  "",
  "enabled",
  [],
  {},
  [1],
  "tpm",
  "symmetricKey",
  KEY,
  chip.endorsementKey,
  { primaryKey: KEY },
];
const ENROLLMENTS: readonly Body[] = [
  {
    registrationId: ID,
    deviceId: "d",
    attestation: { type: "tpm", tpm: chip.keys },
    iotHubHostName: "lab.example",
    initialTwin: { tags: { a: 1 }, properties: { desired: { b: { c: 1 } } } },
    reprovisionPolicy: { updateHubAssignment: true, migrateDeviceData: false },
    capabilities: { iotEdge: true },
    allocationPolicy: "hashed",
  },
  { attestation: { type: "symmetricKey", symmetricKey: { primaryKey: KEY, secondaryKey: KEY } } },
  {
    attestation: {
      type: "x509",
      x509: { clientCertificates: { primary: { certificate: "AAAA" }, secondary: null } },
    },
  },
];

/** Chance that repeats, and what it does to a body. */
class Bender {
  private seed = 7;

  below(bound: number): number {
    this.seed = (Math.imul(this.seed, 1_103_515_245) + 12_345) >>> 0;
    return (this.seed >>> 8) % bound;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  bend(value: Body): Body {
    if (this.below(8) === 0) return this.pick(ATOMS);
    if (Array.isArray(value)) return value.map((item) => this.bend(item));
    if (isObject(value)) {
      const kept = Object.entries(value).filter(() => this.below(16) > 0);
      return Object.fromEntries(kept.map(([key, item]) => [key, this.bend(item)]));
    }
    if (typeof value !== "string" || value === "" || this.below(4) > 0) return value;
    const at = this.below(value.length);
    return value.slice(0, at) + String.fromCharCode(this.below(128)) + value.slice(at + 1);
  }

  /** The same, but always an object. */
  body(value: Body): Body {
    const bent = this.bend(value);
    return isObject(bent) ? bent : {};
  }
}

/** Enrolls a bent body; whether it was taken. */
function enroll(lab: Lab, bender: Bender): boolean {
  const { dps } = lab.hub;
  const kind = bender.below(5) === 0 ? "group" : "device";
  const match = dps.listEnrollments(kind).items.length > 0 ? "*" : undefined;
  try {
    dps.putEnrollment(kind, ID, bender.body(bender.pick(ENROLLMENTS)), match);
    return true;
  } catch (error) {
    if (error instanceof DpsError) return false;
    throw error;
  }
}

test(`${ROUNDS} bent bodies meet refusals and successes, nothing else`, () => {
  const bender = new Bender();
  const seen = new Set<number>();
  let taken = 0;
  let lab = new Lab({ dps: LIMITLESS });
  for (let round = 0; round < ROUNDS; round++) {
    if (round % ROUNDS_PER_LAB === 0) lab = new Lab({ dps: LIMITLESS });
    if (enroll(lab, bender)) taken++;
    const sas = bender.pick(["", bender.bend(token(lab, ID, KEY))]);
    const answer = ask(lab, ID, {
      verb: bender.pick(["register", "poll", "lookup"] as const),
      transport: bender.pick(["https", "mqtt"] as const),
      authorization: typeof sas === "string" ? sas : "",
      operationId: "x",
      peer: bender.pick([undefined, undefined, { chain: [Buffer.from("no certificate")] }]),
      body: bender.body({ registrationId: ID, tpm: chip.keys }),
    });
    seen.add(answer.status);
    if (bender.below(4) === 0) lab.pass(1);
  }
  expect([...seen].sort()).toEqual([200, 202, 400, 401, 404]);
  expect(taken).toBeGreaterThan(ROUNDS / 20);
});
