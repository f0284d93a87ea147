// Certificate: the official provisioning device SDK at local Azure with X.509 certificates.
// Neighbours: `applicant` has what the cases share; `../azure/issuer.ts` makes the certificates.
// Invariant: the common name is the registration id, as the service demands.

import { deepEqual, equal, match } from "node:assert/strict";
import { type Holder, Issuer } from "../azure/issuer.ts";
import {
  arrives,
  ask,
  enroll,
  fresh,
  lastReason,
  register,
  type Stage,
  WAYS,
  type Way,
} from "./applicant.ts";
import { refusal } from "./puppet.ts";
import type { Case } from "./report.ts";

type Work = (stage: Stage, way: Way, issuer: Issuer) => Promise<void>;

/** Each case once over each transport, with certificates that go with it. */
function both(name: string, work: Work): Case<Stage>[] {
  return WAYS.map((way) => {
    const whole = async (stage: Stage): Promise<void> => {
      const issuer = new Issuer();
      try {
        await work(stage, way, issuer);
      } finally {
        issuer.remove();
      }
    };
    return [`${name}, ${way.toUpperCase()}`, whole];
  });
}

async function enrollLeaf(stage: Stage, id: string, primary: Holder, secondary?: Holder) {
  const clientCertificates = {
    primary: { certificate: primary.cert },
    ...(secondary === undefined ? {} : { secondary: { certificate: secondary.cert } }),
  };
  const attestation = { type: "x509", x509: { clientCertificates } };
  await enroll(stage, { registrationId: id, attestation });
}

async function enrollAuthority(stage: Stage, authority: Holder): Promise<string> {
  const enrollmentGroupId = fresh("authority");
  const signingCertificates = { primary: { certificate: authority.cert } };
  const attestation = { type: "x509", x509: { signingCertificates } };
  await ask(stage, "createOrUpdateEnrollmentGroup", { enrollmentGroupId, attestation });
  return enrollmentGroupId;
}

async function comesIn(stage: Stage, way: Way, issuer: Issuer): Promise<void> {
  const id = fresh("leaf");
  const [first, second] = [issuer.make(id), issuer.make(id, undefined, { type: "rsa" })];
  await enrollLeaf(stage, id, first, second);
  for (const cert of [first.shown(), second.shown()]) {
    const state = await register(stage, way, { id, cert });
    deepEqual([state.status, state.deviceId], ["assigned", id]);
    await arrives(stage, id, state, { cert });
  }
}

async function comesByGroup(stage: Stage, way: Way, issuer: Issuer): Promise<void> {
  const { middle } = issuer.authorities(fresh("maker"));
  const enrollmentGroupId = await enrollAuthority(stage, middle);
  const id = fresh("leaf");
  const cert = issuer.make(id, middle).shown(1);
  const state = await register(stage, way, { id, cert });
  equal(state.status, "assigned");
  deepEqual((state as unknown as { x509: object }).x509, { enrollmentGroupId });
  await arrives(stage, id, state, { cert });
}

async function isRefusedOther(stage: Stage, way: Way, issuer: Issuer): Promise<void> {
  const id = fresh("leaf");
  await enrollLeaf(stage, id, issuer.make(id));
  const error = await refusal(register(stage, way, { id, cert: issuer.make(id).shown() }));
  equal(error.name, "UnauthorizedError");
  match(lastReason(stage, id), /not the one that is enrolled/);
}

async function isRefusedName(stage: Stage, way: Way, issuer: Issuer): Promise<void> {
  const { middle } = issuer.authorities(fresh("maker"));
  await enrollAuthority(stage, middle);
  const id = fresh("leaf");
  const cert = issuer.make(fresh("other"), middle).shown(1);
  const error = await refusal(register(stage, way, { id, cert }));
  equal(error.name, "UnauthorizedError");
  match(lastReason(stage, id), /common name|CN/i);
}

async function isRefusedStranger(stage: Stage, way: Way, issuer: Issuer): Promise<void> {
  const { middle } = issuer.authorities(fresh("stranger"));
  const id = fresh("leaf");
  const cert = issuer.make(id, middle).shown(1);
  const error = await refusal(register(stage, way, { id, cert }));
  equal(error.name, "UnauthorizedError");
  match(lastReason(stage, id), /no enrolled authority/);
}

/** Cases of certificates. */
export const CERTIFICATE: readonly Case<Stage>[] = [
  ...both("certificate: registers with either, EC and RSA, and the hub takes it", comesIn),
  ...both("certificate of an enrolled authority registers by its group", comesByGroup),
  ...both("another certificate of the same name: UnauthorizedError", isRefusedOther),
  ...both("a certificate in another name: UnauthorizedError", isRefusedName),
  ...both("a certificate of an unknown authority: UnauthorizedError", isRefusedStranger),
];
