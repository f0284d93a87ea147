/*
 * A watchdog driver that is not there: takes the place of ioctl(2) for test/port/watchdog.test.ts,
 * which sets what the driver can do.
 * Neighbours: loaded by src/port/watchdog.ts instead of libc, from which all other calls come.
 * Invariant: answers as the kernel's watchdog core does, Documentation/watchdog/watchdog-api.rst.
 */
#include <errno.h>
#include <linux/watchdog.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

/* Settable: the longest time in s, 0 for a driver whose time is fixed; options; boot status. */
static int driver_longest;
static int driver_options;
static int driver_boot;
/* 1: an old driver that knows no request at all. */
static int driver_is_mute;
static int timeout = 60;

void driver_set(int longest, int options, int boot, int is_mute)
{
  driver_longest = longest;
  driver_options = options;
  driver_boot = boot;
  driver_is_mute = is_mute;
  timeout = 60;
}

static int refuse(int error)
{
  errno = error;
  return -1;
}

static int set_timeout(int *seconds)
{
  if (driver_longest == 0) return refuse(EOPNOTSUPP);
  if (*seconds < 1) return refuse(EINVAL);
  timeout = *seconds < driver_longest ? *seconds : driver_longest;
  *seconds = timeout;
  return 0;
}

int ioctl(int descriptor, unsigned long request, ...)
{
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  if (descriptor < 0) return refuse(EBADF);
  if (driver_is_mute) return refuse(ENOTTY);
  switch (request) {
    case WDIOC_GETSUPPORT: {
      struct watchdog_info info;
      memset(&info, 0, sizeof info);
      info.options = (unsigned int)driver_options;
      memcpy(argument, &info, sizeof info);
      return 0;
    }
    case WDIOC_GETBOOTSTATUS:
      memcpy(argument, &driver_boot, sizeof driver_boot);
      return 0;
    case WDIOC_SETTIMEOUT:
      return set_timeout(argument);
    case WDIOC_GETTIMEOUT:
      memcpy(argument, &timeout, sizeof timeout);
      return 0;
    default:
      return refuse(ENOTTY);
  }
}
