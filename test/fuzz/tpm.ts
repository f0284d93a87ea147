// The command that fuzzes what reads bytes of the TPM and of DPS:
//   bun test/fuzz/tpm.ts [--count 1000000] [--seed N]
// Neighbours: `mutant` damages, `judge` is the second opinion.
// Invariant: prints one line of counts and the seed; exit 0, 1 with a reproducer, 2 on usage.

import { splitBlob } from "../../src/codec/blob.ts";
import { parseHandles, parseProperties } from "../../src/codec/capability.ts";
import { parsePublic } from "../../src/codec/public.ts";
import { SEALED_TEMPLATE } from "../../src/codec/template.ts";
import { frameBytes } from "../../src/kit/frame.ts";
import { Prng } from "../../src/kit/prng.ts";
import { EK_TEMPLATE, plain, SRK_TEMPLATE, sized, u16, u32 } from "../tpm/client.ts";
import * as judge from "./judge.ts";
import { mutant } from "./mutant.ts";
import { optionsOf } from "./options.ts";

const COUNT_DEFAULT = 1_000_000;

/** A reader and its judge: both give the same text for an input. */
interface Subject {
  readonly name: string;
  readonly bases: readonly Buffer[];
  /** Undefined when it refuses. */
  readonly read: (bytes: Buffer) => string | undefined;
  /** Throws a RangeError when it refuses. */
  readonly judge: (bytes: Buffer) => string;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** A blob's parts are random to everybody who lacks the keys; so they are here. */
function blobs(): Buffer[] {
  const credential = sized(Buffer.concat([sized(Buffer.alloc(32, 1)), Buffer.alloc(18, 2)]));
  const secret = sized(Buffer.alloc(256, 3));
  const duplicate = sized(Buffer.alloc(142, 4));
  const head = [u16(8), u16(0x0b), u32(0x00040440), sized(Buffer.alloc(32, 5))];
  const area = sized(Buffer.concat([...head, u16(5), u16(0x0b), sized(Buffer.alloc(32, 6))]));
  const parts = [credential, secret, duplicate, secret, area];
  return [Buffer.concat([...parts, sized(Buffer.alloc(16, 7))]), Buffer.concat(parts)];
}

const SUBJECTS: readonly Subject[] = [
  {
    name: "blobs",
    bases: blobs(),
    read: (bytes) => {
      const result = splitBlob(bytes);
      if (typeof result === "string") return undefined;
      const { credential, secret, duplicate, seed, publicArea } = result;
      return [credential, secret, duplicate, seed, publicArea].map(hexOf).join(" ");
    },
    judge: (bytes) =>
      judge
        .blobParts(bytes)
        .map((part) => hexOf(sized(part)))
        .join(" "),
  },
  {
    name: "public areas",
    bases: [EK_TEMPLATE, SRK_TEMPLATE, Buffer.from(SEALED_TEMPLATE)],
    read: (bytes) => {
      const result = parsePublic(bytes);
      return typeof result === "string" ? undefined : hexOf(result.body);
    },
    judge: (bytes) => hexOf(judge.publicBody(bytes)),
  },
  {
    name: "handles",
    bases: [Buffer.from("0000000001000000028100000181010001", "hex")],
    read: (bytes) => parseHandles(bytes)?.join(" "),
    judge: (bytes) => judge.capabilityNumbers(bytes, 1).join(" "),
  },
  {
    name: "properties",
    bases: [Buffer.from("000000000600000002000001002e3200000000010549424d00", "hex")],
    read: (bytes) => {
      const properties = parseProperties(bytes);
      return properties === undefined ? undefined : [...properties].flat().join(" ");
    },
    judge: (bytes) => {
      const numbers = judge.capabilityNumbers(bytes, 6);
      const pairs = numbers.flatMap((key, at) =>
        at % 2 ? [] : [[key, numbers[at + 1]!] as const],
      );
      return [...new Map(pairs)].flat().join(" ");
    },
  },
  {
    name: "responses",
    bases: [plain(0, u32(1)), plain(0x101)],
    read: (bytes) => {
      const length = frameBytes(bytes, bytes.length);
      return length > 0 ? `${length}` : undefined;
    },
    judge: (bytes) => `${judge.responseLength(bytes)}`,
  },
];

/** What the reader says, or that it threw, which no judge agrees with. */
function reading(subject: Subject, bytes: Buffer): string | undefined {
  try {
    return subject.read(bytes);
  } catch (error) {
    return `an exception: ${String(error)}`;
  }
}

/** What the judge says; undefined when it refuses. */
function verdict(subject: Subject, bytes: Buffer): string | undefined {
  try {
    return subject.judge(bytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return undefined;
  }
}

const { count, seed } = optionsOf("tpm.ts", COUNT_DEFAULT);
const prng = new Prng(seed);
const accepted = SUBJECTS.map(() => 0);
const startedMs = performance.now();
for (let done = 0; done < count; done++) {
  const index = done % SUBJECTS.length;
  const subject = SUBJECTS[index]!;
  const bytes = mutant(subject.bases[prng.below(subject.bases.length)]!, prng);
  const seen = reading(subject, bytes);
  const expected = verdict(subject, bytes);
  if (seen !== expected) {
    console.error(`${subject.name}: read ${seen ?? "nothing"}, judged ${expected ?? "nothing"}`);
    console.error(`seed ${seed}, input ${done}: ${hexOf(bytes)}`);
    process.exit(1);
  }
  if (seen !== undefined) accepted[index]! += 1;
}
const counts = SUBJECTS.map(({ name }, index) => `${accepted[index]} ${name}`).join(", ");
const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
console.log(
  `tpm fuzz: ${count} inputs, seed ${seed}, accepted ${counts}, 0 failures, ${seconds} s`,
);
