/*
 * Handles of the TPM, and what ESYS calls them; the passwords of the hierarchies.
 * Neighbours: the operations look up here what they are given, and keep here what they make.
 * Invariant: an entry of the table is alive in the ESYS context; a persistent key that is
 * pushed out is read again when it is needed, objects and sessions are never pushed out.
 */
#include "tpm.h"

#include <string.h>

/* The kernel and swtpm grant three objects and three sessions; and four keys of ours. */
#define KNOWN_MAX 10u
#define PLAIN_ATTRIBUTES TPMA_SESSION_CONTINUESESSION
#define HIDING_ATTRIBUTES \
  (TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT)

struct known {
  TPM2_HANDLE handle;
  ESYS_TR resource;
};

struct password {
  TPM2_HANDLE hierarchy;
  ESYS_TR resource;
  TPM2B_AUTH value;
};

static struct known known[KNOWN_MAX];
/* Where the search for a persistent key to push out begins: the longest known comes first. */
static uint32_t oldest;

static struct password passwords[] = {
    {.hierarchy = TPM2_RH_OWNER, .resource = ESYS_TR_RH_OWNER},
    {.hierarchy = TPM2_RH_ENDORSEMENT, .resource = ESYS_TR_RH_ENDORSEMENT},
};
#define PASSWORDS (sizeof passwords / sizeof passwords[0])

static struct known *find(TPM2_HANDLE handle) {
  for (uint32_t at = 0; at < KNOWN_MAX; at++) {
    if (known[at].resource != ESYS_TR_NONE && known[at].handle == handle) return &known[at];
  }
  return NULL;
}

static void release(struct known *entry) {
  /* ESYS 4 counts references and sets the resource to NONE when the last one is gone. */
  while (entry->resource != ESYS_TR_NONE) {
    if (Esys_TR_Close(tpm_esys, &entry->resource) != TSS2_RC_SUCCESS) break;
  }
  entry->resource = ESYS_TR_NONE;
}

static struct known *vacant(void) {
  for (uint32_t at = 0; at < KNOWN_MAX; at++) {
    if (known[at].resource == ESYS_TR_NONE) return &known[at];
  }
  return NULL;
}

bool tpm_is_persistent(TPM2_HANDLE handle) {
  return handle >> TPM2_HR_SHIFT == TPM2_HT_PERSISTENT;
}

TSS2_RC tpm_vacancy(void) {
  if (vacant() != NULL) return TSS2_RC_SUCCESS;
  for (uint32_t step = 0; step < KNOWN_MAX; step++) {
    struct known *entry = &known[oldest];
    oldest = (oldest + 1) % KNOWN_MAX;
    if (!tpm_is_persistent(entry->handle)) continue;
    release(entry);
    return TSS2_RC_SUCCESS;
  }
  return AZIMUTH_TPM_FULL;
}

TSS2_RC tpm_remember(ESYS_TR resource) {
  TPM2_HANDLE handle = 0;
  const TSS2_RC rc = Esys_TR_GetTpmHandle(tpm_esys, resource, &handle);
  if (rc != TSS2_RC_SUCCESS) return rc;
  tpm_forget(handle);
  struct known *entry = vacant();
  if (entry == NULL) return AZIMUTH_TPM_FULL;
  *entry = (struct known){.handle = handle, .resource = resource};
  tpm_block.handle = handle;
  return TSS2_RC_SUCCESS;
}

void tpm_forget(TPM2_HANDLE handle) {
  struct known *entry = find(handle);
  if (entry != NULL) release(entry);
}

void tpm_forget_all(void) {
  for (uint32_t at = 0; at < KNOWN_MAX; at++) release(&known[at]);
}

void tpm_reset_handles(void) {
  for (uint32_t at = 0; at < KNOWN_MAX; at++) known[at].resource = ESYS_TR_NONE;
}

TSS2_RC tpm_object(TPM2_HANDLE handle, ESYS_TR *resource) {
  const struct known *entry = find(handle);
  if (entry == NULL) {
    tpm_block.handle = handle;
    return AZIMUTH_TPM_UNKNOWN_OBJECT;
  }
  *resource = entry->resource;
  return TSS2_RC_SUCCESS;
}

/* The session, with these attributes for its next command; for handle 0 what `resource` is. */
static TSS2_RC session(TPM2_HANDLE handle, TPMA_SESSION attributes, ESYS_TR *resource) {
  if (handle == 0) return TSS2_RC_SUCCESS;
  const struct known *entry = find(handle);
  const uint32_t type = handle >> TPM2_HR_SHIFT;
  const bool is_session = type == TPM2_HT_HMAC_SESSION || type == TPM2_HT_POLICY_SESSION;
  if (entry == NULL || !is_session) return AZIMUTH_TPM_UNKNOWN_SESSION;
  *resource = entry->resource;
  return Esys_TRSess_SetAttributes(tpm_esys, entry->resource, attributes, 0xff);
}

TSS2_RC tpm_policy(TPM2_HANDLE handle, ESYS_TR *resource) {
  if (handle == 0) return AZIMUTH_TPM_UNKNOWN_SESSION;
  return session(handle, PLAIN_ATTRIBUTES, resource);
}

TSS2_RC tpm_authority(TPM2_HANDLE handle, ESYS_TR *resource) {
  *resource = ESYS_TR_PASSWORD;
  return session(handle, PLAIN_ATTRIBUTES, resource);
}

TSS2_RC tpm_cover(TPM2_HANDLE handle, ESYS_TR *resource) {
  *resource = ESYS_TR_NONE;
  return session(handle, HIDING_ATTRIBUTES, resource);
}

static struct password *password(TPM2_HANDLE hierarchy) {
  for (size_t at = 0; at < PASSWORDS; at++) {
    if (passwords[at].hierarchy == hierarchy) return &passwords[at];
  }
  return NULL;
}

TSS2_RC tpm_hierarchy(TPM2_HANDLE handle, ESYS_TR *resource) {
  const struct password *entry = password(handle);
  if (entry == NULL) return AZIMUTH_TPM_BAD_INPUT;
  *resource = entry->resource;
  return TSS2_RC_SUCCESS;
}

TSS2_RC tpm_set_password(TPM2_HANDLE hierarchy, const uint8_t *bytes, uint32_t count) {
  struct password *entry = password(hierarchy);
  if (entry == NULL || count > sizeof entry->value.buffer) return AZIMUTH_TPM_BAD_INPUT;
  tpm_wipe(&entry->value, sizeof entry->value);
  memcpy(entry->value.buffer, bytes, count);
  entry->value.size = (UINT16)count;
  if (tpm_esys == NULL) return TSS2_RC_SUCCESS;
  return Esys_TR_SetAuth(tpm_esys, entry->resource, &entry->value);
}

TSS2_RC tpm_apply_passwords(void) {
  TSS2_RC rc = TSS2_RC_SUCCESS;
  for (size_t at = 0; rc == TSS2_RC_SUCCESS && at < PASSWORDS; at++) {
    rc = Esys_TR_SetAuth(tpm_esys, passwords[at].resource, &passwords[at].value);
  }
  return rc;
}
