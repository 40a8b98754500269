# Afar. `make help` lists the targets.

PREFIX   ?= /usr/local
DESTDIR  ?=
SAN      ?=
COVERAGE ?=
VALGRIND ?=
V        ?=
LINK     ?=
OPENSSL  ?=

VERSION  := 0.1.0
SOVERSION := 1
LAYERS   := base net wire files forward exec tls policy stats loop job keep server client copy

# Every variant builds in a folder of its own, so that none of them forces a rebuild of another.
comma    := ,
VARIANT  := $(if $(SAN),san-$(subst $(comma),-,$(SAN)),$(if $(COVERAGE),coverage,$(or $(LINK),$(if $(OPENSSL),openssl-$(OPENSSL),release))))
B        := build/$(VARIANT)

CC       ?= cc
OPTIMISE := $(if $(COVERAGE),-O0,-O2)
WARN     := -Wall -Wextra -Werror -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wformat=2 -Wvla
# Fault injection wraps libc calls at link time, and _FORTIFY_SOURCE would rename them (read becomes
# __read_chk); sanitizers do not go with it either. So the tests' variants are built without.
FORTIFY  := $(if $(SAN)$(COVERAGE),,-D_FORTIFY_SOURCE=2)
# What the processor's maker has against jumps to where nobody meant to go: each has another option.
MACHINE  := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
BRANCHES := $(if $(filter x86_64 i%86,$(MACHINE)),-fcf-protection,$(if \
            $(filter aarch64,$(MACHINE)),-mbranch-protection=standard))
HARDEN   := -fstack-protector-strong -fstack-clash-protection $(BRANCHES)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
COVFLAGS := $(if $(COVERAGE),--coverage -fprofile-update=atomic)

DEFS     := -D_GNU_SOURCE -DAFAR_VERSION='"$(VERSION)"' $(if $(LINK),-DAFAR_STATIC)
CPPFLAGS += -Iinclude -Isrc $(DEFS)
CFLAGS   ?= -g $(OPTIMISE)
BUILD_CFLAGS = -std=c11 -fPIC -pthread -fvisibility=hidden $(WARN) $(HARDEN) $(FORTIFY) \
               $(SANFLAGS) $(COVFLAGS) $(CFLAGS)
BUILD_LDFLAGS = -pthread -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed \
                $(SANFLAGS) $(COVFLAGS) $(LDFLAGS)

LIBS_CLIENT := -lssl -lcrypto -lcjson
# OPENSSL=static: of OpenSSL the archives, in afar and afard. They start a millisecond sooner, and have a
# fix of OpenSSL only once they are built anew.
LIBS_SSL    := $(if $(filter static,$(OPENSSL)),-l:libssl.a -l:libcrypto.a) -lssl -lcrypto
# Of inih the archive: the file of hosts is rare, and a shared library takes its time at each start.
LIBS_AFAR   := -l:libinih.a $(if $(LINK),-ledit -lbsd -lmd -ltinfo) # else loaded by 'repl' (lines.c)
LIBS_SERVER := $(LIBS_SSL) -lcjson -linih $(if $(LINK),-lmicrohttpd) # else loaded by --http (microhttpd.c)

# LINK=static: no shared library. The linker would warn of what base/names.c sees to.
PROGRAM_LDFLAGS = $(if $(LINK),-static-pie -s -L$(B)/lib -Wl$(comma)-z$(comma)pack-relative-relocs \
                  -Wl$(comma)--gc-sections -Wl$(comma)--no-warnings,-pie) $(BUILD_LDFLAGS)

# ---- sources ------------------------------------------------------------------------------------

layer_src = $(wildcard src/$(1)/*.c src/$(1)/*/*.c)
layer_obj = $(patsubst src/%.c,$(B)/obj/%.o,$(call layer_src,$(1)))
lib       = $(B)/lib/$(1).a

CLIENT_LAYERS := base net wire tls client
AFAR_OBJ  := $(call layer_obj,afar)
AFARD_OBJ := $(call layer_obj,afard)
ARCHIVES  := $(foreach l,$(LAYERS),$(call lib,$(l)))

AFAR   := $(B)/bin/afar
AFARD  := $(B)/bin/afard
# Helper and keeper without OpenSSL, whose loading is most of their start; afard finds it by this name
# (exec/own_program.c). Not where OpenSSL is inside afard: there it would make no difference.
CHILD  := $(if $(LINK)$(OPENSSL),,$(B)/libexec/afar/afard-child-$(VERSION))
STATIC := $(B)/lib/libafar.a
SHARED := $(B)/lib/libafar.so.$(VERSION)
PC     := $(B)/lib/libafar.pc

