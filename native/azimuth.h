/*
 * What libazimuth.so offers to src/port: the one header of the native side.
 * Neighbours: tpm.c implements the TPM part; src/port/tpm.ts repeats the numbers below.
 * Invariant: no function blocks, allocates for its caller or hands out a pointer but to the
 * one static block; numbers that are written here never change their meaning.
 */
#ifndef AZIMUTH_H
#define AZIMUTH_H

#include <stdint.h>

#define AZIMUTH_EXPORT __attribute__((visibility("default")))

/* --- TPM ------------------------------------------------------------------------------------ */

/* Changes whenever the block, the operations or their bytes change. */
#define AZIMUTH_TPM_LAYOUT 1u

/* Largest command and response (TCG PC Client profile), and room for the wire bytes in and out. */
#define AZIMUTH_TPM_BYTES 4096u

/*
 * Who has the wire bytes. azimuth_tpm_start or _finish leaves COMMAND; the loop writes WAITING
 * while it sends, puts the response into `wire` and writes RESPONSE, then calls _finish.
 */
enum azimuth_tpm_mail {
  AZIMUTH_TPM_IDLE = 0,
  AZIMUTH_TPM_COMMAND = 1,
  AZIMUTH_TPM_WAITING = 2,
  AZIMUTH_TPM_RESPONSE = 3,
};

/*
 * Operations: arguments; `input` -> `handle` and `output` after success. Handles are those of
 * the TPM; "session" is a session of START_HMAC that hides the first parameters, or authorises
 * where no parameter can be hidden, or 0 for the plain password. All bytes as on the wire.
 */
enum azimuth_tpm_operation {
  /* TPM2_Startup(CLEAR); all sessions and objects are forgotten with it. */
  AZIMUTH_TPM_STARTUP = 0,
  /* capability, property, count -> moreData, TPMS_CAPABILITY_DATA */
  AZIMUTH_TPM_CAPABILITY = 1,
  /* object -> TPM2B_PUBLIC, TPM2B_NAME; persistent and transient objects */
  AZIMUTH_TPM_READ_PUBLIC = 2,
  /* hierarchy, session; TPM2B_PUBLIC template -> handle; TPM2B_PUBLIC */
  AZIMUTH_TPM_CREATE_PRIMARY = 3,
  /* transient object, persistent handle, session: keeps; the same handle twice: removes */
  AZIMUTH_TPM_EVICT = 4,
  /* object or session, known here or not */
  AZIMUTH_TPM_FLUSH = 5,
  /* -> handle */
  AZIMUTH_TPM_START_POLICY = 6,
  /* key that encrypts the salt -> handle */
  AZIMUTH_TPM_START_HMAC = 7,
  /* hierarchy, policy session, session */
  AZIMUTH_TPM_POLICY_SECRET = 8,
  /* object, key, policy session, session; TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET
   * -> TPM2B_DIGEST */
  AZIMUTH_TPM_ACTIVATE = 9,
  /* parent, session; TPM2B_DATA inner key, TPM2B_PUBLIC, TPM2B_PRIVATE, TPM2B_ENCRYPTED_SECRET
   * -> TPM2B_PRIVATE */
  AZIMUTH_TPM_IMPORT = 10,
  /* parent, session; TPM2B_PRIVATE, TPM2B_PUBLIC -> handle */
  AZIMUTH_TPM_LOAD = 11,
  /* parent, session; TPM2B_SENSITIVE_CREATE, TPM2B_PUBLIC -> TPM2B_PRIVATE, TPM2B_PUBLIC */
  AZIMUTH_TPM_CREATE = 12,
  /* key, session; TPM2B_MAX_BUFFER -> TPM2B_DIGEST */
  AZIMUTH_TPM_HMAC = 13,
  AZIMUTH_TPM_OPERATIONS = 14,
};

/*
 * Our own answers, in a layer that neither the TPM nor tpm2-tss uses. TPM answers keep their
 * numbers; those of tpm2-tss too (layers 7 to 10), and after one of these only init helps.
 */
enum azimuth_tpm_code {
  AZIMUTH_TPM_BAD_INPUT = 0x00f00001,
  /* `handle` must be read with READ_PUBLIC first; nothing was sent. */
  AZIMUTH_TPM_UNKNOWN_OBJECT = 0x00f00002,
  /* No such session was started since init; nothing was sent. */
  AZIMUTH_TPM_UNKNOWN_SESSION = 0x00f00003,
  /* An operation is under way, or none is. */
  AZIMUTH_TPM_BAD_SEQUENCE = 0x00f00004,
  /* Objects and sessions fill the table. */
  AZIMUTH_TPM_FULL = 0x00f00005,
};

/* Shared with the loop, which maps it once. */
struct azimuth_tpm_block {
  uint32_t layout;
  uint32_t mail;
  uint32_t wire_bytes;
  uint32_t input_bytes;
  uint32_t output_bytes;
  uint32_t handle;
  uint32_t spare[2];
  uint8_t wire[AZIMUTH_TPM_BYTES];
  uint8_t input[AZIMUTH_TPM_BYTES];
  uint8_t output[AZIMUTH_TPM_BYTES];
};

/* The block, and its size in bytes. */
AZIMUTH_EXPORT struct azimuth_tpm_block *azimuth_tpm_block(void);
AZIMUTH_EXPORT uint32_t azimuth_tpm_block_bytes(void);

/* Begins anew: every object, session and operation under way is forgotten. 0 or a code. */
AZIMUTH_EXPORT uint32_t azimuth_tpm_init(void);

/* Frees everything and wipes the block; passwords are kept. */
AZIMUTH_EXPORT void azimuth_tpm_fini(void);

/*
 * Sets the password of a hierarchy (TPM_RH_OWNER or TPM_RH_ENDORSEMENT) to the bytes in `input`,
 * at most 64; it outlives init and fini. Wipes `input`.
 */
AZIMUTH_EXPORT uint32_t azimuth_tpm_auth(uint32_t hierarchy);

/* Starts an operation: 0 with a command in the mail, or a code. Wipes `input`. */
AZIMUTH_EXPORT uint32_t azimuth_tpm_start(uint32_t operation, uint32_t a, uint32_t b, uint32_t c,
                                          uint32_t d);

/*
 * Ends an operation with the response in the mail: 0 with `handle` and `output`, or a code.
 * When the low 16 bits of the code are 9 it goes on: with a command in the mail again.
 */
AZIMUTH_EXPORT uint32_t azimuth_tpm_finish(void);

#endif
