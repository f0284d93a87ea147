/*
 * A library to preload: writes down what a program does to the files of one folder, in order, so
 * that every disk that a power cut could leave can be made from it; makes syncs slow or fail, or
 * the disk full.
 * Neighbours: cut.ts builds it and names the settings; test/soak/disk.ts reads the record.
 * Invariant: a sync is in the record twice, when it began and when it came back.
 */
/*
 * The record, little endian: u8 operation, u64 inode, i64 offset, u32 bytes, u16 and u16 lengths
 * of two names, the names, the bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum operation { WRITE, SIZE, BEGIN, END, CREATE, RENAME, REMOVE, MARK };

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static int record = -1;
static const char *folder;
static const char *full;
static long delay_ms;
static long fail_at;
static long syncs;

/* dlsym gives an object pointer; ISO C knows no way to make a function of it but this. */
#define NEXT(name)                            \
  static __typeof__(&name) next;              \
  if (next == NULL) {                         \
    void *found = dlsym(RTLD_NEXT, #name);    \
    memcpy(&next, &found, sizeof next);       \
  }

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("AZIMUTH_CUT_RECORD");
  const char *delay = getenv("AZIMUTH_CUT_DELAY_MS");
  const char *fail = getenv("AZIMUTH_CUT_FAIL_AT");
  folder = getenv("AZIMUTH_CUT_FOLDER");
  full = getenv("AZIMUTH_CUT_FULL");
  delay_ms = delay == NULL ? 0 : strtol(delay, NULL, 10);
  fail_at = fail == NULL ? 0 : strtol(fail, NULL, 10);
  if (path != NULL && folder != NULL) {
    record = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  }
}

/* The name below the folder; "" for the folder itself, NULL for what is none of its files. */
static const char *name_of(const char *path) {
  if (folder == NULL) return NULL;
  const size_t length = strlen(folder);
  if (strncmp(path, folder, length) != 0) return NULL;
  if (path[length] == '\0') return "";
  if (path[length] != '/') return NULL;
  const char *name = &path[length + 1];
  const size_t end = strlen(name);
  /* The index of the journal is mapped, and means nothing after a cut. */
  if (end >= 4 && strcmp(&name[end - 4], "-shm") == 0) return NULL;
  return name;
}

static const char *name_of_file(int file, char *path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, path, size - 1);
  if (length < 0) return NULL;
  path[length] = '\0';
  return name_of(path);
}

static void put_all(const void *bytes, size_t count) {
  NEXT(write)
  const uint8_t *from = bytes;
  while (count > 0) {
    const ssize_t done = next(record, from, count);
    if (done <= 0) abort();
    from += done;
    count -= (size_t)done;
  }
}

static void put(enum operation operation, uint64_t inode, int64_t offset, const void *bytes,
                uint32_t count, const char *name, const char *other) {
  uint8_t head[25];
  const uint16_t lengths[2] = {(uint16_t)strlen(name), (uint16_t)strlen(other)};
  head[0] = (uint8_t)operation;
  memcpy(&head[1], &inode, 8);
  memcpy(&head[9], &offset, 8);
  memcpy(&head[17], &count, 4);
  memcpy(&head[21], lengths, 4);
  put_all(head, sizeof head);
  put_all(name, lengths[0]);
  put_all(other, lengths[1]);
  if (bytes != NULL) put_all(bytes, count);
}