# make V=1 shows the whole commands.
Q   := $(if $(V),,@)
say  = $(if $(V),,@echo '  $(1)	$(patsubst $(B)/%,%,$@)')

.DEFAULT_GOAL := all
.PHONY: all
all: $(AFAR) $(AFARD) $(CHILD) $(STATIC) $(SHARED) $(PC)

# Without one, `make deps` is the first thing to do (which demo and test do by themselves).
COMPILER := $(if $(MACHINE),,no-compiler)
.PHONY: no-compiler
no-compiler:
	@echo "There is no C compiler '$(CC)': 'make deps' installs what is missing (on Debian)." >&2; exit 1

$(B)/obj/%.o: src/%.c Makefile | $(COMPILER)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(BUILD_CFLAGS) -MMD -MP -c $< -o $@

define archive_rule
$(call lib,$(1)): $(call layer_obj,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call say,AR)
	$$(Q)$(AR) rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call archive_rule,$(l))))

# The static library is one object whose private names are local, so that it cannot clash with its
# user's; the shared one exports what include/afar/ declares.
$(STATIC): $(foreach l,$(CLIENT_LAYERS),$(call layer_obj,$(l)))
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,LD)
	$(Q)$(LD) -r -o $(B)/obj/libafar.o $^
	$(Q)$(if $(COVERAGE)$(SAN),true,objcopy --localize-hidden $(B)/obj/libafar.o)
	$(call say,AR)
	$(Q)$(AR) rcs $@ $(B)/obj/libafar.o

$(SHARED): $(foreach l,$(CLIENT_LAYERS),$(call layer_obj,$(l)))
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) -shared -Wl,-soname,libafar.so.$(SOVERSION) $(if $(SAN),,-Wl,-z,defs) $^ \
	    $(BUILD_LDFLAGS) $(LIBS_CLIENT) -o $@
	$(Q)ln -sf $(@F) $(B)/lib/libafar.so.$(SOVERSION)
	$(Q)ln -sf libafar.so.$(SOVERSION) $(B)/lib/libafar.so

$(PC): src/client/libafar.pc.in Makefile
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' $< > $@

# What copies files, and what knows of terminals; the library's own names are local, so that these
# have base and wire once more.
AFAR_LIBS := $(foreach l,copy wire base,$(call lib,$(l)))
$(AFAR): $(AFAR_OBJ) $(STATIC) $(AFAR_LIBS)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(AFAR_OBJ) $(STATIC) $(AFAR_LIBS) $(PROGRAM_LDFLAGS) $(LIBS_SSL) -lcjson \
	    $(LIBS_AFAR) -o $@

# Nobody calls these: they act before main, so an archive would leave them out.
ALONE      := $(if $(LINK),$(B)/obj/base/names.o $(B)/obj/tls/static.o)
AFARD_LIBS := $(foreach l,$(filter-out client copy,$(LAYERS)),$(call lib,$(l)))
FACES      := $(B)/obj/child/faces.o
$(AFARD): $(AFARD_OBJ) $(FACES) $(AFARD_LIBS)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(AFARD_OBJ) $(FACES) $(ALONE) -Wl,--start-group $(AFARD_LIBS) -Wl,--end-group \
	    $(PROGRAM_LDFLAGS) $(LIBS_SERVER) -o $@

# Its own libcrypto.o comes first, so that none is taken from base.
CHILD_OBJ  := $(call layer_obj,child)
CHILD_LIBS := $(foreach l,base net wire files forward exec policy stats loop job keep,$(call lib,$(l)))
$(B)/libexec/afar/afard-child-$(VERSION): $(CHILD_OBJ) $(CHILD_LIBS)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CHILD_OBJ) -Wl,--start-group $(CHILD_LIBS) -Wl,--end-group $(BUILD_LDFLAGS) -lcjson -o $@

# ---- programs of one file each, without any shared library: `make static` ------------------------------

# Debian has no libcjson.a, and its libmicrohttpd.a wants GnuTLS, which has no TLS to do here: both are
# built from Debian's sources.
LIB_SOURCES := build/sources
ifneq ($(LINK),)
$(AFAR) $(AFARD): $(B)/lib/libcjson.a
$(AFARD): $(B)/lib/libmicrohttpd.a
endif

