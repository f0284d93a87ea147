/*
 * A hub that knows no better: the smallest MQTT 3.1.1 server over TLS that lets an IoT Hub
 * device connect, subscribe, get its twin, report and publish. Neighbours: sink.c acknowledges
 * telemetry, probe.c pushes desired properties. Invariant: one connection at a time, blocking;
 * all answers to one read leave in one write.
 */
#ifndef BENCH_HUB_H
#define BENCH_HUB_H

#include <openssl/ssl.h>
#include <stddef.h>

#define HUB_BUFFER_BYTES (256 * 1024)

/* A listening hub. */
struct hub {
  SSL_CTX *context;
  int listener;
  int port;
};

/* One device's connection. */
struct line {
  SSL *tls;
  int descriptor;
  /* True once the device has subscribed and has got its twin: pushes may begin. */
  int is_ready;
  /* $version of the reported properties; grows by one with each report. */
  unsigned long reported;
  size_t held;
  size_t filled;
  unsigned char in[HUB_BUFFER_BYTES];
  unsigned char out[HUB_BUFFER_BYTES];
};

/* Listens on loopback, on any free port; 0, or -1 with a line on stderr. */
int hub_open(struct hub *hub, const char *certificate_file, const char *key_file);

/* Waits for one device and its TLS handshake; 0, or -1 when the handshake failed. */
int hub_accept(struct hub *hub, struct line *line);

/* Reads once and answers all that is whole; 0, or -1 when the connection is over. */
int line_step(struct line *line);

/* Sends one PUBLISH at QoS 0; 0, or -1 when the connection is over. */
int line_publish(struct line *line, const char *topic, const char *payload);

/* Closes the connection. */
void line_close(struct line *line);

#endif
