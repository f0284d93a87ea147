// Message: the telemetry that is measured everywhere, 290 bytes as a QoS 1 PUBLISH.
// Neighbours: `publish.ts` orders it sent, client/codec.ts writes and reads it.
// Invariant: ASCII; 83 bytes of topic with the property bag that the agent's own telemetry has,
// 200 bytes of payload.

export const TOPIC =
  "devices/gateway-000001/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8&s=abc";

export const PAYLOAD = '{"sequence":1,"pressure":1.25}'.padEnd(200, " ");
