/*
 * publisher HOST PORT CA CLIENT USER PASSWORD WINDOW WARM MESSAGES TOPIC PAYLOAD: QoS 1 telemetry
 * by libmosquitto, WINDOW messages in flight, the next one published from each acknowledgement.
 * Neighbours: publish.ts runs it beside the agent; client/meter.ts measures the same way.
 * Invariant: certificate and host name are checked; one line {"messages","cpuUs","wallUs"} on
 * stdout for what came after WARM acknowledgements.
 */
#include <mosquitto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#define WORDS 12

static const char *topic;
static const char *payload;
static int payload_bytes;
static long window, warm, messages;
static long published, acknowledged, warm_acknowledged;
static double start_cpu_us, start_us;

static double cpu_us(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return 1e6 * (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e6 * (double)now.tv_sec + (double)now.tv_nsec / 1e3;
}

static void publish(struct mosquitto *client) {
  int code = mosquitto_publish(client, NULL, topic, payload_bytes, payload, 1, false);
  if (code != MOSQ_ERR_SUCCESS) {
    fprintf(stderr, "publisher: %s\n", mosquitto_strerror(code));
    exit(1);
  }
  published++;
}

static void on_connect(struct mosquitto *client, void *context, int code) {
  (void)context;
  if (code != 0 || published > 0) {
    fprintf(stderr, "publisher: refused (%d), or connected twice\n", code);
    exit(1);
  }
  while (published < window) publish(client);
}

static void on_publish(struct mosquitto *client, void *context, int identifier) {
  (void)context;
  (void)identifier;
  acknowledged++;
  if (acknowledged == warm) {
    warm_acknowledged = acknowledged;
    start_cpu_us = cpu_us();
    start_us = now_us();
  }
  if (acknowledged == messages) {
    printf("{\"messages\":%ld,\"cpuUs\":%.0f,\"wallUs\":%.0f}\n", messages - warm_acknowledged,
           cpu_us() - start_cpu_us, now_us() - start_us);
    exit(0);
  }
  if (published < messages) publish(client);
}

int main(int count, char **words) {
  if (count != WORDS) {
    fprintf(stderr, "usage: publisher HOST PORT CA CLIENT USER PASSWORD WINDOW WARM MESSAGES "
                    "TOPIC PAYLOAD\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  window = atol(words[7]);
  warm = atol(words[8]);
  messages = atol(words[9]);
  topic = words[10];
  payload = words[11];
  payload_bytes = (int)strlen(payload);
  mosquitto_lib_init();
  struct mosquitto *client = mosquitto_new(words[4], true, NULL);
  if (client == NULL) return 1;
  mosquitto_username_pw_set(client, words[5], words[6]);
  mosquitto_tls_set(client, words[3], NULL, NULL, NULL, NULL);
  mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
  mosquitto_int_option(client, MOSQ_OPT_SEND_MAXIMUM, (int)window);
  mosquitto_connect_callback_set(client, on_connect);
  mosquitto_publish_callback_set(client, on_publish);
  int code = mosquitto_connect(client, words[1], atoi(words[2]), 240);
  if (code == MOSQ_ERR_SUCCESS) code = mosquitto_loop_forever(client, -1, 1);
  fprintf(stderr, "publisher: %s\n", mosquitto_strerror(code));
  return 1;
}
