# azimuth: what can be made. `make help` lists the targets.
#
# Wants a Debian 12 with make, node and npm. The rest is installed at the first use
# and said: Debian packages (as root or through sudo), Bun at the version that
# package.json names, npm packages from bun.lock.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := check
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:

# What a user's environment could change about what is made or tested.
unexport NODE_ENV NODE_OPTIONS NODE_PATH NODE_TLS_REJECT_UNAUTHORIZED
unexport BUN_OPTIONS BUN_INSTALL BUN_INSPECT BUN_CONFIG_VERBOSE_FETCH BUN_JSC_useJIT
unexport BUN_GC_TIMER_DISABLE BUN_JSC_numberOfGCMarkers BUN_JSC_useFTLJIT UV_THREADPOOL_SIZE
unexport BASH_ENV ENV CDPATH

# --- Bootstrap ----------------------------------------------------------------

DEBIAN_PACKAGES := ca-certificates openssl procps
NATIVE_PACKAGES := gcc libc6-dev libtss2-dev
DEMO_PACKAGES := $(NATIVE_PACKAGES) swtpm
TEST_PACKAGES := $(DEMO_PACKAGES) tinyproxy
BENCH_PACKAGES := $(TEST_PACKAGES) libssl-dev libmosquitto-dev tpm2-tools
CONFORMANCE_PACKAGES := mosquitto-clients python3-paho-mqtt swtpm

BUN_VERSION := $(shell sed -n 's/^ *"bun": "\([^"]*\)".*/\1/p' package.json | head -n 1)
ARCH := $(patsubst x86_64,x64,$(shell uname -m))
PLATFORM := @oven/bun-linux-$(ARCH)/bin/bun
# The Bun that installs the packages, and the same one as bun.lock has it.
INSTALLER := .cache/bun/node_modules/$(PLATFORM)
BUN := node_modules/.bun
INSTALLED := node_modules/.installed

# $(call packages,NAMES): installs those Debian packages that are missing.
define packages
missing=""; \
command -v dpkg-query >/dev/null && for name in $(1); do \
  dpkg-query -W -f '$${db:Status-Abbrev}' $$name 2>/dev/null | grep -q '^ii' \
    || missing+=" $$name"; \
done; \
if [ -n "$$missing" ]; then \
  echo "installing Debian packages:$$missing"; \
  as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
  if [ -n "$$as_root" ] && ! command -v sudo >/dev/null; then \
    echo "neither root nor sudo here; as root: apt-get install$$missing" >&2; exit 1; \
  fi; \
  install() { \
    $$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 \
      install -y --no-install-recommends $$missing </dev/null >.cache/apt.log 2>&1; \
  }; \
  mkdir -p .cache; \
  install || { $$as_root apt-get -qq update && install; } || { cat .cache/apt.log >&2; exit 1; }; \
fi
endef

# $(call locked,FOLDER): installs the npm packages of that folder's lock file.
define locked
$(CURDIR)/$(INSTALLER) install --cwd=$(1) --frozen-lockfile --ignore-scripts --no-progress \
  >.cache/install.log 2>&1 || { cat .cache/install.log >&2; exit 1; }
endef

.PHONY: bootstrap
bootstrap: $(INSTALLED)
	@$(call packages,$(DEBIAN_PACKAGES))

$(INSTALLED): package.json bun.lock
	@case "$(ARCH)" in x64 | aarch64) ;; *) \
	  echo "there is no Bun for $(ARCH), only for x86_64 and aarch64" >&2; exit 1 ;; esac
	@mkdir -p .cache
	@if [ ! -x $(INSTALLER) ] || [ "$$($(INSTALLER) --version)" != $(BUN_VERSION) ]; then \
	  echo "installing Bun $(BUN_VERSION) from npm"; \
	  npm install --no-save --no-package-lock --ignore-scripts --no-audit --no-fund \
	    --loglevel=error --prefix .cache/bun bun@$(BUN_VERSION) >/dev/null; \
	fi
	@echo "installing npm packages from bun.lock"
	@$(call locked,.)
	@# Where an install script has run, the program is in the other place.
	@for place in $(PLATFORM) bun/bin/bun.exe; do \
	  [ ! -x node_modules/$$place ] || { ln -sfn $$place $(BUN); break; }; done
	@[ "$$($(BUN) --version)" = $(BUN_VERSION) ]
	@touch $@

# --- Check and test -------------------------------------------------------------

