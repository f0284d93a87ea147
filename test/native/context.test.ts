// Tests of native/context.c: whose OpenSSL context libtss2 works with, and everybody else.
// Neighbours: `driver.test.ts` has sessions work with it under the sanitizers.
// Invariant: the loader's own words are what is looked at, in a process of its own.

import { dlopen, type Pointer } from "bun:ffi";
import { expect, test } from "bun:test";
import { libraryPath } from "../tpm/library.ts";

/** As many would take more than twice the bound if they stayed. */
const CONTEXTS = 2000;
const GROWTH_BYTES_MAX = 5e6;

/** Who is bound to whom for OSSL_LIB_CTX_…, in the loader's words when libazimuth.so is loaded. */
function bindings(): string[] {
  const code = `require("bun:ffi").dlopen(${JSON.stringify(libraryPath())}, {
    azimuth_tpm_fini: { args: [], returns: "void" },
  })`;
  const { stderr, exitCode } = Bun.spawnSync([process.execPath, "-e", code], {
    env: { ...process.env, LD_DEBUG: "bindings", LD_BIND_NOW: "1" },
    stderr: "pipe",
  });
  expect(exitCode).toBe(0);
  const lines = stderr.toString().split("\n");
  return lines.flatMap((line) => {
    const found = /binding file \S*?([^/]+\.so)\S* \[0\] to \S*?([^/]+\.so)\S* .*`(\w+)'/.exec(
      line,
    );
    const [, from = "", to = "", name = ""] = found ?? [];
    return name.startsWith("OSSL_LIB_CTX_") ? [`${from} ${name}: ${to}`] : [];
  });
}

test("libtss2 asks the library for its context, and gives it back there", () => {
  const said = bindings();
  for (const name of ["OSSL_LIB_CTX_new", "OSSL_LIB_CTX_free"]) {
    expect(said).toContain(`libtss2-esys.so ${name}: libazimuth.so`);
  }
});

test("whoever else asks gets a context of its own from OpenSSL, which is freed", () => {
  const { symbols } = dlopen(libraryPath(), {
    OSSL_LIB_CTX_new: { args: [], returns: "ptr" },
    OSSL_LIB_CTX_free: { args: ["ptr"], returns: "void" },
  });
  const contexts = [symbols.OSSL_LIB_CTX_new(), symbols.OSSL_LIB_CTX_new()];
  expect(contexts).not.toContain(null);
  expect(new Set(contexts).size).toBe(2);
  for (const context of contexts) symbols.OSSL_LIB_CTX_free(context as Pointer);
  const before = process.memoryUsage.rss();
  for (let left = CONTEXTS; left > 0; left--) {
    symbols.OSSL_LIB_CTX_free(symbols.OSSL_LIB_CTX_new() as Pointer);
  }
  expect(process.memoryUsage.rss() - before).toBeLessThan(GROWTH_BYTES_MAX);
});
