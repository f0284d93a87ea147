// Network, tested: what section [network] may say, and what is said when it may not.
// Neighbours: `src/core/network.ts`; `test/codec/proxy.test.ts` has every form of a proxy's place.
// Invariant: no message shows a password, wherever it was put.

import { expect, test } from "bun:test";
import { filesWanted } from "../../src/core/endpoint.ts";
import { entries, problemsOf, settingsOf, withLines } from "./file.ts";

const PASSWORD = "hush & more";
const fileOf = () => ({ text: PASSWORD });
const network = (...lines: string[]): string => withLines(`[network]\n${lines.join("\n")}`);

test("nothing given: auto, and no proxy", () => {
  expect(settingsOf(withLines("")).network).toEqual({ transport: "auto", proxy: null });
});

test("everything given", () => {
  const text = network(
    "transport = WSS",
    "proxy = http://proxy.example:3128",
    "proxy-user = site 1",
    "proxy-password-file = /etc/proxy",
  );
  expect(settingsOf(text, fileOf).network).toEqual({
    transport: "wss",
    proxy: { host: "proxy.example", port: 3128, user: "site 1", password: PASSWORD },
  });
  expect(filesWanted(entries(text))).toEqual(["/etc/proxy"]);
});

test("a proxy without credentials, and one with a user name alone", () => {
  const open = settingsOf(network("proxy = http://10.0.0.1:8080"));
  expect(open.network.proxy).toEqual({ host: "10.0.0.1", port: 8080, user: "", password: "" });
  const named = settingsOf(network("proxy = http://10.0.0.1:8080", "proxy-user = site"));
  expect(named.network.proxy).toMatchObject({ user: "site", password: "" });
});

test.each([
  [["transport = mqtt"], 'a.ini:4: [network] transport: "mqtt" is not one of them; allowed:'],
  [["proxy = proxy:3128"], "a.ini:4: [network] proxy: does not begin with http://; allowed: http:"],
  [["proxy = http://u:hush@proxy:3128"], "a.ini:4: [network] proxy: holds a user name; give"],
  [["proxy-user = site"], "a.ini:4: [network] proxy-user: needs proxy; allowed: with proxy"],
  [
    ["proxy = http://p:1", "proxy-password-file = /etc/p"],
    "a.ini:5: [network] proxy-password-file: needs proxy-user; allowed: with proxy-user",
  ],
  [["proxy = http://p:1", "proxy-user = a:b"], "a.ini:5: [network] proxy-user: "],
])("%j", (lines, expected) => {
  const [problem, ...more] = problemsOf(network(...lines), fileOf);
  expect(problem).toStartWith(expected);
  expect(more).toEqual([]);
  expect(problem).not.toContain("hush");
});

test("a password file that cannot be read, or holds what cannot be sent", () => {
  const lines = ["proxy = http://p:1", "proxy-user = site", "proxy-password-file = /etc/p"];
  const unread = problemsOf(network(...lines), () => ({ problem: "/etc/p: no such file" }));
  expect(unread).toEqual(["a.ini:6: [network] proxy-password-file: /etc/p: no such file"]);
  const [problem] = problemsOf(network(...lines), () => ({ text: "hush\u0007" }));
  expect(problem).toContain("the password in that file cannot be sent");
  expect(problem).not.toContain("hush");
});
