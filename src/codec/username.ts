// The user name of an IoT Hub CONNECT.
// Neighbours: `core/link` sends it; `codec/sas` makes the password that goes with it.
// Invariant: pure text; both values that come from outside are percent-encoded.

/** Version of the hub's device protocol that we speak (azure-docs, iot-mqtt-connect-to-iot-hub). */
export const API_VERSION = "2021-04-12";

/**
 * `{hub}/{device}[/{module}]/?api-version=…&DeviceClientType=…[&model-id=…]`.
 * @param agent product and version, e.g. `azimuth/0.1.0`
 * @param modelId Plug-and-play model (DTMI), "" for none
 */
export function username(
  hubName: string,
  deviceId: string,
  moduleId: string,
  agent: string,
  modelId: string,
): string {
  const identity = moduleId === "" ? deviceId : `${deviceId}/${moduleId}`;
  const model = modelId === "" ? "" : `&model-id=${encodeURIComponent(modelId)}`;
  const client = encodeURIComponent(agent);
  return `${hubName}/${identity}/?api-version=${API_VERSION}&DeviceClientType=${client}${model}`;
}