.PHONY: static static-programs test-static
static:
	@tests/deps compile
	@tests/deps static
	@tests/sources $(LIB_SOURCES) cjson libmicrohttpd
	@$(MAKE) --no-print-directory LINK=static static-programs

static-programs: $(AFAR) $(AFARD)
	@ls -l $^ | awk '{ printf "  %s: %d bytes, static\n", $$NF, $$5 }'

test-static: static
	tests/static build/static

$(B)/lib/libcjson.a:
	@mkdir -p $(@D) $(B)/obj
	$(call say,AR)
	$(Q)$(CC) -O2 -fPIC $(HARDEN) -c $(LIB_SOURCES)/cjson/cJSON.c -o $(B)/obj/cJSON.o
	$(Q)$(AR) rcs $@ $(B)/obj/cJSON.o

$(B)/lib/libmicrohttpd.a:
	@mkdir -p $(@D) $(B)/obj/libmicrohttpd
	$(call say,AR)
	$(Q)cd $(B)/obj/libmicrohttpd && $(abspath $(LIB_SOURCES))/libmicrohttpd/configure -q \
	    --disable-shared --disable-https --disable-bauth --disable-dauth --disable-postprocessor \
	    --disable-httpupgrade --disable-nls --disable-doc --disable-examples --disable-tools \
	    --disable-curl CFLAGS='-O2 -fPIC $(HARDEN)' >configure.log 2>&1 && \
	    $(MAKE) -s -C src/microhttpd >make.log 2>&1
	$(Q)cp $(B)/obj/libmicrohttpd/src/microhttpd/.libs/libmicrohttpd.a $@

# ---- containers: docker/ ---------------------------------------------------------------------------

.PHONY: test-containers deps-containers
deps-containers:
	@tests/deps containers

# Skips, and says why, where there can be none.
test-containers:
	tests/containers/run $(CASES)

# Other people's SFTP clients against a real afard; those that are not here are skipped.
.PHONY: test-files deps-files
deps-files:
	@tests/deps files

test-files: all
	tests/files/clients.py $(B) $(CASES)

# The same as a slice of which is in the ordinary tests, in full: a million files, 200 sessions, …; CASES as above.
.PHONY: soak-files
soak-files: all $(B)/tests/unit/files/test_fence
	@AFAR_BUILD=$(abspath $(B)) AFAR_FENCE_SECONDS=60 TIMEOUT=600 tests/run $(B)/tests/unit/files/test_fence
	tests/files/soak.py $(B) $(CASES)

# Real tools that start ssh, with `afar ssh` in its place. Those that are not installed are skipped.
.PHONY: test-engines deps-engines
deps-engines:
	@tests/deps engines

test-engines: all
	AFAR_BUILD=$(abspath $(B)) tests/engines/run $(CASES)

# ---- tests --------------------------------------------------------------------------------------

# A layer's unit tests link the archives that the layer may use and no others, so that a call against
# the grain does not link.
USES_base   := base
USES_net    := net base
USES_wire   := wire base
USES_files  := files wire base
USES_forward := forward net wire base
USES_exec   := exec base
USES_tls    := tls net base
USES_policy := policy tls exec wire net base
USES_stats  := stats wire base
USES_loop   := loop stats base
USES_job    := job loop stats policy exec wire base
USES_keep   := keep job loop stats policy exec wire net base
USES_server := server keep job loop stats policy tls exec wire net base
USES_client := client tls wire net base
USES_copy   := copy wire base

SUPPORT_SRC := $(filter-out tests/support/inject%,$(wildcard tests/support/*.c))
SUPPORT     := $(B)/lib/support.a
TEST_LIBS   := -lcmocka -lssl -lcrypto -lcjson -linih
TEST_CPPFLAGS = $(CPPFLAGS) -Itests

UNIT_SRC  := $(foreach l,$(LAYERS) afar,$(wildcard tests/unit/$(l)/test_*.c tests/unit/$(l)/*/test_*.c))
UNIT      := $(patsubst tests/%.c,$(B)/tests/%,$(UNIT_SRC))
INTEGRATION_SRC := $(wildcard tests/integration/test_*.c tests/fault/test_*.c)
INTEGRATION := $(patsubst tests/%.c,$(B)/tests/%,$(INTEGRATION_SRC))
EXAMPLE   := $(B)/tests/integration/example
# The same in C++, where there is a compiler for it.
EXAMPLE_CXX := $(if $(shell command -v $(CXX) 2>/dev/null),$(B)/tests/integration/example_cxx)

