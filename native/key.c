/*
 * Keys: made, read, kept, removed, and used to sign.
 * Neighbours: credential.c brings keys in from outside; handle.c knows their handles.
 * Invariant: an object that the TPM made is known here, so that it can be flushed.
 */
#include "tpm.h"

static const TPM2B_DATA NO_DATA;
static const TPML_PCR_SELECTION NO_PCRS;

static TSS2_RC read_public_begin(const uint32_t *argument) {
  const uint32_t type = argument[0] >> TPM2_HR_SHIFT;
  /* ESYS would read anything else in another way. */
  if (type != TPM2_HT_PERSISTENT && type != TPM2_HT_TRANSIENT) return AZIMUTH_TPM_BAD_INPUT;
  tpm_forget(argument[0]);
  const TSS2_RC rc = tpm_vacancy();
  if (rc != TSS2_RC_SUCCESS) return rc;
  return Esys_TR_FromTPMPublic_Async(tpm_esys, argument[0], ESYS_TR_NONE, ESYS_TR_NONE,
                                     ESYS_TR_NONE);
}

static TSS2_RC read_public_end(const uint32_t *argument) {
  (void)argument;
  ESYS_TR resource = ESYS_TR_NONE;
  TSS2_RC rc = Esys_TR_FromTPMPublic_Finish(tpm_esys, &resource);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_remember(resource);
  if (rc != TSS2_RC_SUCCESS) return rc;
  /* ESYS keeps what it read to itself; the response that it found sound is still here. */
  TPM2B_PUBLIC public_area = {0};
  TPM2B_NAME name = {0};
  size_t from = TPM_HEADER_BYTES;
  size_t at = 0;
  rc = Tss2_MU_TPM2B_PUBLIC_Unmarshal(tpm_block.wire, tpm_block.wire_bytes, &from, &public_area);
  if (rc == TSS2_RC_SUCCESS) {
    rc = Tss2_MU_TPM2B_NAME_Unmarshal(tpm_block.wire, tpm_block.wire_bytes, &from, &name);
  }
  if (rc == TSS2_RC_SUCCESS) rc = GIVE(TPM2B_PUBLIC, &public_area, &at);
  if (rc == TSS2_RC_SUCCESS) rc = GIVE(TPM2B_NAME, &name, &at);
  return tpm_given(rc, at);
}

const struct tpm_operation tpm_read_public = {read_public_begin, read_public_end};

static TSS2_RC create_primary_begin(const uint32_t *argument) {
  const TPM2B_SENSITIVE_CREATE sensitive = {0};
  TPM2B_PUBLIC template = {0};
  ESYS_TR owner = ESYS_TR_NONE;
  ESYS_TR proof = ESYS_TR_NONE;
  size_t at = 0;
  TSS2_RC rc = TAKE(TPM2B_PUBLIC, &at, &template);
  rc = tpm_taken(rc, at);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_vacancy();
  if (rc == TSS2_RC_SUCCESS) rc = tpm_hierarchy(argument[0], &owner);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_authority(argument[1], &proof);
  if (rc != TSS2_RC_SUCCESS) return rc;
  return Esys_CreatePrimary_Async(tpm_esys, owner, proof, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
                                  &template, &NO_DATA, &NO_PCRS);
}

static TSS2_RC create_primary_end(const uint32_t *argument) {
  (void)argument;
  ESYS_TR resource = ESYS_TR_NONE;
  TPM2B_PUBLIC *made = NULL;
  size_t at = 0;
  TSS2_RC rc = Esys_CreatePrimary_Finish(tpm_esys, &resource, &made, NULL, NULL, NULL);
  if (rc != TSS2_RC_SUCCESS) return rc;
  rc = tpm_remember(resource);
  if (rc == TSS2_RC_SUCCESS) rc = GIVE(TPM2B_PUBLIC, made, &at);
  Esys_Free(made);
  return tpm_given(rc, at);
}

const struct tpm_operation tpm_create_primary = {create_primary_begin, create_primary_end};