static uint64_t inode_of(int file) {
  struct stat status;
  return fstat(file, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

/* The name of a file that is recorded, kept in `path`; else NULL. */
static const char *recorded(int file, char *path, size_t size) {
  if (record < 0 || file == record) return NULL;
  const int kept = errno;
  const char *name = name_of_file(file, path, size);
  errno = kept;
  return name;
}

/* For the program under test: what it promises from here on. */
__attribute__((visibility("default"))) void azimuth_cut_mark(uint32_t kind, double value) {
  if (record < 0) return;
  pthread_mutex_lock(&order);
  put(MARK, kind, (int64_t)value, NULL, 0, "", "");
  pthread_mutex_unlock(&order);
}

/* True while the disk is full for this file: while the file that says so is there. */
static bool is_full(int file) {
  char path[4096];
  if (full == NULL || access(full, F_OK) != 0) return false;
  return name_of_file(file, path, sizeof path) != NULL;
}

static ssize_t written(int file, const void *bytes, size_t count, off_t offset) {
  NEXT(pwrite)
  if (is_full(file)) {
    errno = ENOSPC;
    return -1;
  }
  char path[4096];
  const char *name = recorded(file, path, sizeof path);
  if (name == NULL) return next(file, bytes, count, offset);
  pthread_mutex_lock(&order);
  const ssize_t done = next(file, bytes, count, offset);
  if (done > 0) put(WRITE, inode_of(file), offset, bytes, (uint32_t)done, name, "");
  pthread_mutex_unlock(&order);
  return done;
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
  return written(file, bytes, count, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off_t offset) {
  return written(file, bytes, count, offset);
}

ssize_t write(int file, const void *bytes, size_t count) {
  NEXT(write)
  char path[4096];
  const char *name = recorded(file, path, sizeof path);
  if (name == NULL) return next(file, bytes, count);
  pthread_mutex_lock(&order);
  const off_t offset = lseek(file, 0, SEEK_CUR);
  const ssize_t done = next(file, bytes, count);
  if (done > 0) put(WRITE, inode_of(file), offset, bytes, (uint32_t)done, name, "");
  pthread_mutex_unlock(&order);
  return done;
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset) {
  if (count < 1) return 0;
  return written(file, parts[0].iov_base, parts[0].iov_len, offset);
}

static int cut_to(int file, off_t size) {
  NEXT(ftruncate)
  char path[4096];
  const char *name = recorded(file, path, sizeof path);
  if (name == NULL) return next(file, size);
  pthread_mutex_lock(&order);
  const int result = next(file, size);
  if (result == 0) put(SIZE, inode_of(file), size, NULL, 0, name, "");
  pthread_mutex_unlock(&order);
  return result;
}

int ftruncate(int file, off_t size) {
  return cut_to(file, size);
}

int ftruncate64(int file, off_t size) {
  return cut_to(file, size);
}

static void tell_sync(enum operation operation, int file, uint64_t inode) {
  pthread_mutex_lock(&order);
  char path[4096];
  const char *name = name_of_file(file, path, sizeof path);
  /* What is synced with the folder are its names. */
  put(operation, name != NULL && *name == '\0' ? 0 : inode, 0, NULL, 0, "", "");
  pthread_mutex_unlock(&order);
}

static int synced(int file, int (*next)(int)) {
  char path[4096];
  const char *name = name_of_file(file, path, sizeof path);
  if (name == NULL) return next(file);
  if (delay_ms > 0) {
    const struct timespec delay = {delay_ms / 1000, delay_ms % 1000 * 1000000};
    nanosleep(&delay, NULL);
  }
  if (__atomic_add_fetch(&syncs, 1, __ATOMIC_SEQ_CST) == fail_at) {
    errno = EIO;
    return -1;
  }
  if (record < 0) return next(file);
  const uint64_t inode = inode_of(file);
  tell_sync(BEGIN, file, inode);
  const int result = next(file);
  if (result == 0) tell_sync(END, file, inode);
  return result;
}

int fsync(int file) {
  NEXT(fsync)
  return synced(file, next);
}

int fdatasync(int file) {
  NEXT(fdatasync)
  return synced(file, next);
}

static int opened(int base, const char *path, int flags, mode_t mode) {
  NEXT(openat)
  const char *name = record < 0 ? NULL : name_of(path);
  if (name == NULL || (flags & O_CREAT) == 0) return next(base, path, flags, mode);
  pthread_mutex_lock(&order);
  struct stat status;
  const bool is_new = stat(path, &status) != 0;
  const int file = next(base, path, flags, mode);
  if (file >= 0 && is_new) put(CREATE, inode_of(file), 0, NULL, 0, name, "");
  pthread_mutex_unlock(&order);
  return file;
}

#define OPEN(name, parameters, base)                     \
  int name parameters {                                  \
    va_list rest;                                        \
    va_start(rest, flags);                               \
    const mode_t mode = (mode_t)va_arg(rest, unsigned);  \
    va_end(rest);                                        \
    return opened(base, path, flags, mode);              \
  }

OPEN(open, (const char *path, int flags, ...), AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD)
OPEN(openat, (int base, const char *path, int flags, ...), base)
OPEN(openat64, (int base, const char *path, int flags, ...), base)

int rename(const char *from, const char *to) {
  NEXT(rename)
  const char *name = record < 0 ? NULL : name_of(from);
  const char *other = record < 0 ? NULL : name_of(to);
  if (name == NULL || other == NULL) return next(from, to);
  pthread_mutex_lock(&order);
  const int result = next(from, to);
  if (result == 0) put(RENAME, 0, 0, NULL, 0, name, other);
  pthread_mutex_unlock(&order);
  return result;
}

static void removed(int result, const char *name) {
  if (result == 0) put(REMOVE, 0, 0, NULL, 0, name, "");
}

int unlink(const char *path) {
  NEXT(unlink)
  const char *name = record < 0 ? NULL : name_of(path);
  if (name == NULL) return next(path);
  pthread_mutex_lock(&order);
  const int result = next(path);
  removed(result, name);
  pthread_mutex_unlock(&order);
  return result;
}

int unlinkat(int base, const char *path, int flags) {
  NEXT(unlinkat)
  const char *name = record < 0 ? NULL : name_of(path);
  if (name == NULL) return next(base, path, flags);
  pthread_mutex_lock(&order);
  const int result = next(base, path, flags);
  removed(result, name);
  pthread_mutex_unlock(&order);
  return result;
}
