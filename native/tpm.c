/*
 * TPM 2.0 operations that never wait: ESYS over a mailbox instead of a device.
 * Neighbours: azimuth.h says what each operation takes and gives; src/port/tpm.ts carries the
 * bytes; libtss2-esys builds commands, checks responses, does the cryptography of sessions.
 * Invariant: one operation at a time; no call waits for anything; nothing that came in stays in
 * the block's input, and nothing that came out stays in its output once the next one begins.
 */
#define _DEFAULT_SOURCE
#include "tpm.h"

#include <stdlib.h>
#include <string.h>

struct azimuth_tpm_block tpm_block;
ESYS_CONTEXT *tpm_esys;

static TSS2_TCTI_CONTEXT_COMMON_V1 mailbox;
static const struct tpm_operation *running;
static uint32_t arguments[4];

static const struct tpm_operation *const OPERATIONS[AZIMUTH_TPM_OPERATIONS] = {
    [AZIMUTH_TPM_STARTUP] = &tpm_startup,
    [AZIMUTH_TPM_CAPABILITY] = &tpm_capability,
    [AZIMUTH_TPM_READ_PUBLIC] = &tpm_read_public,
    [AZIMUTH_TPM_CREATE_PRIMARY] = &tpm_create_primary,
    [AZIMUTH_TPM_EVICT] = &tpm_evict,
    [AZIMUTH_TPM_FLUSH] = &tpm_flush,
    [AZIMUTH_TPM_START_POLICY] = &tpm_start_policy,
    [AZIMUTH_TPM_START_HMAC] = &tpm_start_hmac,
    [AZIMUTH_TPM_POLICY_SECRET] = &tpm_policy_secret,
    [AZIMUTH_TPM_ACTIVATE] = &tpm_activate,
    [AZIMUTH_TPM_IMPORT] = &tpm_import,
    [AZIMUTH_TPM_LOAD] = &tpm_load,
    [AZIMUTH_TPM_CREATE] = &tpm_create,
    [AZIMUTH_TPM_HMAC] = &tpm_hmac,
};

/* --- The mailbox: a TCTI whose device is the event loop ------------------------------------- */

static TSS2_RC mail_transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command) {
  (void)tcti;
  if (tpm_block.mail != AZIMUTH_TPM_IDLE) return TSS2_TCTI_RC_BAD_SEQUENCE;
  if (size > sizeof tpm_block.wire) return TSS2_TCTI_RC_BAD_VALUE;
  memcpy(tpm_block.wire, command, size);
  tpm_block.wire_bytes = (uint32_t)size;
  tpm_block.mail = AZIMUTH_TPM_COMMAND;
  return TSS2_RC_SUCCESS;
}

static TSS2_RC mail_receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response,
                            int32_t timeout) {
  (void)tcti;
  (void)timeout;
  if (tpm_block.mail != AZIMUTH_TPM_RESPONSE) return TSS2_TCTI_RC_TRY_AGAIN;
  const size_t needed = tpm_block.wire_bytes;
  if (needed > sizeof tpm_block.wire) return TSS2_TCTI_RC_MALFORMED_RESPONSE;
  const size_t room = *size;
  *size = needed;
  /* SAPI asks for the size first. */
  if (response == NULL) return TSS2_RC_SUCCESS;
  if (room < needed) return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
  memcpy(response, tpm_block.wire, needed);
  tpm_block.mail = AZIMUTH_TPM_IDLE;
  return TSS2_RC_SUCCESS;
}

static void mail_finalize(TSS2_TCTI_CONTEXT *tcti) { (void)tcti; }

/* --- Bytes in and out ----------------------------------------------------------------------- */

void tpm_wipe(void *bytes, size_t count) { explicit_bzero(bytes, count); }

TSS2_RC tpm_taken(TSS2_RC rc, size_t at) {
  const bool is_whole = rc == TSS2_RC_SUCCESS && at == tpm_block.input_bytes;
  return is_whole ? TSS2_RC_SUCCESS : (TSS2_RC)AZIMUTH_TPM_BAD_INPUT;
}

TSS2_RC tpm_given(TSS2_RC rc, size_t at) {
  tpm_block.output_bytes = rc == TSS2_RC_SUCCESS ? (uint32_t)at : 0;
  return rc;
}

