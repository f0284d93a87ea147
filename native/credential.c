/*
 * Sessions, and the steps that bring a service's key in: activate, import, load.
 * Neighbours: key.c keeps and uses the key; handle.c knows the sessions.
 * Invariant: the inner key is wiped from every structure of ours once ESYS has it.
 */
#include "tpm.h"

#define AES_128_CFB \
  {.algorithm = TPM2_ALG_AES, .keyBits = {.aes = 128}, .mode = {.aes = TPM2_ALG_CFB}}

static const TPMT_SYM_DEF NO_CIPHER = {.algorithm = TPM2_ALG_NULL};
static const TPMT_SYM_DEF CIPHER = AES_128_CFB;
static const TPMT_SYM_DEF_OBJECT NO_WRAPPER = {.algorithm = TPM2_ALG_NULL};
static const TPMT_SYM_DEF_OBJECT WRAPPER = AES_128_CFB;

static TSS2_RC start(ESYS_TR key, TPM2_SE type, const TPMT_SYM_DEF *cipher) {
  return Esys_StartAuthSession_Async(tpm_esys, key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                     ESYS_TR_NONE, NULL, type, cipher, TPM2_ALG_SHA256);
}

static TSS2_RC start_policy_begin(const uint32_t *argument) {
  (void)argument;
  const TSS2_RC rc = tpm_vacancy();
  return rc == TSS2_RC_SUCCESS ? start(ESYS_TR_NONE, TPM2_SE_POLICY, &NO_CIPHER) : rc;
}

static TSS2_RC start_hmac_begin(const uint32_t *argument) {
  ESYS_TR key = ESYS_TR_NONE;
  TSS2_RC rc = tpm_vacancy();
  if (rc == TSS2_RC_SUCCESS) rc = tpm_object(argument[0], &key);
  return rc == TSS2_RC_SUCCESS ? start(key, TPM2_SE_HMAC, &CIPHER) : rc;
}

static TSS2_RC start_end(const uint32_t *argument) {
  (void)argument;
  ESYS_TR resource = ESYS_TR_NONE;
  const TSS2_RC rc = Esys_StartAuthSession_Finish(tpm_esys, &resource);
  return rc == TSS2_RC_SUCCESS ? tpm_remember(resource) : rc;
}

const struct tpm_operation tpm_start_policy = {start_policy_begin, start_end};
const struct tpm_operation tpm_start_hmac = {start_hmac_begin, start_end};

static TSS2_RC policy_secret_begin(const uint32_t *argument) {
  ESYS_TR owner = ESYS_TR_NONE;
  ESYS_TR policy = ESYS_TR_NONE;
  ESYS_TR proof = ESYS_TR_NONE;
  TSS2_RC rc = tpm_hierarchy(argument[0], &owner);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_policy(argument[1], &policy);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_authority(argument[2], &proof);
  if (rc != TSS2_RC_SUCCESS) return rc;
  return Esys_PolicySecret_Async(tpm_esys, owner, policy, proof, ESYS_TR_NONE, ESYS_TR_NONE, NULL,
                                 NULL, NULL, 0);
}

static TSS2_RC policy_secret_end(const uint32_t *argument) {
  (void)argument;
  return Esys_PolicySecret_Finish(tpm_esys, NULL, NULL);
}

const struct tpm_operation tpm_policy_secret = {policy_secret_begin, policy_secret_end};

static TSS2_RC activate_begin(const uint32_t *argument) {
  TPM2B_ID_OBJECT credential = {0};
  TPM2B_ENCRYPTED_SECRET secret = {0};
  ESYS_TR subject = ESYS_TR_NONE;
  ESYS_TR key = ESYS_TR_NONE;
  ESYS_TR policy = ESYS_TR_NONE;
  ESYS_TR hiding = ESYS_TR_NONE;
  size_t at = 0;
  TSS2_RC rc = TAKE(TPM2B_ID_OBJECT, &at, &credential);
  if (rc == TSS2_RC_SUCCESS) rc = TAKE(TPM2B_ENCRYPTED_SECRET, &at, &secret);
  rc = tpm_taken(rc, at);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_object(argument[0], &subject);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_object(argument[1], &key);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_policy(argument[2], &policy);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_cover(argument[3], &hiding);
  if (rc != TSS2_RC_SUCCESS) return rc;
  return Esys_ActivateCredential_Async(tpm_esys, subject, key, ESYS_TR_PASSWORD, policy, hiding,
                                       &credential, &secret);
}

