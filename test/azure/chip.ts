/**
 * A device without a TPM that does what a TPM would do with an `authenticationKey`:
 * ActivateCredential and Import by hand. Neighbours: the tests of the provisioning service.
 * Facts: TPM 2.0 part 1, sections 11.4.10, 22 to 24. Invariant: shares no code with the model, and
 * checks every HMAC.
 */
import {
  createDecipheriv,
  createHash,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
} from "node:crypto";

const EK_HEAD =
  "0001000b000300b20020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa" +
  "00060080004300100800000000000100";
const SRK_HEAD = "0001000b00030472000000060080004300100800000000000100";
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

interface Pair {
  privateKey: KeyObject;
  /** TPM2B_PUBLIC */
  area: Buffer;
}

function makePair(head: string): Pair {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const modulus = Buffer.from(publicKey.export({ format: "jwk" }).n!, "base64url");
  const area = Buffer.concat([Buffer.from(head, "hex"), modulus]);
  const size = Buffer.alloc(2);
  size.writeUInt16BE(area.length);
  return { privateKey, area: Buffer.concat([size, area]) };
}

const hash = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
const mac = (key: Uint8Array, ...parts: Uint8Array[]): Buffer =>
  createHmac("sha256", key).update(Buffer.concat(parts)).digest();
const nameOf = (area: Uint8Array): Buffer => Buffer.concat([Buffer.from([0, 0x0b]), hash(area)]);

function kdfa(seed: Buffer, label: string, contextU: Buffer, bits: number): Buffer {
  const tail = Buffer.alloc(4);
  tail.writeUInt32BE(bits);
  const text = Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.from(label), Buffer.from([0])]);
  return mac(seed, text, contextU, tail).subarray(0, bits / 8);
}

function decrypt(key: Buffer, bytes: Buffer): Buffer {
  const engine = createDecipheriv("aes-128-cfb", key, Buffer.alloc(16));
  return Buffer.concat([engine.update(bytes), engine.final()]);
}

/** Reads TPM2B fields one after the other. */
class Fields {
  private at = 0;
  constructor(private readonly bytes: Buffer) {}

  next(): Buffer {
    if (this.at + 2 > this.bytes.length) throw new Error("blob is cut short");
    const end = this.at + 2 + this.bytes.readUInt16BE(this.at);
    if (end > this.bytes.length) throw new Error("blob is cut short");
    const field = this.bytes.subarray(this.at + 2, end);
    this.at = end;
    return field;
  }

  rest(): Buffer {
    return this.bytes.subarray(this.at);
  }
}

/** Undoes an outer wrap: the HMAC, then the encryption. */
function unwrap(seed: Buffer, wrapped: Buffer, name: Buffer): Buffer {
  const fields = new Fields(wrapped);
  const integrity = fields.next();
  const hidden = fields.rest();
  if (!mac(kdfa(seed, "INTEGRITY", Buffer.alloc(0), 256), hidden, name).equals(integrity)) {
    throw new Error("TPM_RC_INTEGRITY");
  }
  return decrypt(kdfa(seed, "STORAGE", name, 128), hidden);
}

function seedOf(pair: Pair, label: string, secret: Buffer): Buffer {
  const oaepLabel = Buffer.from(`${label}\0`);
  return privateDecrypt({ key: pair.privateKey, oaepHash: "sha256", oaepLabel }, secret);
}

/** What a blob held. */
export interface Opened {
  key: Buffer;
  uri: string;
  /** TPMT_PUBLIC of the key. */
  area: Buffer;
  /** Bytes of the six fields, sizes included. */
  sizes: number[];
}

/** Endorsement key and storage root key of one device. */
export class Chip {
  private constructor(
    private readonly endorsement: Pair,
    private readonly storage: Pair,
  ) {}

  static make(): Chip {
    return new Chip(makePair(EK_HEAD), makePair(SRK_HEAD));
  }

  /** The same chip after its owner has cleared it: another storage root key. */
  cleared(): Chip {
    return new Chip(this.endorsement, makePair(SRK_HEAD));
  }

  get endorsementKey(): string {
    return this.endorsement.area.toString("base64");
  }

  get storageRootKey(): string {
    return this.storage.area.toString("base64");
  }

  /** `tpm` of a registration. */
  get keys(): { endorsementKey: string; storageRootKey: string } {
    const { endorsementKey, storageRootKey } = this;
    return { endorsementKey, storageRootKey };
  }

  /** As Microsoft's clients derive it: base32 of the hash of the whole TPM2B_PUBLIC. */
  get registrationId(): string {
    let bits = "";
    for (const byte of hash(this.endorsement.area)) bits += byte.toString(2).padStart(8, "0");
    const groups = bits.match(/.{1,5}/g) ?? [];
    return groups.map((group) => BASE32[Number.parseInt(group.padEnd(5, "0"), 2)]).join("");
  }

  /** ActivateCredential, Import, Load. Throws what a TPM would refuse. */
  open(authenticationKey: string): Opened {
    const blob = Buffer.from(authenticationKey, "base64");
    const fields = new Fields(blob);
    const all = Array.from({ length: 6 }, () => fields.next());
    if (fields.rest().length > 0) throw new Error("bytes behind the last field");
    const [credential, secret, duplicate, inSymSeed, area, uri] = all as [
      Buffer,
      Buffer,
      Buffer,
      Buffer,
      Buffer,
      Buffer,
    ];
    const rootName = nameOf(this.storage.area.subarray(2));
    const seed = seedOf(this.endorsement, "IDENTITY", secret);
    const innerKey = new Fields(unwrap(seed, credential, rootName)).next();
    const name = nameOf(area);
    const outer = unwrap(seedOf(this.storage, "DUPLICATE", inSymSeed), duplicate, name);
    const inner = new Fields(decrypt(innerKey, outer));
    const innerHash = inner.next();
    const sensitive = inner.rest();
    if (!hash(Buffer.concat([sensitive, name])).equals(innerHash)) {
      throw new Error("TPM_RC_INTEGRITY of the inner wrapper");
    }
    const parts = new Fields(new Fields(sensitive).next().subarray(2));
    parts.next();
    const obfuscation = parts.next();
    const key = parts.next();
    const unique = area.subarray(area.length - 32);
    if (!hash(Buffer.concat([obfuscation, key])).equals(unique)) throw new Error("TPM_RC_BINDING");
    const sizes = all.map((field) => field.length + 2);
    return { key, uri: uri.length === 0 ? "" : decrypt(innerKey, uri).toString(), area, sizes };
  }
}
