#!/bin/sh
# Builds libazimuth.so: sh native/build.sh [OUTPUT], CC and CFLAGS from the environment.
# Neighbours: the Makefile and the tests call it; azimuth.h says what the library offers.
# Invariant: warnings are errors; the output appears whole or not at all.
set -eu
here=$(dirname "$0")
output=${1:-$here/../build/libazimuth.so}
# A cross compiler comes with words of its own behind its name.
compiler=${CC:-cc}
case $($compiler -dumpmachine) in
  x86_64*) branches=-fcf-protection=full ;;
  aarch64*) branches=-mbranch-protection=standard ;;
  *) branches= ;;
esac
mkdir -p "$(dirname "$output")"
$compiler -std=c11 -O2 -g -fPIC -shared -fvisibility=hidden \
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Werror \
  -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection $branches \
  -Wl,-z,relro,-z,now,-z,noexecstack,-z,defs,--as-needed \
  ${CFLAGS:-} "$here"/tpm.c "$here"/handle.c "$here"/plain.c "$here"/key.c "$here"/credential.c \
  "$here"/context.c -ltss2-esys -ltss2-mu -ldl -o "$output.$$"
mv -f "$output.$$" "$output"
