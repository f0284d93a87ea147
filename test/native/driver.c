/*
 * The native TPM operations as a program for the sanitizers: they see every byte here, which they
 * do not in a library that a runtime has loaded.
 * Usage: lines in, lines out: `init`, `fini`, `password HIERARCHY HEX`, `start OPERATION A B C D
 * HEX`, `answer HEX`, `fuzz SEED COUNT`; numbers in hexadecimal, an empty HEX is `-`.
 * Neighbours: driver.test.ts; the answers to `start` and `answer` are `RC HANDLE MAIL HEX`.
 */
#include "azimuth.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 64u
#define LINE_BYTES (4u * AZIMUTH_TPM_BYTES)

/* One operation and the response that a TPM gave to it. */
struct step {
  uint32_t number[5];
  uint32_t input_bytes;
  uint32_t response_bytes;
  uint8_t input[AZIMUTH_TPM_BYTES];
  uint8_t response[AZIMUTH_TPM_BYTES];
};

static struct azimuth_tpm_block *block;
static struct step steps[STEPS_MAX];
static uint32_t step_count;
static uint64_t seed;

static uint32_t from_hex(const char *text, uint8_t *bytes) {
  uint32_t count = 0;
  unsigned value = 0;
  while (count < AZIMUTH_TPM_BYTES && sscanf(&text[2 * (size_t)count], "%2x", &value) == 1) {
    bytes[count] = (uint8_t)value;
    count++;
  }
  return count;
}

/* Like the loop: the command is taken out of the mail. */
static void tell(uint32_t rc) {
  const bool has_command = block->mail == AZIMUTH_TPM_COMMAND;
  const uint8_t *bytes = has_command ? block->wire : block->output;
  const uint32_t count = has_command ? block->wire_bytes : block->output_bytes;
  printf("%x %x %x ", rc, block->handle, block->mail);
  for (uint32_t at = 0; at < count; at++) printf("%02x", bytes[at]);
  puts(count == 0 ? "-" : "");
  if (has_command) block->mail = AZIMUTH_TPM_WAITING;
}

static uint32_t start(const struct step *step) {
  memcpy(block->input, step->input, step->input_bytes);
  block->input_bytes = step->input_bytes;
  const uint32_t *number = step->number;
  return azimuth_tpm_start(number[0], number[1], number[2], number[3], number[4]);
}

static uint32_t answer(const uint8_t *response, uint32_t count) {
  memcpy(block->wire, response, count);
  block->wire_bytes = count;
  block->mail = AZIMUTH_TPM_RESPONSE;
  return azimuth_tpm_finish();
}

static uint32_t below(uint32_t limit) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (uint32_t)(seed >> 11) % limit;
}

static void put_size(uint8_t *bytes, uint32_t value) {
  for (int at = 0; at < 4; at++) bytes[2 + at] = (uint8_t)(value >> (24 - 8 * at));
}

/* Damages a response; its head mostly stays sound, as the loop looks at that. */
static uint32_t spoil(uint8_t *bytes, uint32_t count) {
  for (uint32_t left = 1 + below(4); left > 0; left--) {
    const uint32_t at = below(count);
    const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff};
    bytes[at] = below(2) ? edges[below(sizeof edges)] : (uint8_t)below(256);
  }
  if (below(4) == 0) count = 10 + below(count);
  if (count > AZIMUTH_TPM_BYTES) count = AZIMUTH_TPM_BYTES;
  if (below(8) != 0) put_size(bytes, count);
  return count;
}

/* One run over the recorded operations up to one whose response is damaged. */
static bool fuzz_once(void) {
  static uint8_t bytes[AZIMUTH_TPM_BYTES];
  if (azimuth_tpm_init() != 0) return false;
  const uint32_t victim = below(step_count);
  for (uint32_t at = 0; at < victim; at++) {
    /* Its response proves the nonce of another run. */
    if (steps[at].number[0] == AZIMUTH_TPM_ACTIVATE) continue;
    if (start(&steps[at]) != 0) return false;
    if (answer(steps[at].response, steps[at].response_bytes) != 0) return false;
  }
  const struct step *step = &steps[victim];
  if (start(step) != 0) return false;
  memcpy(bytes, step->response, step->response_bytes);
  const uint32_t count = spoil(bytes, step->response_bytes);
  answer(bytes, count);
  return block->output_bytes <= AZIMUTH_TPM_BYTES;
}

static void fuzz(uint64_t from, uint32_t count) {
  seed = from | 1;
  uint32_t done = 0;
  while (done < count && fuzz_once()) done++;
  printf("%x of %x\n", done, count);
}

static void record(const struct step *step, uint32_t rc) {
  if (rc != 0 || step_count == STEPS_MAX) return;
  steps[step_count] = *step;
  step_count++;
}

static bool obey(const char *line, const char *hex, struct step *step) {
  static uint8_t bytes[AZIMUTH_TPM_BYTES];
  uint32_t *number = step->number;
  unsigned long long from = 0;
  uint32_t count = 0;
  if (strncmp(line, "init", 4) == 0) {
    step_count = 0;
    tell(azimuth_tpm_init());
  } else if (strncmp(line, "fini", 4) == 0) {
    azimuth_tpm_fini();
    tell(0);
  } else if (sscanf(line, "password %x", &number[0]) == 1) {
    block->input_bytes = from_hex(hex, block->input);
    tell(azimuth_tpm_auth(number[0]));
  } else if (sscanf(line, "start %x %x %x %x %x", &number[0], &number[1], &number[2], &number[3],
                    &number[4]) == 5) {
    step->input_bytes = from_hex(hex, step->input);
    tell(start(step));
  } else if (strncmp(line, "answer", 6) == 0) {
    step->response_bytes = from_hex(hex, step->response);
    memcpy(bytes, step->response, step->response_bytes);
    const uint32_t rc = answer(bytes, step->response_bytes);
    record(step, rc);
    tell(rc);
  } else if (sscanf(line, "fuzz %llx %x", &from, &count) == 2 && step_count > 0) {
    fuzz(from, count);
  } else {
    return false;
  }
  return fflush(stdout) == 0;
}

int main(void) {
  static char line[LINE_BYTES];
  static struct step step;
  block = azimuth_tpm_block();
  if (azimuth_tpm_block_bytes() != sizeof *block) return 1;
  while (fgets(line, sizeof line, stdin) != NULL) {
    char *space = strrchr(line, ' ');
    if (!obey(line, space == NULL ? "" : space + 1, &step)) return 1;
  }
  azimuth_tpm_fini();
  return 0;
}