TSS2_RC tpm_given_all(TSS2_RC rc, size_t at) {
  /* Where a size lies, libtss2 reads on into what its buffer held before. */
  const bool is_all = tpm_block.wire_bytes >= TPM_HEADER_BYTES + 4 &&
                      tpm_wire_u32(TPM_HEADER_BYTES) == at;
  return tpm_given(rc == TSS2_RC_SUCCESS && !is_all ? TSS2_SYS_RC_MALFORMED_RESPONSE : rc, at);
}

uint32_t tpm_wire_u32(size_t at) {
  const uint8_t *from = &tpm_block.wire[at];
  return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static void wipe_input(void) {
  tpm_wipe(tpm_block.input, sizeof tpm_block.input);
  tpm_block.input_bytes = 0;
}

/* --- What the loop calls -------------------------------------------------------------------- */

struct azimuth_tpm_block *azimuth_tpm_block(void) {
  tpm_block.layout = AZIMUTH_TPM_LAYOUT;
  return &tpm_block;
}

uint32_t azimuth_tpm_block_bytes(void) { return sizeof tpm_block; }

static void finalize(void) {
  if (tpm_esys != NULL) Esys_Finalize(&tpm_esys);
  tpm_reset_handles();
  running = NULL;
  tpm_block.mail = AZIMUTH_TPM_IDLE;
}

uint32_t azimuth_tpm_init(void) {
  /* The log of libtss2 puts every refusal on stderr, and at the louder levels keys. */
  if (setenv("TSS2_LOG", "all+NONE", 1) != 0) return TSS2_ESYS_RC_MEMORY;
  finalize();
  mailbox = (TSS2_TCTI_CONTEXT_COMMON_V1){
      .magic = 0x617a696d757468u,
      .version = 1,
      .transmit = mail_transmit,
      .receive = mail_receive,
      .finalize = mail_finalize,
  };
  TSS2_RC rc = Esys_Initialize(&tpm_esys, (TSS2_TCTI_CONTEXT *)&mailbox, NULL);
  if (rc == TSS2_RC_SUCCESS) rc = Esys_SetTimeout(tpm_esys, 0);
  if (rc == TSS2_RC_SUCCESS) rc = tpm_apply_passwords();
  return rc;
}

void azimuth_tpm_fini(void) {
  finalize();
  wipe_input();
  tpm_wipe(tpm_block.wire, sizeof tpm_block.wire);
  tpm_wipe(tpm_block.output, sizeof tpm_block.output);
}

uint32_t azimuth_tpm_auth(uint32_t hierarchy) {
  const TSS2_RC rc = tpm_set_password(hierarchy, tpm_block.input, tpm_block.input_bytes);
  wipe_input();
  return rc;
}

static TSS2_RC begin(uint32_t operation) {
  if (operation >= AZIMUTH_TPM_OPERATIONS) return AZIMUTH_TPM_BAD_INPUT;
  if (tpm_block.input_bytes > sizeof tpm_block.input) return AZIMUTH_TPM_BAD_INPUT;
  const TSS2_RC rc = OPERATIONS[operation]->begin(arguments);
  if (rc == TSS2_RC_SUCCESS) running = OPERATIONS[operation];
  return rc;
}

uint32_t azimuth_tpm_start(uint32_t operation, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  TSS2_RC rc = AZIMUTH_TPM_BAD_SEQUENCE;
  if (tpm_esys != NULL && running == NULL && tpm_block.mail == AZIMUTH_TPM_IDLE) {
    memcpy(arguments, (const uint32_t[]){a, b, c, d}, sizeof arguments);
    tpm_block.handle = 0;
    tpm_block.output_bytes = 0;
    tpm_wipe(tpm_block.output, sizeof tpm_block.output);
    rc = begin(operation);
  }
  wipe_input();
  return rc;
}

uint32_t azimuth_tpm_finish(void) {
  if (tpm_esys == NULL || running == NULL) {
    tpm_block.mail = AZIMUTH_TPM_IDLE;
    return AZIMUTH_TPM_BAD_SEQUENCE;
  }
  const TSS2_RC rc = running->end(arguments);
  const bool is_pending = (rc & 0xffff) == TSS2_BASE_RC_TRY_AGAIN;
  if (!is_pending) running = NULL;
  return rc;
}
