// The fourteen MQTT 3.1.1 control packet types, shared by reader.ts and writer.ts.
// Neighbours: refusal.ts names what the reader turns down by type.
// Invariant: a value equals the upper four bits of the packet's first byte (section 2.2.1).

/** Control packet types, MQTT 3.1.1 table 2.1; 0 and 15 are reserved and have no name. */
export enum PacketType {
  CONNECT = 1,
  CONNACK,
  PUBLISH,
  PUBACK,
  PUBREC,
  PUBREL,
  PUBCOMP,
  SUBSCRIBE,
  SUBACK,
  UNSUBSCRIBE,
  UNSUBACK,
  PINGREQ,
  PINGRESP,
  DISCONNECT,
}

/** Largest remaining length that four bytes can say (section 2.2.3). */
export const REMAINING_LENGTH_MAX = 268_435_455;

/** Longest fixed header: one type byte and four length bytes. */
export const HEADER_BYTES_MAX = 5;

/** Largest whole packet. */
export const PACKET_BYTES_MAX = REMAINING_LENGTH_MAX + HEADER_BYTES_MAX;

/** Longest string that a two-byte prefix can say (section 1.5.3). */
export const STRING_BYTES_MAX = 65_535;