# A test that injects faults names the calls it wraps: // wrap: read write
wraps = $(addprefix -Wl$(comma)--wrap=,$(shell sed -n 's|^// wrap: *||p' $(1)))

$(B)/obj/tests/%.o: tests/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(TEST_CPPFLAGS) $(BUILD_CFLAGS) -MMD -MP -c $< -o $@

$(SUPPORT): $(patsubst tests/%.c,$(B)/obj/tests/%.o,$(SUPPORT_SRC))
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $^

define unit_rule
$(B)/tests/unit/$(1)/%: $(B)/obj/tests/unit/$(1)/%.o $(SUPPORT) $(foreach l,$(USES_$(1)),$(call lib,$(l)))
	@mkdir -p $$(@D)
	$$(call say,LINK)
	$$(Q)$(CC) $$< $$(call wraps,tests/unit/$(1)/$$*.c) -Wl,--start-group $(SUPPORT) \
	    $(foreach l,$(USES_$(1)),$(call lib,$(l))) -Wl,--end-group $(BUILD_LDFLAGS) $(TEST_LIBS) -o $$@
endef
$(foreach l,$(LAYERS),$(eval $(call unit_rule,$(l))))

# The client program is no archive: its units are tested without its main.
$(B)/tests/unit/afar/%: $(B)/obj/tests/unit/afar/%.o $(SUPPORT) $(filter-out %/main.o,$(AFAR_OBJ)) \
        $(STATIC) $(AFAR_LIBS)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(filter %.o,$^) $(call wraps,tests/unit/afar/$*.c) $(SUPPORT) $(STATIC) $(AFAR_LIBS) \
	    $(BUILD_LDFLAGS) $(TEST_LIBS) $(LIBS_AFAR) -o $@

# Integration tests see what users see: libafar, the programs and the wire.
# (What they borrow from base and wire for themselves is not exported by the library: hence these two.)
$(B)/tests/integration/test_%: $(B)/obj/tests/integration/test_%.o $(SUPPORT) $(STATIC) \
        $(call lib,wire) $(call lib,base)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $< $(SUPPORT) $(STATIC) $(call lib,wire) $(call lib,base) $(BUILD_LDFLAGS) \
	    $(TEST_LIBS) -o $@

# The fault tests run server and client in one process, where calls can be made to fail.
$(B)/tests/fault/test_%: $(B)/obj/tests/fault/test_%.o $(SUPPORT) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(filter %.o,$^) $(call wraps,$(patsubst $(B)/obj/%.o,%.c,$(filter %.o,$^))) \
	    -Wl,--start-group $(SUPPORT) $(ARCHIVES) -Wl,--end-group $(BUILD_LDFLAGS) $(TEST_LIBS) -o $@

# These wrap every call that can fail. Not in the archive: other tests wrap a few by themselves.
INJECT := $(patsubst tests/%.c,$(B)/obj/tests/%.o,$(wildcard tests/support/inject*.c))
$(B)/tests/fault/test_injection $(B)/tests/fault/test_faults $(B)/tests/fault/test_sweeping $(B)/tests/fault/test_receipts $(B)/tests/fault/test_recording_faults: $(INJECT)

