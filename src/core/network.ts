// Network: what section [network] of the settings means: the transport and the proxy.
// Neighbours: `validate` calls it; `codec/proxy` reads the proxy's place.
// Invariant: pure; no text of a problem holds a secret.

import { credentialProblem, parseProxy } from "../codec/proxy.ts";
import type { FileText } from "./endpoint.ts";
import type { ProxySettings } from "./proxy.ts";
import type { Transport } from "./route.ts";
import type { NetworkSettings } from "./settings.ts";
import type { Sheet } from "./sheet.ts";

const SECTION = "network";
const PLACE = "proxy";
const USER = "proxy-user";
const FILE = "proxy-password-file";

/** The way out of the site; what is wrong with it is added to the sheet. */
export function networkOf(sheet: Sheet, fileOf: (path: string) => FileText): NetworkSettings {
  const transport = sheet.text(SECTION, "transport").toLowerCase() as Transport;
  return { transport, proxy: proxyOf(sheet, fileOf) };
}

function proxyOf(sheet: Sheet, fileOf: (path: string) => FileText): ProxySettings | null {
  const text = sheet.text(SECTION, PLACE);
  const user = sheet.text(SECTION, USER);
  const path = sheet.text(SECTION, FILE);
  if (text === "" && user !== "") sheet.add(SECTION, USER, "needs proxy; allowed: with proxy");
  if (user === "" && path !== "") {
    sheet.add(SECTION, FILE, "needs proxy-user; allowed: with proxy-user");
  }
  if (text === "") return null;
  const place = parseProxy(text);
  if (typeof place === "string") {
    sheet.add(SECTION, PLACE, `${place}; allowed: http://HOST:PORT`);
    return null;
  }
  return { ...place, user, password: passwordOf(sheet, user, path, fileOf) };
}

function passwordOf(
  sheet: Sheet,
  user: string,
  path: string,
  fileOf: (path: string) => FileText,
): string {
  const content = path === "" ? { text: "" } : fileOf(path);
  if ("problem" in content) {
    sheet.add(SECTION, FILE, content.problem);
    return "";
  }
  const userProblem = credentialProblem(user, "");
  const problem = credentialProblem("", content.text);
  if (userProblem !== "") sheet.add(SECTION, USER, `cannot be sent; allowed: ${userProblem}`);
  if (problem !== "") {
    sheet.add(SECTION, FILE, `the password in that file cannot be sent; allowed: ${problem}`);
  }
  return content.text;
}
