/*
 * What the files of the TPM part share; azimuth.h is what the world sees.
 * Neighbours: tpm.c runs the operations that plain.c, key.c and credential.c define over the
 * handles of handle.c.
 * Invariant: an operation's begin sends at most one command, its end reads one response.
 */
#ifndef AZIMUTH_TPM_H
#define AZIMUTH_TPM_H

#include "azimuth.h"

#include <stdbool.h>
#include <stddef.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>

/* tag, size, response code (TPM 2.0 Library, part 1, 18.9) */
#define TPM_HEADER_BYTES 10u

typedef TSS2_RC (*tpm_step)(const uint32_t *argument);

struct tpm_operation {
  tpm_step begin;
  tpm_step end;
};

extern struct azimuth_tpm_block tpm_block;
extern ESYS_CONTEXT *tpm_esys;

/* plain.c */
extern const struct tpm_operation tpm_startup, tpm_capability, tpm_flush;
/* key.c */
extern const struct tpm_operation tpm_read_public, tpm_create_primary, tpm_create, tpm_evict,
    tpm_hmac;
/* credential.c */
extern const struct tpm_operation tpm_start_policy, tpm_start_hmac, tpm_policy_secret,
    tpm_activate, tpm_import, tpm_load;

/* Reads the next structure of the input; `target` must be zero before. */
#define TAKE(type, at, target) \
  Tss2_MU_##type##_Unmarshal(tpm_block.input, tpm_block.input_bytes, (at), (target))

/* Writes a structure into the output. */
#define GIVE(type, source, at) \
  Tss2_MU_##type##_Marshal((source), tpm_block.output, sizeof tpm_block.output, (at))

/* Overwrites in a way that the compiler does not leave out. */
void tpm_wipe(void *bytes, size_t count);
/* The verdict on an input that was read up to `at`: sound when that is all of it. */
TSS2_RC tpm_taken(TSS2_RC rc, size_t at);
/* Ends an output that was written up to `at`. */
TSS2_RC tpm_given(TSS2_RC rc, size_t at);
/* The same when it is all that the response has for parameters; refuses one that is not. */
TSS2_RC tpm_given_all(TSS2_RC rc, size_t at);
/* Four bytes of the response. */
uint32_t tpm_wire_u32(size_t at);

bool tpm_is_persistent(TPM2_HANDLE handle);
/* Makes a place for what an operation will make. Before tpm_object: it may push out a key. */
TSS2_RC tpm_vacancy(void);
/* Keeps what an operation made, and tells its handle in the block. */
TSS2_RC tpm_remember(ESYS_TR resource);
void tpm_forget(TPM2_HANDLE handle);
void tpm_forget_all(void);
/* Empties the table without ESYS, after its context has gone. */
void tpm_reset_handles(void);

TSS2_RC tpm_object(TPM2_HANDLE handle, ESYS_TR *resource);
TSS2_RC tpm_policy(TPM2_HANDLE handle, ESYS_TR *resource);
/* The session that proves a password without showing it; for 0 the plain password. */
TSS2_RC tpm_authority(TPM2_HANDLE handle, ESYS_TR *resource);
/* The session that hides the first parameter both ways; for 0 none. */
TSS2_RC tpm_cover(TPM2_HANDLE handle, ESYS_TR *resource);

TSS2_RC tpm_hierarchy(TPM2_HANDLE handle, ESYS_TR *resource);
/* Keeps a password over init, and gives it to ESYS when there is a context. */
TSS2_RC tpm_set_password(TPM2_HANDLE hierarchy, const uint8_t *bytes, uint32_t count);
TSS2_RC tpm_apply_passwords(void);

#endif