static TSS2_RC create_begin(const uint32_t *argument) {
  TPM2B_SENSITIVE_CREATE sensitive = {0};
  TPM2B_PUBLIC template = {0};
  ESYS_TR parent = ESYS_TR_NONE;
  ESYS_TR hiding = ESYS_TR_NONE;
  size_t at = 0;
  TSS2_RC rc = TAKE(TPM2B_SENSITIVE_CREATE, &at, &sensitive);
  if (rc == TSS2_RC_SUCCESS) rc = TAKE(TPM2B_PUBLIC, &at, &template);
  rc = tpm_taken(rc, at);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_object(argument[0], &parent);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_cover(argument[1], &hiding);
  if (rc == TSS2_RC_SUCCESS) {
    rc = Esys_Create_Async(tpm_esys, parent, ESYS_TR_PASSWORD, hiding, ESYS_TR_NONE, &sensitive,
                           &template, &NO_DATA, &NO_PCRS);
  }
  tpm_wipe(&sensitive, sizeof sensitive);
  return rc;
}

static TSS2_RC create_end(const uint32_t *argument) {
  (void)argument;
  TPM2B_PRIVATE *private_area = NULL;
  TPM2B_PUBLIC *public_area = NULL;
  size_t at = 0;
  TSS2_RC rc = Esys_Create_Finish(tpm_esys, &private_area, &public_area, NULL, NULL, NULL);
  if (rc != TSS2_RC_SUCCESS) return rc;
  rc = GIVE(TPM2B_PRIVATE, private_area, &at);
  if (rc == TSS2_RC_SUCCESS) rc = GIVE(TPM2B_PUBLIC, public_area, &at);
  Esys_Free(private_area);
  Esys_Free(public_area);
  return tpm_given(rc, at);
}

const struct tpm_operation tpm_create = {create_begin, create_end};

static TSS2_RC evict_begin(const uint32_t *argument) {
  ESYS_TR subject = ESYS_TR_NONE;
  ESYS_TR proof = ESYS_TR_NONE;
  if (!tpm_is_persistent(argument[1])) return AZIMUTH_TPM_BAD_INPUT;
  /* ESYS would remove a persistent object whatever the second handle says. */
  if (tpm_is_persistent(argument[0]) && argument[0] != argument[1]) return AZIMUTH_TPM_BAD_INPUT;
  TSS2_RC rc = argument[0] == argument[1] ? TSS2_RC_SUCCESS : tpm_vacancy();
  if (rc == TSS2_RC_SUCCESS) rc = tpm_object(argument[0], &subject);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_authority(argument[2], &proof);
  if (rc != TSS2_RC_SUCCESS) return rc;
  return Esys_EvictControl_Async(tpm_esys, ESYS_TR_RH_OWNER, subject, proof, ESYS_TR_NONE,
                                 ESYS_TR_NONE, argument[1]);
}

static TSS2_RC evict_end(const uint32_t *argument) {
  ESYS_TR resource = ESYS_TR_NONE;
  const TSS2_RC rc = Esys_EvictControl_Finish(tpm_esys, &resource);
  if (rc != TSS2_RC_SUCCESS) return rc;
  if (argument[0] != argument[1]) return tpm_remember(resource);
  tpm_forget(argument[1]);
  return TSS2_RC_SUCCESS;
}

const struct tpm_operation tpm_evict = {evict_begin, evict_end};

static TSS2_RC hmac_begin(const uint32_t *argument) {
  TPM2B_MAX_BUFFER data = {0};
  ESYS_TR key = ESYS_TR_NONE;
  ESYS_TR hiding = ESYS_TR_NONE;
  size_t at = 0;
  TSS2_RC rc = TAKE(TPM2B_MAX_BUFFER, &at, &data);
  rc = tpm_taken(rc, at);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_object(argument[0], &key);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_cover(argument[1], &hiding);
  if (rc != TSS2_RC_SUCCESS) return rc;
  return Esys_HMAC_Async(tpm_esys, key, ESYS_TR_PASSWORD, hiding, ESYS_TR_NONE, &data,
                         TPM2_ALG_NULL);
}

static TSS2_RC hmac_end(const uint32_t *argument) {
  (void)argument;
  TPM2B_DIGEST *made = NULL;
  size_t at = 0;
  TSS2_RC rc = Esys_HMAC_Finish(tpm_esys, &made);
  if (rc != TSS2_RC_SUCCESS) return rc;
  rc = GIVE(TPM2B_DIGEST, made, &at);
  Esys_Free(made);
  return tpm_given_all(rc, at);
}

const struct tpm_operation tpm_hmac = {hmac_begin, hmac_end};
