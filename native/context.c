/*
 * One OpenSSL context for all of libtss2-esys, which makes and frees one for each hash and nonce:
 * 0.2 ms a time, eight or more of them in each command with a session.
 * Neighbours: the loader finds these two functions before those of libcrypto, which do the work
 * for everybody else; where libtss2 asks for neither, they are never called.
 * Invariant: the context is made once, by OpenSSL; a context of somebody else is never given out
 * nor kept from being freed.
 */
#define _GNU_SOURCE
#include "azimuth.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

struct ossl_lib_ctx_st;
typedef struct ossl_lib_ctx_st *make_context(void);
typedef void free_context(struct ossl_lib_ctx_st *context);

AZIMUTH_EXPORT struct ossl_lib_ctx_st *OSSL_LIB_CTX_new(void);
AZIMUTH_EXPORT void OSSL_LIB_CTX_free(struct ossl_lib_ctx_st *context);

static struct ossl_lib_ctx_st *shared;

static bool is_esys(const void *caller) {
  Dl_info found;
  return dladdr(caller, &found) != 0 && strstr(found.dli_fname, "libtss2-esys.so") != NULL;
}

static struct ossl_lib_ctx_st *made(void) {
  void *const found = dlsym(RTLD_NEXT, "OSSL_LIB_CTX_new");
  if (found == NULL) return NULL;
  make_context *make = NULL;
  memcpy(&make, &found, sizeof make);
  return make();
}

struct ossl_lib_ctx_st *OSSL_LIB_CTX_new(void) {
  if (!is_esys(__builtin_return_address(0))) return made();
  if (shared == NULL) shared = made();
  return shared;
}

void OSSL_LIB_CTX_free(struct ossl_lib_ctx_st *context) {
  if (context == shared) return;
  void *const found = dlsym(RTLD_NEXT, "OSSL_LIB_CTX_free");
  if (found == NULL) return;
  free_context *end = NULL;
  memcpy(&end, &found, sizeof end);
  end(context);
}