# Runs that come back, in a simulated world: a program that runs many schedules, and a test of some.
SIMULATE_DIR := $(B)/tests/simulate
SIMULATE_OBJ := $(patsubst tests/%.c,$(B)/obj/tests/%.o,$(filter-out %/main.c %/test_simulate.c, \
                $(wildcard tests/simulate/*.c)))
$(SIMULATE_DIR)/simulate: $(B)/obj/tests/simulate/main.o
$(SIMULATE_DIR)/test_simulate: $(B)/obj/tests/simulate/test_simulate.o
$(SIMULATE_DIR)/simulate $(SIMULATE_DIR)/test_simulate: $(SIMULATE_OBJ) $(SUPPORT) $(call lib,wire) \
        $(call lib,base)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(filter %.o,$^) $(call wraps,tests/simulate/fault.c) -Wl,--start-group \
	    $(filter %.a,$^) -Wl,--end-group $(BUILD_LDFLAGS) $(TEST_LIBS) -o $@

# As a user would compile it: only the public headers and the library.
$(EXAMPLE): tests/integration/example.c $(SHARED)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) -std=c11 -Wall -Wextra -Werror $(SANFLAGS) -Iinclude $< -L$(B)/lib -lafar \
	    -Wl,-rpath,$(abspath $(B)/lib) -o $@

$(B)/tests/integration/example_cxx: tests/integration/example.cc $(wildcard include/afar/*.h) $(SHARED)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CXX) -std=c++11 -Wall -Wextra -Wpedantic -Werror $(SANFLAGS) -Iinclude $< -L$(B)/lib -lafar \
	    -Wl,-rpath,$(abspath $(B)/lib) -o $@

# A plain program that measures: not part of the tests.
SOAK_SRC := $(wildcard tests/bench/soak*.c)
SOAK_BIN := $(B)/tests/bench/soak
$(SOAK_BIN): $(patsubst tests/%.c,$(B)/obj/tests/%.o,$(SOAK_SRC)) $(SUPPORT) $(STATIC) \
        $(call lib,base)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $^ $(BUILD_LDFLAGS) $(TEST_LIBS) -o $@

# The longest one first, so that nobody waits for it alone at the end.
LONGEST := $(B)/tests/fault/test_injection
TESTS := $(LONGEST) $(filter-out $(LONGEST),$(UNIT) $(INTEGRATION)) $(SIMULATE_DIR)/test_simulate

.PHONY: tests test test-unit fault-all hunt coverage valgrind valgrind-short
tests: $(TESTS) $(EXAMPLE) $(EXAMPLE_CXX)

test: deps
	@$(MAKE) --no-print-directory check

.PHONY: check
check: all tests
	@AFAR_BUILD=$(abspath $(B)) SAN=$(SAN) tests/run $(TESTS)

test-unit: $(UNIT)
	@AFAR_BUILD=$(abspath $(B)) SAN=$(SAN) tests/run $(UNIT)

# Every site in every way, and each of OpenSSL's allocations: a quarter of an hour.
fault-all: all $(B)/tests/fault/test_injection
	@AFAR_BUILD=$(abspath $(B)) SAN=$(SAN) AFAR_FAULT_ALL=1 TIMEOUT=7200 tests/run \
	    $(B)/tests/fault/test_injection

# Long hunts: schedules of a cutting proxy, frames in any order, 1 GiB through every mix of slow ends.
HUNT := $(addprefix $(B)/tests/fault/test_,proxy frames duplex)
hunt: all $(HUNT)
	@AFAR_BUILD=$(abspath $(B)) SAN=$(SAN) AFAR_SEEDS=20000 AFAR_DUPLEX_BYTES=1073741824 TIMEOUT=7200 \
	    tests/run $(HUNT)

# A million schedules, and each planted fault until one finds it.
.PHONY: simulate simulate-short
simulate: $(SIMULATE_DIR)/simulate
	@$< --schedules 1000000
	@$< --schedules 200000 --faults

simulate-short: $(SIMULATE_DIR)/simulate
	@$< --schedules 20000
	@$< --schedules 20000 --faults

valgrind: all $(UNIT)
	@AFAR_BUILD=$(abspath $(B)) VALGRIND=1 tests/run $(UNIT)

# Without those of tls, which take most of the time, and most of that in OpenSSL.
VALGRIND_SHORT := $(filter-out $(B)/tests/unit/tls/%,$(UNIT))
valgrind-short: all $(VALGRIND_SHORT)
	@AFAR_BUILD=$(abspath $(B)) VALGRIND=1 tests/run $(VALGRIND_SHORT)

coverage:
	@find build/coverage -name '*.gcda' -delete 2>/dev/null || true
	TIMEOUT=1200 $(MAKE) COVERAGE=1 check
	gcovr --root . --filter 'src/' --exclude-unreachable-branches \
	    --html-details build/coverage/report.html --print-summary build/coverage

# ---- load: `make soak SOAK='idle sleeps cycles handshakes slow'` ---------------------------------------

.PHONY: soak soak-short
soak: all $(SOAK_BIN)
	@AFAR_BUILD=$(abspath $(B)) timeout 900 $(SOAK_BIN) $(SOAK)

soak-short: all $(SOAK_BIN)
	@AFAR_BUILD=$(abspath $(B)) timeout 300 $(SOAK_BIN) --short $(SOAK)

# Two of them, over tcp and tls: 1 GiB each way with 1,000 lost connections.
.PHONY: soak-resume
soak-resume: all $(B)/tests/integration/test_resume
	@AFAR_BUILD=$(abspath $(B)) AFAR_RESUME_BYTES=1073741824 AFAR_RESUME_CUTS=1000 TIMEOUT=7200 \
	    tests/run $(B)/tests/integration/test_resume

# 20 kept commands, under a server that is killed 50 times.
.PHONY: soak-kept
soak-kept: all $(B)/tests/integration/test_kept
	@AFAR_BUILD=$(abspath $(B)) AFAR_KEPT_JOBS=20 AFAR_KEPT_KILLS=50 TIMEOUT=900 \
	    tests/run $(B)/tests/integration/test_kept

# 1,000 commands on terminals over tcp and tls, none of which may lose a byte, one that is stopped for
# 200 s, and 100 lost connections of each of vim, top and a million lines.
.PHONY: soak-terminal
SOAK_TERMINAL := $(addprefix $(B)/tests/integration/test_terminal_,bytes lost cut)
soak-terminal: all $(SOAK_TERMINAL)
	@AFAR_BUILD=$(abspath $(B)) AFAR_TERMINAL_RUNS=1000 AFAR_PAUSE_S=200 AFAR_TERMINAL_CUTS=100 \
	    AFAR_TERMINAL_LINES=1000000 TIMEOUT=900 \
	    tests/run $(SOAK_TERMINAL)

# Keepers of another commit's programs (OLD=…), with a server of these.
.PHONY: test-upgrade
OLD ?= HEAD~1
OLD_BUILD := $(abspath build/old)
test-upgrade: all $(B)/tests/integration/test_kept_upgrade
	rm -rf $(OLD_BUILD) && mkdir -p $(OLD_BUILD)
	git archive $(OLD) | tar -x -C $(OLD_BUILD)
	$(MAKE) -C $(OLD_BUILD) all
	@AFAR_BUILD=$(abspath $(B)) AFAR_OLD_BUILD=$(OLD_BUILD)/build/release \
	    tests/run $(B)/tests/integration/test_kept_upgrade

# ---- speed: `make bench`, or some of it: `make bench BENCH='warm kept.tree'`, BENCH='--quick …', BENCH=--list --

BENCH_CLOCK := $(B)/tests/bench/clock
BENCH_HELLO := $(B)/tests/bench/hello

$(BENCH_CLOCK): $(patsubst tests/%.c,$(B)/obj/tests/%.o,$(wildcard tests/bench/clock*.c) \
        tests/support/far.c) $(STATIC) $(call lib,base)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $^ $(BUILD_LDFLAGS) $(LIBS_CLIENT) -o $@

$(BENCH_HELLO): $(B)/obj/tests/bench/hello.o
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $^ -static-pie -pthread -lssl -lcrypto -Wl,--no-warnings -o $@

.PHONY: bench deps-bench
bench: all $(BENCH_CLOCK) $(BENCH_HELLO)
	@python3 tests/bench/bench.py $(abspath $(B)) $(BENCH)

deps-bench:
	@tests/deps bench

# By counts that do not depend on the clock, compared with tests/bench/counts.txt: `COUNTS=--write` makes that.
BENCH_FORK := $(B)/tests/bench/fork_for_valgrind.so
$(BENCH_FORK): tests/bench/fork_for_valgrind.c
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CPPFLAGS) $(BUILD_CFLAGS) -shared $< -o $@

.PHONY: bench-counts
bench-counts: all $(BENCH_CLOCK) $(BENCH_FORK)
	@tests/deps counts
	@python3 tests/bench/counts.py $(abspath $(B)) $(COUNTS)

# ---- fuzzing: `make fuzz FUZZ_SECONDS=600` -----------------------------------------------------------

FUZZ_SECONDS ?= 60
FUZZ_TARGETS := frame message modes client tutorial endpoint config rules sftp copy
FUZZ_SRC     := $(wildcard src/base/*.c src/net/*.c src/tls/*.c src/wire/*.c src/policy/*.c src/client/*.c \
                src/files/*.c src/copy/*.c) tests/support/script.c $(FUZZ_TARGETS:%=tests/support/fuzz_%.c)
FUZZ_OBJ     := $(FUZZ_SRC:%.c=build/fuzz/obj/%.o)
FUZZ_FLAGS   := -std=c11 -g -O1 -pthread -fno-omit-frame-pointer -fsanitize=address,undefined \
                -fno-sanitize-recover=all
FUZZ_LIBS    := -lssl -lcrypto -lcjson -linih -lcmocka

build/fuzz/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CLANG)
	$(Q)clang $(TEST_CPPFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

build/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_OBJ)
	$(call say,FUZZ)
	$(Q)clang $(TEST_CPPFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer $^ $(FUZZ_LIBS) -o $@

build/fuzz/replay_%: tests/fuzz/replay.c tests/support/corpus.c tests/fuzz/fuzz_%.c $(FUZZ_SRC)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(TEST_CPPFLAGS) -std=c11 -g -pthread $^ $(FUZZ_LIBS) -o $@

.PHONY: fuzz
fuzz:
	@tests/deps fuzz
	$(MAKE) $(FUZZ_TARGETS:%=build/fuzz/fuzz_%)
	tests/fuzz/run $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# ---- set-up, demonstration, installation ------------------------------------------------------------

.PHONY: deps deps-check demo certs lint format install install-units uninstall clean help
deps:
	@tests/deps build

deps-check:
	@tests/deps check

demo: deps
	@$(MAKE) --no-print-directory all
	@AFAR_BUILD=$(abspath $(B)) tests/demo

certs:
	certs/make-certs build/certs

lint:
	@tests/deps lint
	CC=$(CC) tests/lint $(CPPFLAGS)

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

install: all install-units
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/lib/pkgconfig \
	    $(DESTDIR)$(PREFIX)/include/afar $(DESTDIR)$(PREFIX)/share/man/man1 \
	    $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man8 \
	    $(DESTDIR)$(PREFIX)/share/doc/afar
	install -m 755 $(AFAR) $(DESTDIR)$(PREFIX)/bin/afar
	ln -sf afar $(DESTDIR)$(PREFIX)/bin/afar-ssh
	install -m 755 $(AFARD) $(DESTDIR)$(PREFIX)/sbin/afard
	rm -f $(DESTDIR)$(PREFIX)/libexec/afar/afard-child-*
	$(if $(CHILD),install -D -m 755 $(CHILD) $(DESTDIR)$(PREFIX)/libexec/afar/$(notdir $(CHILD)))
	install -m 644 $(STATIC) $(DESTDIR)$(PREFIX)/lib/libafar.a
	install -m 755 $(SHARED) $(DESTDIR)$(PREFIX)/lib/
	ln -sf $(notdir $(SHARED)) $(DESTDIR)$(PREFIX)/lib/libafar.so.$(SOVERSION)
	ln -sf libafar.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/libafar.so
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' src/client/libafar.pc.in \
	    > $(DESTDIR)$(PREFIX)/lib/pkgconfig/libafar.pc
	install -m 644 include/afar/*.h $(DESTDIR)$(PREFIX)/include/afar/
	install -m 755 certs/make-certs $(DESTDIR)$(PREFIX)/bin/make-certs
	install -m 644 certs/README.md $(DESTDIR)$(PREFIX)/share/doc/afar/certs.md
	install -m 644 src/afar/afar.1 src/afar/afar-ssh.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 src/afard/afard.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	install -m 644 src/afard/afard.8 $(DESTDIR)$(PREFIX)/share/man/man8/

# For systemd; harmless elsewhere.
UNITS := $(DESTDIR)$(PREFIX)/lib/systemd/system
install-units:
	install -d $(UNITS) $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(PREFIX)/share/afar
	sed -e 's|@PREFIX@|$(PREFIX)|' src/afard/afard.service.in > $(UNITS)/afard.service
	sed -e 's|@PREFIX@|$(PREFIX)|' src/afard/afard.socket.in > $(UNITS)/afard.socket
	install -d $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
	install -m 644 src/afard/afard.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/afard.conf
	install -m 644 src/afard/service.conf $(DESTDIR)$(PREFIX)/share/afar/service.conf
	sed -e 's|@PREFIX@|$(PREFIX)|' src/afard/afard-users.conf.in \
	    > $(DESTDIR)$(PREFIX)/share/afar/afard-users.conf
	sed -e 's|@PREFIX@|$(PREFIX)|' src/afard/afard-keep.conf.in \
	    > $(DESTDIR)$(PREFIX)/share/afar/afard-keep.conf
	install -m 644 src/afard/afard.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/afard.conf
	chmod 644 $(UNITS)/afard.service $(UNITS)/afard.socket \
	    $(DESTDIR)$(PREFIX)/share/afar/afard-users.conf $(DESTDIR)$(PREFIX)/share/afar/afard-keep.conf

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/afar $(DESTDIR)$(PREFIX)/bin/afar-ssh $(DESTDIR)$(PREFIX)/bin/make-certs $(DESTDIR)$(PREFIX)/sbin/afard \
	    $(DESTDIR)$(PREFIX)/libexec/afar/afard-child-* \
	    $(DESTDIR)$(PREFIX)/lib/libafar.* $(DESTDIR)$(PREFIX)/lib/pkgconfig/libafar.pc \
	    $(DESTDIR)$(PREFIX)/share/man/man1/afar.1 \
	    $(DESTDIR)$(PREFIX)/share/man/man1/afar-ssh.1 $(DESTDIR)$(PREFIX)/share/man/man5/afard.conf.5 \
	    $(DESTDIR)$(PREFIX)/share/man/man8/afard.8 \
	    $(UNITS)/afard.service $(UNITS)/afard.socket $(DESTDIR)$(PREFIX)/lib/sysusers.d/afard.conf \
	    $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/afard.conf
	rm -rf $(DESTDIR)$(PREFIX)/include/afar $(DESTDIR)$(PREFIX)/share/afar $(DESTDIR)$(PREFIX)/share/doc/afar

clean:
	rm -rf build

help:
	@echo 'make               build afar, afard and libafar in build/release'
	@echo '                   OPENSSL=static: with OpenSSL inside, in build/openssl-static'
	@echo 'make demo          install what is missing, build, and run a command over mutual TLS'
	@echo 'make test          install what is missing, build, and run all tests'
	@echo '                   SAN=address,undefined or SAN=thread: with sanitizers'
	@echo 'make check         the same without looking for missing packages'
	@echo 'make static        afar and afard of one file each, without shared libraries, in build/static'
	@echo 'make test-static   run them in a root that has nothing else'
	@echo 'make test-containers  build the images of docker/ and run them by podman; make deps-containers'
	@echo '                   installs that'
	@echo 'make test-files    sftp, scp, lftp, sshfs, restic, pkg/sftp and others against afard; make deps-files installs them'
	@echo 'make test-engines  rsync, git, ansible, clush and others over afar ssh, and over a throw-away sshd;'
	@echo '                   make deps-engines installs them'
	@echo 'make fault-all     fail every call and allocation of the server, each in a run of its own'
	@echo 'make hunt          the seeded tests with far more seeds, and 1 GiB through slow ends'
	@echo 'make simulate      a million schedules of lost connections, crashes and more against the core of runs'
	@echo '                   that come back, and each planted fault; make simulate-short: 20,000'
	@echo 'make lint          clang-format, clang-tidy, cppcheck, gcc -fanalyzer, layers, man pages'
	@echo 'make coverage      line coverage of the tests, report in build/coverage/report.html'
	@echo 'make valgrind      the unit tests under valgrind'
	@echo 'make soak          figures under load, each with its bound; SOAK=idle for one of idle, sleeps,'
	@echo '                   cycles, handshakes, slow; make soak-short: smaller counts, in a minute'
	@echo 'make test-upgrade  keepers of OLD (HEAD~1) with a server of this commit'
	@echo 'make soak-kept     20 kept commands under a server that is killed 50 times'
	@echo 'make soak-files    files: large ones, a million, far away, killed at a hundred points, fenced; with bounds'
	@echo 'make soak-resume   1 GiB each way with 1,000 lost connections, over tcp and tls'
	@echo 'make soak-terminal 1,000 commands on terminals over tcp and tls; one that is stopped for 200 s; vim, top'
	@echo '                   and a million lines with 100 lost connections each'
	@echo 'make bench         Afar beside ssh and others, and the limit, with ratios: build/bench.json, bench.svg;'
	@echo '                   BENCH="--quick warm kept.tree" for some of what BENCH=--list names;'
	@echo '                   make deps-bench installs the others'
	@echo 'make bench-counts  instructions and system calls of one command, compared with tests/bench/counts.txt'
	@echo 'make fuzz          libFuzzer on all that is parsed (clang), FUZZ_SECONDS=60 for each target'
	@echo 'make certs         throw-away CA, server and client certificates in build/certs'
	@echo 'make install       PREFIX=/usr/local DESTDIR='
	@echo 'make deps          install the Debian packages that the build and the tests need'
	@echo 'make deps-check    install the tools that optional tests talk to'

.SECONDARY:
# (Both named whether they are there or not: without a folder find would look everywhere.)
-include $(shell find $(B)/obj build/fuzz/obj -name '*.d' -type f 2>/dev/null)