.PHONY: check
check: bootstrap ## types, lint, house rules and unit tests; what a commit must pass
	@$(call packages,$(TEST_PACKAGES))
	@$(BUN) test/run.ts --quick

.PHONY: test
test: bootstrap ## all of it: the above, simulation and fuzzing; ends with N passed, N failed
	@$(call packages,$(TEST_PACKAGES))
	@$(BUN) test/run.ts $(ONLY)

.PHONY: sim
sim: bootstrap ## the simulator alone; SEED=, HOURS= device-hours, DEVICES=; SCENE=; HERD=
ifneq ($(SCENE),)
	@$(BUN) test/sim/scene.ts $(SCENE) $(if $(SEED),--seed $(SEED)) $(if $(SIZE),--size $(SIZE))
else
	@$(BUN) test/sim/main.ts $(if $(SEED),--seed $(SEED)) $(if $(HOURS),--hours $(HOURS)) \
	  $(if $(DEVICES),--devices $(DEVICES)) $(if $(HERD),--herd $(HERD))
endif

.PHONY: fuzz
fuzz: bootstrap ## mutated packets, frames, TPM and DPS answers, store files; COUNT=, SEED=
	@$(BUN) test/fuzz/reader.ts $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))
	@$(BUN) test/fuzz/websocket.ts $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))
	@$(BUN) test/fuzz/tpm.ts $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))
	@$(BUN) test/fuzz/store.ts $(if $(SEED),--seed $(SEED))
	@$(BUN) test/fuzz/dps.ts $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))
	@$(call packages,$(TEST_PACKAGES))
	@$(BUN) test/fuzz/forgery.ts $(if $(SEED),--seed $(SEED))

.PHONY: native-check
native-check: bootstrap ## the C library under the address and undefined-behaviour sanitizers
	@$(call packages,$(TEST_PACKAGES))
	@$(BUN) test ./test/native/

.PHONY: conformance
conformance: bootstrap ## other people's clients against local Azure and the agent; TEXT= filters
	@$(call packages,$(CONFORMANCE_PACKAGES))
	@$(call locked,test/conformance)
	@$(BUN) node_modules/typescript/bin/tsc -p test/conformance
	@$(BUN) test/conformance/main.ts $(if $(TEXT),"$(TEXT)")

.PHONY: bench
bench: bootstrap ## measure against the peers, all in one run
	@$(call packages,$(BENCH_PACKAGES))
	@$(call locked,test/bench)
	@$(BUN) test/bench/main.ts $(ARGS)

.PHONY: cut
cut: bootstrap ## cuts the power at every write of a recorded run of the store; SEED=, TURNS= (400)
	@$(call packages,$(TEST_PACKAGES))
	@$(BUN) test/soak/cut.ts $(if $(SEED),--seed $(SEED)) $(if $(TURNS),--turns $(TURNS))

.PHONY: soak
soak: bootstrap ## the real agent for hours, with faults; SEED=, HOURS=; ARGS=provision|power|kill
	@$(call packages,$(BENCH_PACKAGES))
ifeq ($(firstword $(ARGS)),kill)
	@nice -n 10 $(BUN) test/soak/kill.ts $(if $(SEED),--seed $(SEED)) $(if $(KILLS),--kills $(KILLS))
else
	@$(BUN) test/soak/main.ts $(ARGS) $(if $(SEED),--seed $(SEED)) $(if $(HOURS),--hours $(HOURS))
endif

# --- Run ------------------------------------------------------------------------

# The story of the TPM wants a TPM and the library that speaks to it.
DEMO = $(if $(filter-out tpm,$(ENDPOINT)),,build/libazimuth.so)

.PHONY: demo
demo: bootstrap $(DEMO) ## the main job on local Azure, by a TPM that is blank; or ENDPOINT=sas
	@$(if $(DEMO),$(call packages,$(DEMO_PACKAGES)))
	@$(BUN) test/demo/main.ts $(ARGS)

.PHONY: emulator
emulator: bootstrap ## local Azure to test against; ARGS= as in `serve --help`
	@$(BUN) test/azure/main.ts serve $(ARGS)

# --- Build and install ------------------------------------------------------------

PREFIX ?= /usr
ETC := $(DESTDIR)/etc
LIB := $(DESTDIR)$(PREFIX)/lib
SETTINGS := $(DESTDIR)/etc/azimuth/azimuth.ini
SOURCES = $(shell find src -name '*.ts')

