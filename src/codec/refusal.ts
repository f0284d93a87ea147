// Why a stream of MQTT bytes was turned down: one value for each thing, and its sentence.
// Neighbours: reader.ts decides, the diagnosis in core shows the sentence to a person.
// Invariant: every value has a sentence; it names the statement of the standard that is broken.

/** What the reader refused; NONE while the stream is sound. */
export enum Refusal {
  NONE,
  RESERVED_TYPE,
  CLIENT_ONLY_TYPE,
  QOS2_TYPE,
  FLAGS,
  QOS_3,
  QOS_2,
  DUP_AT_QOS_0,
  BEFORE_CONNACK,
  SECOND_CONNACK,
  AFTER_REFUSED_CONNACK,
  LENGTH_ENCODING,
  LENGTH_PADDED,
  LENGTH,
  TOO_LONG,
  TOPIC_EMPTY,
  TOPIC_LENGTH,
  TOPIC_UTF8,
  TOPIC_NUL,
  TOPIC_WILDCARD,
  IDENTIFIER_ZERO,
  CONNACK_FLAGS,
  CONNACK_CODE,
  CONNACK_SESSION,
  SUBACK_CODE,
}

const TEXT: Record<Refusal, string> = {
  [Refusal.NONE]: "nothing refused",
  [Refusal.RESERVED_TYPE]: "packet of reserved type 0 or 15 (section 2.2.1)",
  [Refusal.CLIENT_ONLY_TYPE]: "packet that only a client may send (section 2.2.1)",
  [Refusal.QOS2_TYPE]: "PUBREC, PUBREL or PUBCOMP where no QoS 2 exchange runs [MQTT-4.8.0-1]",
  [Refusal.FLAGS]: "packet with reserved flag bits set [MQTT-2.2.2-2]",
  [Refusal.QOS_3]: "PUBLISH with QoS 3 [MQTT-3.3.1-4]",
  [Refusal.QOS_2]: "PUBLISH with QoS 2 though at most QoS 1 was asked for [MQTT-3.8.4-6]",
  [Refusal.DUP_AT_QOS_0]: "PUBLISH with DUP at QoS 0 [MQTT-3.3.1-2]",
  [Refusal.BEFORE_CONNACK]: "packet before CONNACK [MQTT-3.2.0-1]",
  [Refusal.SECOND_CONNACK]: "second CONNACK on one connection [MQTT-4.8.0-1]",
  [Refusal.AFTER_REFUSED_CONNACK]: "packet after a CONNACK that refused [MQTT-3.2.2-5]",
  [Refusal.LENGTH_ENCODING]: "remaining length of more than four bytes (section 2.2.3)",
  [Refusal.LENGTH_PADDED]: "remaining length not in its shortest form (section 2.2.3, table 2.4)",
  [Refusal.LENGTH]: "remaining length that this packet type cannot have [MQTT-4.8.0-1]",
  [Refusal.TOO_LONG]: "packet larger than the receive buffer",
  [Refusal.TOPIC_EMPTY]: "PUBLISH with an empty topic [MQTT-4.7.3-1]",
  [Refusal.TOPIC_LENGTH]: "PUBLISH whose topic is longer than the packet [MQTT-3.3.2-1]",
  [Refusal.TOPIC_UTF8]: "PUBLISH with a topic that is not well-formed UTF-8 [MQTT-1.5.3-1]",
  [Refusal.TOPIC_NUL]: "PUBLISH with U+0000 in its topic [MQTT-1.5.3-2]",
  [Refusal.TOPIC_WILDCARD]: "PUBLISH with a wildcard in its topic [MQTT-3.3.2-2]",
  [Refusal.IDENTIFIER_ZERO]: "packet identifier 0 [MQTT-2.3.1-1]",
  [Refusal.CONNACK_FLAGS]: "CONNACK with reserved acknowledge flags set (section 3.2.2.1)",
  [Refusal.CONNACK_CODE]: "CONNACK with a reserved return code (section 3.2.2.3)",
  [Refusal.CONNACK_SESSION]: "CONNACK that refuses and says session present [MQTT-3.2.2-4]",
  [Refusal.SUBACK_CODE]: "SUBACK with a reserved return code [MQTT-3.9.3-2]",
};

/** One line that a person understands, with the statement or section that was broken. */
export function refusalText(refusal: Refusal): string {
  return TEXT[refusal];
}
