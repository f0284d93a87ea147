// Hardware: the steps of a gateway whose identity is in its TPM, up to its first connection.
// Neighbours: `story` puts them before those that every endpoint shares; `step` says what they are.
// Invariant: that the TPM is blank is told by `azimuth tpm`, what is enrolled and registered by
// DPS, the connection by the hub; none of it by the agent alone.

import type { Facts } from "./facts.ts";
import { agentWords, awaited, hubWords, type Look, type Step, seen, type View } from "./step.ts";

function seeServices({ facts, since }: View): Look {
  const { hubPort, idScope } = facts;
  const took = since("ready", hubPort > 0);
  if (took !== "" && idScope !== "") {
    const text = `ready after ${took} on localhost:${hubPort}`;
    return seen(text, `hub and DPS, ID scope ${idScope}`);
  }
  return awaited("a hub and a DPS that answer", hubPort > 0 ? "no ID scope" : "no hub answers");
}

function seeBlank({ facts, since }: View): Look {
  const { chip } = facts;
  const took = since("found", chip !== undefined);
  if (chip === undefined) return awaited("a TPM that holds no key", "no TPM answers");
  const { keyCount, maker, specification } = chip;
  if (keyCount > 0) return awaited("a TPM that holds no key", `it holds ${keyCount} keys`, true);
  const text = `azimuth tpm found it after ${took}, it holds no key`;
  return seen(text, `swtpm: ${maker}, TPM ${specification}`);
}

function seeEnrolled({ facts, since }: View): Look {
  const { enrollment, chip, deviceId } = facts;
  const took = since("enrolled", enrollment !== undefined);
  const isOurs = enrollment?.endorsementKey === chip?.endorsementKey;
  if (enrollment !== undefined && isOurs && enrollment.deviceId === deviceId) {
    const text = `DPS knows its endorsement key after ${took}, for ${deviceId}`;
    return seen(text, `registration id ${enrollment.registrationId}`);
  }
  const found = enrollment === undefined ? "no such enrollment" : "another key or device";
  return awaited(`an enrollment of this TPM for ${deviceId} at DPS`, found);
}

function dpsWords({ ledger }: Facts): string {
  const { asked, challenges, registrations } = ledger;
  return `DPS asked ${asked} times, ${challenges} challenges, ${registrations} registrations`;
}

function seeFirst({ facts, since }: View): Look {
  const { ledger, agent, tlsCount, otherCount, deviceId, isEnabled } = facts;
  const registered = since("registered", ledger.registrations > 0);
  const connected = since("connected", ledger.isConnected);
  const isMade = ledger.isCreated && isEnabled && ledger.challenges > 0;
  const isOnline = agent?.state === "online" && agent.endpoint.deviceId === deviceId;
  const isSealed = tlsCount > 0 && otherCount === 0;
  if (registered !== "" && connected !== "" && isMade && isOnline && isSealed) {
    const until = agent.endpoint.tokenExpires?.slice(11, 19) ?? "never";
    const text = `registered after ${registered}, hub let ${deviceId} in after ${connected}`;
    const proof = `TPM answered DPS's challenge, signed the token until ${until} UTC`;
    return seen(text, `${proof}, TLS on the wire`);
  }
  return awaited(
    "registered at DPS, device made and connected at the hub by TLS alone, the agent online",
    `${dpsWords(facts)}, ${hubWords(facts)}, ${agentWords(facts)}, ` +
      `${tlsCount} TLS and ${otherCount} other connections`,
  );
}

/** The steps by name. */
export const HARDWARE = {
  azure: { title: "local Azure starts", act: (stage) => stage.startAzure(), see: seeServices },
  chip: { title: "blank TPM", act: (stage) => stage.startTpm(), see: seeBlank },
  enroll: {
    title: "TPM enrolled",
    typed: (stage) => stage.enrolling,
    act: (stage) => stage.enroll(),
    see: seeEnrolled,
  },
  first: { title: "first start", act: (stage) => stage.startAgent(), see: seeFirst },
} satisfies Record<string, Step>;
