// Cause: why a connection could not be made, or ended.
// Neighbours: the uplink port and the machines report causes; `diagnosis` puts them in words.
// Invariant: the causes of TLS stand together, from TLS_ISSUER_UNKNOWN to TLS_TOO_OLD, and those of
// the way, from PROXY_UNREACHABLE to WEBSOCKET_BROKEN.

/** Why a connection could not be made or ended; `diagnosis` puts it in words. */
export enum Cause {
  NONE,
  // reported by the uplink port
  NAME_NOT_FOUND,
  NAME_LOOKUP_FAILED,
  REFUSED,
  UNREACHABLE,
  TCP_RESET,
  CLOSED_BY_PEER,
  TLS_ISSUER_UNKNOWN,
  TLS_NAME_MISMATCH,
  TLS_NOT_YET_VALID,
  TLS_EXPIRED,
  TLS_REVOKED_OR_BAD,
  TLS_HANDSHAKE_FAILED,
  TLS_TOO_OLD,
  SOCKET_FAILED,
  // found by the machines
  DIAL_TIMEOUT,
  TLS_TIMEOUT,
  CONNACK_TIMEOUT,
  CONNACK_PROTOCOL,
  CONNACK_IDENTIFIER,
  CONNACK_UNAVAILABLE,
  CONNACK_CREDENTIALS,
  CONNACK_NOT_AUTHORISED,
  PROTOCOL_VIOLATION,
  PACKET_TOO_LONG,
  SUBSCRIBE_REFUSED,
  SUBACK_TIMEOUT,
  PUBACK_TIMEOUT,
  PINGRESP_TIMEOUT,
  TWIN_TIMEOUT,
  CONGESTED,
  SIGN_FAILED,
  SIGN_TIMEOUT,
  // DPS could not be asked; it said no; the TPM said no and must not be asked again soon
  DPS_FAILED,
  DPS_REFUSED,
  TPM_REFUSED,
  // on the way through a proxy, and to MQTT over WebSocket
  PROXY_UNREACHABLE,
  PROXY_TIMEOUT,
  PROXY_CREDENTIALS,
  PROXY_REFUSED,
  PROXY_FAILED,
  PROXY_BROKEN,
  WEBSOCKET_TIMEOUT,
  WEBSOCKET_FORBIDDEN,
  WEBSOCKET_NOT_FOUND,
  WEBSOCKET_REFUSED,
  WEBSOCKET_BROKEN,
}
