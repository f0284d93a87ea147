/*
 * lamp HOST PORT CA LAMP: the least that can follow desired LED1: a blocking TLS client that
 * looks for the value in what it receives and writes the pin. The floor of led.ts.
 * Neighbours: probe.c pushes and watches. Invariant: certificate and host name are checked, as
 * by the agent; no parsing, no state, no answer; ends with the connection.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const unsigned char HELLO[] = {
    /* CONNECT, clean session, keep-alive 240 s, client "lamp" */
    0x10, 16, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 240, 0, 4, 'l', 'a', 'm', 'p',
    /* SUBSCRIBE 1 to "#" at QoS 0 */
    0x82, 6, 0, 1, 0, 1, '#', 0};
static const char TWIN_GET[] = "$iothub/twin/GET/?$rid=1";

static int dial(const char *host, const char *port) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  int on = 1;
  if (getaddrinfo(host, port, &hints, &found) != 0) return -1;
  for (struct addrinfo *each = found; each != NULL; each = each->ai_next) {
    int descriptor = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) continue;
    if (connect(descriptor, each->ai_addr, each->ai_addrlen) == 0) {
      setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      freeaddrinfo(found);
      return descriptor;
    }
    close(descriptor);
  }
  freeaddrinfo(found);
  return -1;
}

static SSL *secure(int descriptor, const char *host, const char *authority_file) {
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
      SSL_CTX_load_verify_locations(context, authority_file, NULL) != 1) {
    return NULL;
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL *tls = SSL_new(context);
  if (tls == NULL || SSL_set1_host(tls, host) != 1 || SSL_set_tlsext_host_name(tls, host) != 1 ||
      SSL_set_fd(tls, descriptor) != 1 || SSL_connect(tls) != 1) {
    return NULL;
  }
  return tls;
}

static int greet(SSL *tls) {
  size_t topic_bytes = sizeof TWIN_GET - 1;
  unsigned char bytes[sizeof HELLO + 4 + sizeof TWIN_GET];
  memcpy(bytes, HELLO, sizeof HELLO);
  unsigned char *request = bytes + sizeof HELLO;
  request[0] = 0x30;
  request[1] = (unsigned char)(2 + topic_bytes);
  request[2] = 0;
  request[3] = (unsigned char)topic_bytes;
  memcpy(request + 4, TWIN_GET, topic_bytes);
  int count = (int)(sizeof HELLO + 4 + topic_bytes);
  return SSL_write(tls, bytes, count) == count ? 0 : -1;
}

int main(int count, char **words) {
  if (count != 5) {
    fprintf(stderr, "usage: lamp HOST PORT CA LAMP\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  signal(SIGPIPE, SIG_IGN);
  int pin = open(words[4], O_WRONLY | O_CLOEXEC);
  int descriptor = dial(words[1], words[2]);
  SSL *tls = descriptor < 0 ? NULL : secure(descriptor, words[1], words[3]);
  if (pin < 0 || tls == NULL || greet(tls) != 0) {
    fprintf(stderr, "lamp: no connection to %s:%s, or no file %s\n", words[1], words[2], words[4]);
    ERR_print_errors_fp(stderr);
    return 1;
  }
  char bytes[16384];
  for (int got; (got = SSL_read(tls, bytes, sizeof bytes)) > 0;) {
    const char *key = memmem(bytes, (size_t)got, "\"LED1\":", 7);
    if (key == NULL || key + 7 >= bytes + got) continue;
    if (pwrite(pin, key[7] == 't' ? "1\n" : "0\n", 2, 0) != 2) return 1;
  }
  return 0;
}
