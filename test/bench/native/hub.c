/*
 * The hub of hub.h: listening, packets in, answers out.
 * Neighbours: hub.h has the contract; both servers of this folder are built on it.
 * Invariant: what a device sends beyond the few packets known here ends the connection.
 */
#include "hub.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char TWIN_GET[] = "$iothub/twin/GET/?$rid=";
static const char TWIN_REPORT[] = "$iothub/twin/PATCH/properties/reported/?$rid=";
static const char TWIN[] = "{\"desired\":{\"$version\":1},\"reported\":{\"$version\":1}}";

static int listen_on_loopback(struct hub *hub) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  hub->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (hub->listener < 0 || bind(hub->listener, (struct sockaddr *)&address, length) != 0 ||
      listen(hub->listener, 8) != 0 ||
      getsockname(hub->listener, (struct sockaddr *)&address, &length) != 0) {
    perror("hub: cannot listen");
    return -1;
  }
  hub->port = ntohs(address.sin_port);
  return 0;
}

int hub_open(struct hub *hub, const char *certificate_file, const char *key_file) {
  hub->context = SSL_CTX_new(TLS_server_method());
  if (hub->context == NULL || SSL_CTX_set_min_proto_version(hub->context, TLS1_2_VERSION) != 1 ||
      SSL_CTX_use_certificate_chain_file(hub->context, certificate_file) != 1 ||
      SSL_CTX_use_PrivateKey_file(hub->context, key_file, SSL_FILETYPE_PEM) != 1) {
    ERR_print_errors_fp(stderr);
    return -1;
  }
  SSL_CTX_set_read_ahead(hub->context, 1);
  return listen_on_loopback(hub);
}

int hub_accept(struct hub *hub, struct line *line) {
  int on = 1;
  int descriptor = accept(hub->listener, NULL, NULL);
  if (descriptor < 0) return -1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  line->descriptor = descriptor;
  line->is_ready = 0;
  line->reported = 1;
  line->held = 0;
  line->filled = 0;
  line->tls = SSL_new(hub->context);
  if (line->tls != NULL && SSL_set_fd(line->tls, descriptor) == 1 && SSL_accept(line->tls) == 1) {
    return 0;
  }
  line_close(line);
  return -1;
}

void line_close(struct line *line) {
  if (line->tls != NULL) SSL_free(line->tls);
  line->tls = NULL;
  close(line->descriptor);
}

static void answer(struct line *line, const void *bytes, size_t count) {
  memcpy(line->out + line->filled, bytes, count);
  line->filled += count;
}

static int flush(struct line *line) {
  if (line->filled == 0) return 0;
  int count = (int)line->filled;
  line->filled = 0;
  return SSL_write(line->tls, line->out, count) == count ? 0 : -1;
}

static int put_publish(struct line *line, const char *topic, const char *payload) {
  size_t topic_bytes = strlen(topic);
  size_t payload_bytes = strlen(payload);
  size_t remaining = 2 + topic_bytes + payload_bytes;
  unsigned char head[5] = {0x30};
  size_t at = 1;
  if (line->filled + remaining + sizeof head + 2 > sizeof line->out) return -1;
  for (size_t rest = remaining; at == 1 || rest > 0; rest >>= 7) {
    head[at++] = (unsigned char)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
  }
  unsigned char prefix[2] = {(unsigned char)(topic_bytes >> 8), (unsigned char)topic_bytes};
  answer(line, head, at);
  answer(line, prefix, sizeof prefix);
  answer(line, topic, topic_bytes);
  answer(line, payload, payload_bytes);
  return 0;
}

int line_publish(struct line *line, const char *topic, const char *payload) {
  return put_publish(line, topic, payload) == 0 ? flush(line) : -1;
}

/* Twin requests have an answer of their own; telemetry has none but its PUBACK. */
static int on_publish(struct line *line, const unsigned char *body, size_t remaining, int qos) {
  char topic[128];
  size_t length = ((size_t)body[0] << 8) | body[1];
  if (length + 2 + (qos ? 2 : 0) > remaining) return -1;
  if (qos) {
    unsigned char puback[4] = {0x40, 2, body[2 + length], body[3 + length]};
    answer(line, puback, sizeof puback);
  }
  if (length == 0 || body[2] != '$' || length >= sizeof topic) return 0;
  memcpy(topic, body + 2, length);
  topic[length] = 0;
  char reply[192];
  if (strncmp(topic, TWIN_GET, sizeof TWIN_GET - 1) == 0) {
    line->is_ready = 1;
    snprintf(reply, sizeof reply, "$iothub/twin/res/200/?$rid=%s", topic + sizeof TWIN_GET - 1);
    return put_publish(line, reply, TWIN);
  }
  if (strncmp(topic, TWIN_REPORT, sizeof TWIN_REPORT - 1) == 0) {
    snprintf(reply, sizeof reply, "$iothub/twin/res/204/?$rid=%s&$version=%lu",
             topic + sizeof TWIN_REPORT - 1, ++line->reported);
    return put_publish(line, reply, "");
  }
  return 0;
}

static int on_subscribe(struct line *line, const unsigned char *body, size_t remaining) {
  unsigned char suback[4 + 16] = {0x90, 2, body[0], body[1]};
  size_t count = 0;
  for (size_t at = 2; at + 2 < remaining; at += 3 + (((size_t)body[at] << 8) | body[at + 1])) {
    if (count == 16) return -1;
    suback[4 + count++] = 0;
  }
  suback[1] = (unsigned char)(2 + count);
  answer(line, suback, 4 + count);
  return 0;
}

static int on_packet(struct line *line, int first, const unsigned char *body, size_t remaining) {
  static const unsigned char connack[4] = {0x20, 2, 0, 0};
  static const unsigned char pingresp[2] = {0xd0, 0};
  switch (first >> 4) {
    case 1:
      answer(line, connack, sizeof connack);
      return 0;
    case 3:
      return remaining < 2 ? -1 : on_publish(line, body, remaining, (first >> 1) & 3);
    case 4:
      return 0;
    case 8:
      return remaining < 5 ? -1 : on_subscribe(line, body, remaining);
    case 12:
      answer(line, pingresp, sizeof pingresp);
      return 0;
    default:
      return -1;
  }
}

/* Bytes of the first packet in bytes[0..count) with *remaining of them in its body; 0: not yet. */
static size_t whole_packet(const unsigned char *bytes, size_t count, size_t *remaining) {
  size_t length = 0;
  for (size_t at = 1; at < count && at < 5; at++) {
    length |= (size_t)(bytes[at] & 0x7f) << (7 * (at - 1));
    if (bytes[at] & 0x80) continue;
    *remaining = length;
    return at + 1 + length <= count ? at + 1 + length : 0;
  }
  return 0;
}

int line_step(struct line *line) {
  int got = SSL_read(line->tls, line->in + line->held, (int)(sizeof line->in - line->held));
  if (got <= 0) return -1;
  line->held += (size_t)got;
  size_t from = 0;
  size_t remaining = 0;
  for (;;) {
    const unsigned char *packet = line->in + from;
    size_t count = whole_packet(packet, line->held - from, &remaining);
    if (count == 0) break;
    if (on_packet(line, packet[0], packet + count - remaining, remaining) != 0) return -1;
    from += count;
  }
  line->held -= from;
  memmove(line->in, line->in + from, line->held);
  return line->held == sizeof line->in ? -1 : flush(line);
}
