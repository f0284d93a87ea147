/*
 * Commands without authorisation: startup, capabilities, flush.
 * Neighbours: tpm.c runs them like the others; ESYS would add nothing here but structures.
 * Invariant: a command is written whole before the mail says so; a response is not read beyond
 * the bytes that came.
 */
#include "tpm.h"

#include <string.h>

static void put(uint32_t value, uint32_t bytes) {
  while (bytes > 0) {
    bytes--;
    tpm_block.wire[tpm_block.wire_bytes] = (uint8_t)(value >> (8 * bytes));
    tpm_block.wire_bytes++;
  }
}

static void put_head(TPM2_CC code, uint32_t size) {
  tpm_block.wire_bytes = 0;
  put(TPM2_ST_NO_SESSIONS, 2);
  put(size, 4);
  put(code, 4);
}

static TSS2_RC posted(void) {
  tpm_block.mail = AZIMUTH_TPM_COMMAND;
  return TSS2_RC_SUCCESS;
}

/* The response code; what follows the head becomes the output. */
static TSS2_RC plain_end(const uint32_t *argument) {
  (void)argument;
  if (tpm_block.mail != AZIMUTH_TPM_RESPONSE) return TSS2_TCTI_RC_TRY_AGAIN;
  tpm_block.mail = AZIMUTH_TPM_IDLE;
  const uint32_t bytes = tpm_block.wire_bytes;
  if (bytes < TPM_HEADER_BYTES || bytes > sizeof tpm_block.wire) {
    return TSS2_TCTI_RC_MALFORMED_RESPONSE;
  }
  const TSS2_RC rc = tpm_wire_u32(6);
  if (rc != TSS2_RC_SUCCESS) return rc;
  tpm_block.output_bytes = bytes - TPM_HEADER_BYTES;
  memcpy(tpm_block.output, &tpm_block.wire[TPM_HEADER_BYTES], tpm_block.output_bytes);
  return TSS2_RC_SUCCESS;
}

static TSS2_RC startup_begin(const uint32_t *argument) {
  (void)argument;
  put_head(TPM2_CC_Startup, 12);
  put(TPM2_SU_CLEAR, 2);
  return posted();
}

static TSS2_RC startup_end(const uint32_t *argument) {
  const TSS2_RC rc = plain_end(argument);
  if (rc == TSS2_RC_SUCCESS) tpm_forget_all();
  return rc;
}

const struct tpm_operation tpm_startup = {startup_begin, startup_end};

static TSS2_RC capability_begin(const uint32_t *argument) {
  put_head(TPM2_CC_GetCapability, 22);
  for (int at = 0; at < 3; at++) put(argument[at], 4);
  return posted();
}

const struct tpm_operation tpm_capability = {capability_begin, plain_end};

static TSS2_RC flush_begin(const uint32_t *argument) {
  /* Whatever the TPM answers: nobody here uses the handle again. */
  tpm_forget(argument[0]);
  put_head(TPM2_CC_FlushContext, 14);
  put(argument[0], 4);
  return posted();
}

const struct tpm_operation tpm_flush = {flush_begin, plain_end};
