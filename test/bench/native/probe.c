/*
 * probe CERTIFICATE KEY LAMP SAMPLES: pushes desired LED1 true, false, true … to one device and
 * measures how long after the write the first byte of the file LAMP follows (MQTT desired
 * properties of the device twin, $version rising by one).
 * Neighbours: hub.c answers the device; led.ts starts one probe for each device it measures.
 * Invariant: {"port":N} on stdout, then {"us":[…]} with one latency for each sample, in order.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "hub.h"

#define NS_PER_S 1000000000L
/* The device falls asleep in between, as it would in the field. */
#define PAUSE_NS_MIN 3000000L
#define PAUSE_NS_SPREAD 4000000L
#define ANSWER_NS_MAX (2 * NS_PER_S)

static struct line line;

static long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Answers the device for a while: it reports what it did. */
static int serve_for(long pause_ns) {
  long end_ns = now_ns() + pause_ns;
  for (long left_ns = pause_ns; left_ns > 0; left_ns = end_ns - now_ns()) {
    struct pollfd on = {.fd = line.descriptor, .events = POLLIN};
    struct timespec wait = {.tv_sec = 0, .tv_nsec = left_ns};
    int is_held = SSL_pending(line.tls) > 0;
    if (!is_held && ppoll(&on, 1, &wait, NULL) <= 0) continue;
    if (line_step(&line) != 0) return -1;
  }
  return 0;
}

/* One push; the latency in ns, or -1 when the lamp did not follow. */
static long push(volatile const unsigned char *lamp, int sample) {
  char topic[96];
  char payload[64];
  int version = sample + 2;
  int is_on = sample % 2 == 0;
  snprintf(topic, sizeof topic, "$iothub/twin/PATCH/properties/desired/?$version=%d", version);
  snprintf(payload, sizeof payload, "{\"LED1\":%s,\"$version\":%d}", is_on ? "true" : "false",
           version);
  unsigned char wanted = is_on ? '1' : '0';
  long start_ns = now_ns();
  if (line_publish(&line, topic, payload) != 0) return -1;
  long took_ns = 0;
  while (*lamp != wanted) {
    took_ns = now_ns() - start_ns;
    if (took_ns > ANSWER_NS_MAX) return -1;
  }
  return now_ns() - start_ns;
}

static int measure(volatile const unsigned char *lamp, int samples) {
  long *took_ns = calloc((size_t)samples, sizeof *took_ns);
  if (took_ns == NULL) return 1;
  while (!line.is_ready) {
    if (line_step(&line) != 0) return 1;
  }
  for (int sample = 0; sample < samples; sample++) {
    if (serve_for(PAUSE_NS_MIN + rand() % PAUSE_NS_SPREAD) != 0) return 1;
    took_ns[sample] = push(lamp, sample);
    if (took_ns[sample] < 0) {
      fprintf(stderr, "probe: the lamp did not follow push %d\n", sample);
      return 1;
    }
  }
  printf("{\"us\":[");
  for (int sample = 0; sample < samples; sample++) {
    printf("%s%.1f", sample == 0 ? "" : ",", (double)took_ns[sample] / 1000);
  }
  printf("]}\n");
  return 0;
}

int main(int count, char **words) {
  struct hub hub;
  int samples = count == 5 ? atoi(words[4]) : 0;
  if (samples < 1) {
    fprintf(stderr, "usage: probe CERTIFICATE KEY LAMP SAMPLES\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  signal(SIGPIPE, SIG_IGN);
  int descriptor = open(words[3], O_RDONLY | O_CLOEXEC);
  void *lamp = descriptor < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ, MAP_SHARED, descriptor, 0);
  if (lamp == MAP_FAILED) {
    perror(words[3]);
    return 1;
  }
  if (hub_open(&hub, words[1], words[2]) != 0) return 1;
  printf("{\"port\":%d}\n", hub.port);
  fflush(stdout);
  while (hub_accept(&hub, &line) != 0) {
  }
  int code = measure(lamp, samples);
  if (code != 0) fprintf(stderr, "probe: the connection ended early\n");
  line_close(&line);
  return code;
}
