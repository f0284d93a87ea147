/*
 * sink CERTIFICATE KEY: acknowledges telemetry as fast as one core can, one device after another.
 * Neighbours: hub.c does the work; publish.ts starts it where local Azure would be the bottleneck.
 * Invariant: one ready line {"port":N} on stdout; ends with its parent.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "hub.h"

static struct line line;

int main(int count, char **words) {
  struct hub hub;
  if (count != 3) {
    fprintf(stderr, "usage: sink CERTIFICATE KEY\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  signal(SIGPIPE, SIG_IGN);
  if (hub_open(&hub, words[1], words[2]) != 0) return 1;
  printf("{\"port\":%d}\n", hub.port);
  fflush(stdout);
  for (;;) {
    if (hub_accept(&hub, &line) != 0) continue;
    while (line_step(&line) == 0) {
    }
    line_close(&line);
  }
}