static TSS2_RC activate_end(const uint32_t *argument) {
  (void)argument;
  TPM2B_DIGEST *found = NULL;
  size_t at = 0;
  TSS2_RC rc = Esys_ActivateCredential_Finish(tpm_esys, &found);
  if (rc != TSS2_RC_SUCCESS) return rc;
  rc = GIVE(TPM2B_DIGEST, found, &at);
  tpm_wipe(found, sizeof *found);
  Esys_Free(found);
  return tpm_given_all(rc, at);
}

const struct tpm_operation tpm_activate = {activate_begin, activate_end};

static TSS2_RC import_begin(const uint32_t *argument) {
  TPM2B_DATA inner = {0};
  TPM2B_PUBLIC public_area = {0};
  TPM2B_PRIVATE duplicate = {0};
  TPM2B_ENCRYPTED_SECRET seed = {0};
  ESYS_TR parent = ESYS_TR_NONE;
  ESYS_TR hiding = ESYS_TR_NONE;
  size_t at = 0;
  TSS2_RC rc = TAKE(TPM2B_DATA, &at, &inner);
  if (rc == TSS2_RC_SUCCESS) rc = TAKE(TPM2B_PUBLIC, &at, &public_area);
  if (rc == TSS2_RC_SUCCESS) rc = TAKE(TPM2B_PRIVATE, &at, &duplicate);
  if (rc == TSS2_RC_SUCCESS) rc = TAKE(TPM2B_ENCRYPTED_SECRET, &at, &seed);
  rc = tpm_taken(rc, at);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_object(argument[0], &parent);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_cover(argument[1], &hiding);
  if (rc == TSS2_RC_SUCCESS) {
    const TPMT_SYM_DEF_OBJECT *wrapper = inner.size == 0 ? &NO_WRAPPER : &WRAPPER;
    rc = Esys_Import_Async(tpm_esys, parent, ESYS_TR_PASSWORD, hiding, ESYS_TR_NONE, &inner,
                           &public_area, &duplicate, &seed, wrapper);
  }
  tpm_wipe(&inner, sizeof inner);
  return rc;
}

static TSS2_RC import_end(const uint32_t *argument) {
  (void)argument;
  TPM2B_PRIVATE *made = NULL;
  size_t at = 0;
  TSS2_RC rc = Esys_Import_Finish(tpm_esys, &made);
  if (rc != TSS2_RC_SUCCESS) return rc;
  rc = GIVE(TPM2B_PRIVATE, made, &at);
  Esys_Free(made);
  return tpm_given_all(rc, at);
}

const struct tpm_operation tpm_import = {import_begin, import_end};

static TSS2_RC load_begin(const uint32_t *argument) {
  TPM2B_PRIVATE private_area = {0};
  TPM2B_PUBLIC public_area = {0};
  ESYS_TR parent = ESYS_TR_NONE;
  ESYS_TR hiding = ESYS_TR_NONE;
  size_t at = 0;
  TSS2_RC rc = TAKE(TPM2B_PRIVATE, &at, &private_area);
  if (rc == TSS2_RC_SUCCESS) rc = TAKE(TPM2B_PUBLIC, &at, &public_area);
  rc = tpm_taken(rc, at);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_vacancy();
  if (rc == TSS2_RC_SUCCESS) rc = tpm_object(argument[0], &parent);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_cover(argument[1], &hiding);
  if (rc != TSS2_RC_SUCCESS) return rc;
  return Esys_Load_Async(tpm_esys, parent, ESYS_TR_PASSWORD, hiding, ESYS_TR_NONE, &private_area,
                         &public_area);
}

static TSS2_RC load_end(const uint32_t *argument) {
  (void)argument;
  ESYS_TR resource = ESYS_TR_NONE;
  const TSS2_RC rc = Esys_Load_Finish(tpm_esys, &resource);
  return rc == TSS2_RC_SUCCESS ? tpm_remember(resource) : rc;
}

const struct tpm_operation tpm_load = {load_begin, load_end};