NATIVE = $(wildcard native/*.c native/*.h) native/build.sh

.PHONY: build
build: build/azimuth build/libazimuth.so ## executable and library; TARGET= for another machine

build/azimuth: $(INSTALLED) $(SOURCES) build/target
	@$(BUN) build --compile --bytecode --format=esm \
	  --no-compile-autoload-dotenv --no-compile-autoload-bunfig \
	  $(if $(TARGET),--target=$(TARGET)) src/main.ts --outfile $@ >build/build.log 2>&1 \
	  || { cat build/build.log >&2; exit 1; }
	@echo "built $@ ($$(du -h --apparent-size $@ | cut -f1))"

# For another machine CC names its compiler; without one the executable is all that is made.
build/libazimuth.so: $(NATIVE) build/target
	@if [ -n "$(TARGET)" ] && [ "$(origin CC)" = default ]; then \
	  rm -f $@; \
	  echo "not built: $@ for $(TARGET); set CC to a compiler for it, with libtss2"; \
	else \
	  $(call packages,$(NATIVE_PACKAGES)); \
	  CC="$(CC)" sh native/build.sh $@; \
	  echo "built $@ ($$(du -h --apparent-size $@ | cut -f1))"; \
	fi

# Changes when TARGET does, so that no executable of another machine is taken for ours.
build/target: FORCE
	@mkdir -p build
	@echo "$(TARGET)" | cmp -s - $@ || echo "$(TARGET)" >$@

.PHONY: FORCE
FORCE:

# Paths in the installed files follow PREFIX.
FOLLOW = sed 's|/usr/bin/azimuth|$(PREFIX)/bin/azimuth|g'

.PHONY: install
install: build ## executable, library, settings, init script, unit, rules; DESTDIR=, PREFIX=
	@install -D -m 0755 build/azimuth $(DESTDIR)$(PREFIX)/bin/azimuth
	@[ ! -e build/libazimuth.so ] \
	  || install -D -m 0755 build/libazimuth.so $(LIB)/azimuth/libazimuth.so
	@install -d -m 0755 $(ETC)/azimuth $(ETC)/init.d $(LIB)/systemd/system
	@[ -e $(SETTINGS) ] && echo "kept $(SETTINGS)" || install -m 0600 conf/azimuth.ini $(SETTINGS)
	@install -m 0644 conf/azimuth.env $(ETC)/azimuth/azimuth.env
	@install -D -m 0644 conf/azimuth.ini $(DESTDIR)$(PREFIX)/share/doc/azimuth/azimuth.ini
	@$(FOLLOW) conf/azimuth.init >$(ETC)/init.d/azimuth
	@chmod 0755 $(ETC)/init.d/azimuth
	@$(FOLLOW) conf/azimuth.service >$(LIB)/systemd/system/azimuth.service
	@chmod 0644 $(LIB)/systemd/system/azimuth.service
	@install -D -m 0644 conf/azimuth.sysusers $(LIB)/sysusers.d/azimuth.conf
	@install -D -m 0644 conf/90-azimuth.rules $(LIB)/udev/rules.d/90-azimuth.rules
	@echo "installed below $(DESTDIR)$(PREFIX) and $(ETC)"
	@# Into the running system: the account, and the udev rules for what is plugged in already.
	@if [ -z "$(DESTDIR)" ]; then \
	  if command -v systemd-sysusers >/dev/null; then \
	    systemd-sysusers $(LIB)/sysusers.d/azimuth.conf; \
	  else \
	    getent group tss >/dev/null || groupadd -r tss; \
	    id azimuth >/dev/null 2>&1 || useradd -r -U -M -s /sbin/nologin azimuth; \
	    usermod -a -G tss azimuth; \
	  fi; \
	  chown azimuth $(SETTINGS); \
	  if command -v udevadm >/dev/null; then udevadm control --reload \
	    && udevadm trigger --subsystem-match=leds --subsystem-match=gpio \
	      --subsystem-match=tpmrm --subsystem-match=misc --subsystem-match=watchdog \
	    || echo "udev does not run here: the rules apply from the next boot"; fi; \
	  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi; \
	fi

# --- Else -------------------------------------------------------------------------

.PHONY: clean
clean: ## remove everything that was made or installed here
	@rm -rf build .cache node_modules test/bench/node_modules test/conformance/node_modules

.PHONY: help
help: ## this list
	@echo "azimuth, make targets (plain make is make check):"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile \
	  | while IFS=$$'\t' read -r name text; do printf '  %-13s%s\n' "$$name" "$$text"; done
