# The verbs of the project; plain `make` lists them. Needs GNU make and a POSIX shell.

.ONESHELL:
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help

# Seed and scenario of `make sim`; `demo`, or one of `fluxtap-sim scenario --help`.
SEED ?= 1
SCENARIO ?= demo

# Size of the capture of `make soak` and `make live-loss`.
RESPONSES ?= 1000000
DOMAINS ?= 200000

# Captures of `make bench`, RESPONSES:DOMAINS each; the first is also read by the peers.
SIZES ?= 1000000:200000 5000000:200000 5000000:1150000

# Length of `make soak`.
MINUTES ?= 60

# Target and length of `make fuzz`; with SANITIZER=address it looks for faults of memory as well.
TARGET ?= whole
SECONDS ?= 600
SANITIZER ?= none

# Where `make install` puts things.
PREFIX ?= /usr/local
DESTDIR ?=

# How long `make fuzz-smoke` runs each target, in seconds.
SMOKE_SECONDS ?= 8

# With 1, nothing is installed on this machine: the commands that would do it are printed instead.
NO_INSTALL ?= 0

# cargo-fuzz asks for options of a nightly compiler, which the stable one takes as well if told to. The
# targets are linked faster than a release, and keep their debug assertions.
FUZZ := RUSTC_BOOTSTRAP=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 cargo fuzz
FUZZ_OPTIONS := --fuzz-dir crates/fuzz --features libfuzzer

# Real captures that cannot be shipped; tests that need them are skipped where the folder is missing.
export FLUXTAP_CORPUS := $(abspath $(or $(FLUXTAP_CORPUS),../shared/corpus))

.PHONY: help
help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: toolchain system-libraries ## build, replay the demonstration capture, show its alerts and a summary
	cargo run --release -p fluxtap -- replay --format text pcaps/demo/demo.pcap

.PHONY: build
build: toolchain system-libraries ## build the program: target/release/fluxtap
	cargo build --release -p fluxtap

.PHONY: optimised
optimised: toolchain system-libraries ## the same, compiled with a profile of its own work: a seventh less CPU (ten minutes)
	cargo build --release -p fluxtap -p fluxtap-sim
	NO_INSTALL='$(NO_INSTALL)' crates/fluxtap/optimised.sh "$${CARGO_TARGET_DIR:-target}"

.PHONY: test
test: toolchain system-libraries tshark rsyslog ## everything that guards the project
	@echo '== format'
	cargo fmt --all --check
	echo '== lints'
	cargo clippy --workspace --all-targets -- -D warnings
	echo '== documentation'
	# Crate heads may link to private modules: whoever reads them reads the sources.
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc --workspace --no-deps
	echo '== tests'
	log=$$(mktemp)
	trap 'rm -f "$$log" "$$log.failed"' EXIT
	# A pipe only tells the status of its last command, so a failure leaves a file behind.
	{ cargo test --workspace --no-fail-fast || : >"$$log.failed"; } | tee "$$log"
	if [ -d "$$FLUXTAP_CORPUS" ]; then
		echo "corpus tests ran on $$FLUXTAP_CORPUS"
	else
		echo "corpus tests were skipped: no folder $$FLUXTAP_CORPUS; set FLUXTAP_CORPUS to one"
	fi
	awk '/^test result:/ { passed += $$4; failed += $$6; ignored += $$8 }
		END { printf "%d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$$log"
	[ ! -e "$$log.failed" ]

.PHONY: live-test
live-test: toolchain system-libraries ## only the tests that capture, each file in a network namespace of its own; needs root
	cargo test -p fluxtap-capture -p fluxtap --test live

.PHONY: install
install: ## install what `make build` or `make optimised` built, service and configuration: make install PREFIX=/usr/local DESTDIR=
	@if [ ! -x "$${CARGO_TARGET_DIR:-target}/release/fluxtap" ]; then
		echo 'make: got no program, expected target/release/fluxtap; run make build first, as yourself' >&2
		exit 1
	fi
	target="$${CARGO_TARGET_DIR:-target}" prefix='$(DESTDIR)$(PREFIX)' etc='$(DESTDIR)/etc'
	install -D -m 0755 "$$target/release/fluxtap" "$$prefix/bin/fluxtap"
	install -d "$$prefix/share/man/man1" "$$prefix/share/bash-completion/completions" \
		"$$prefix/share/zsh/site-functions" "$$prefix/share/fish/vendor_completions.d" \
		"$$prefix/lib/systemd/system"
	"$$target/release/fluxtap" man >"$$prefix/share/man/man1/fluxtap.1"
	"$$target/release/fluxtap" completions bash >"$$prefix/share/bash-completion/completions/fluxtap"
	"$$target/release/fluxtap" completions zsh >"$$prefix/share/zsh/site-functions/_fluxtap"
	"$$target/release/fluxtap" completions fish >"$$prefix/share/fish/vendor_completions.d/fluxtap.fish"
	sed 's|/usr/bin/|$(PREFIX)/bin/|' sensor-config/systemd/fluxtap.service \
		>"$$prefix/lib/systemd/system/fluxtap.service"
	install -D -m 0644 sensor-config/sysusers/fluxtap.conf "$$prefix/lib/sysusers.d/fluxtap.conf"
	install -D -m 0644 sensor-config/tmpfiles/fluxtap.conf "$$prefix/lib/tmpfiles.d/fluxtap.conf"
	# What the operator has written stays.
	for file in fluxtap.toml allow.txt; do
		[ -e "$$etc/fluxtap/$$file" ] || install -D -m 0644 "sensor-config/$$file" "$$etc/fluxtap/$$file"
	done
	[ -e "$$etc/logrotate.d/fluxtap" ] || install -D -m 0644 sensor-config/logrotate/fluxtap "$$etc/logrotate.d/fluxtap"
	echo 'make: installed; name the interfaces in $(DESTDIR)/etc/fluxtap/fluxtap.toml, then as root:'
	echo '  systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload && systemctl enable --now fluxtap'

.PHONY: uninstall
uninstall: ## remove what `make install` put there; alerts, and configuration that was changed, stay
	@prefix='$(DESTDIR)$(PREFIX)'
	rm -f "$$prefix/bin/fluxtap" "$$prefix/share/man/man1/fluxtap.1" \
		"$$prefix/share/bash-completion/completions/fluxtap" \
		"$$prefix/share/zsh/site-functions/_fluxtap" \
		"$$prefix/share/fish/vendor_completions.d/fluxtap.fish" \
		"$$prefix/lib/systemd/system/fluxtap.service" \
		"$$prefix/lib/sysusers.d/fluxtap.conf" "$$prefix/lib/tmpfiles.d/fluxtap.conf"
	kept=
	for file in fluxtap/fluxtap.toml fluxtap/allow.txt logrotate.d/fluxtap; do
		shipped="sensor-config/$${file#fluxtap/}"
		if [ "$$file" = logrotate.d/fluxtap ]; then shipped=sensor-config/logrotate/fluxtap; fi
		file='$(DESTDIR)/etc'/"$$file"
		if cmp -s "$$shipped" "$$file"; then rm -f "$$file"; elif [ -e "$$file" ]; then kept="$$kept $$file"; fi
	done
	rmdir '$(DESTDIR)/etc/fluxtap' 2>/dev/null || :
	# The folders of a system are its own, those of a DESTDIR were made here.
	if [ -n '$(DESTDIR)' ]; then
		rmdir '$(DESTDIR)/etc/logrotate.d' '$(DESTDIR)/etc' 2>/dev/null || :
		for folder in share/man/man1 share/man share/bash-completion/completions share/bash-completion \
			share/zsh/site-functions share/zsh share/fish/vendor_completions.d share/fish share \
			lib/systemd/system lib/systemd lib/sysusers.d lib/tmpfiles.d lib bin; do
			rmdir "$$prefix/$$folder" 2>/dev/null || :
		done
		(cd '$(DESTDIR)' && rmdir -p '.$(PREFIX)') 2>/dev/null || :
	fi
	echo "make: removed; alerts stay in $(DESTDIR)/var/log/fluxtap$${kept:+, and what you changed in$$kept}"

.PHONY: deb
deb: optimised ## a Debian package in target/debian; installs cargo-deb (ten minutes)
	@command -v cargo-deb >/dev/null || cargo install --locked cargo-deb
	target="$${CARGO_TARGET_DIR:-target}"
	"$$target/release/fluxtap" man >"$$target/release/fluxtap.1"
	cargo deb -p fluxtap --no-build

.PHONY: fuzz-smoke
fuzz-smoke: fuzz-tools ## every fuzz target for some seconds; installs cargo-fuzz if it is missing
	@$(FUZZ) build $(FUZZ_OPTIONS) --sanitizer none
	grown="$${CARGO_TARGET_DIR:-target}/fuzz"
	for target in $$(cargo fuzz list --fuzz-dir crates/fuzz); do
		echo "== fuzz $$target, $(SMOKE_SECONDS) s"
		mkdir -p "$$grown/$$target"
		$(FUZZ) run $(FUZZ_OPTIONS) --sanitizer none "$$target" \
			"$$grown/$$target" "crates/fuzz/seeds/$$target" -- \
			-max_total_time=$(SMOKE_SECONDS) -timeout=120 -print_final_stats=1 >"$$grown/log" 2>&1 || {
			tail -n 60 "$$grown/log"
			echo "make: $$target found something: copy the test unit named above to" \
				"crates/fuzz/seeds/$$target, and cargo test -p fluxtap-fuzz shows it" >&2
			exit 1
		}
		sed -n 's/^stat::number_of_executed_units: */executions: /p' "$$grown/log"
	done

.PHONY: fuzz
fuzz: fuzz-tools ## one fuzz target for long: make fuzz TARGET=whole SECONDS=600 SANITIZER=address
	@grown="$${CARGO_TARGET_DIR:-target}/fuzz/$(TARGET)"
	mkdir -p "$$grown"
	$(FUZZ) run $(FUZZ_OPTIONS) --sanitizer '$(SANITIZER)' '$(TARGET)' "$$grown" 'crates/fuzz/seeds/$(TARGET)' -- \
		-max_total_time='$(SECONDS)' -timeout=300 -print_final_stats=1

.PHONY: fmt
fmt: toolchain ## format the code
	cargo fmt --all

.PHONY: deny
deny: toolchain ## check licences and sources of the dependencies; installs cargo-deny (some minutes)
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check licenses bans sources

.PHONY: bench
bench: bench-programs yardsticks ## measure speed and memory beside bare readers and peers, into docs/performance.md (a quarter of an hour)
	@WRITE=docs/performance.md crates/fluxtap-sim/bench.sh speed "$${CARGO_TARGET_DIR:-target}/release" \
		"$${CARGO_TARGET_DIR:-target}/bench" $(SIZES)

.PHONY: bench-attack
bench-attack: bench-programs ## measure what traffic made to be expensive costs, into docs/performance.md
	@WRITE=docs/performance.md crates/fluxtap-sim/bench.sh attack "$${CARGO_TARGET_DIR:-target}/release" \
		"$${CARGO_TARGET_DIR:-target}/bench"

.PHONY: bench-parts
bench-parts: toolchain system-libraries ## measure walker, layers, suffix split, windows and judgement each alone
	cargo bench -p fluxtap-sim --bench parts
	cargo bench -p fluxtap-intel --bench lookups

.PHONY: live-loss
live-loss: toolchain system-libraries ## packets lost at rising rates beside a bare reader; needs root and tcpreplay
	cargo build --release -p fluxtap -p fluxtap-sim
	cargo build --release -p fluxtap-capture --example bare
	$(traffic)
	crates/fluxtap/loss.sh "$$target/release" "$$capture"

.PHONY: soak
soak: toolchain system-libraries ## a sensor for an hour, its memory, losses and alerts each minute: MINUTES=60; needs root and tcpreplay
	cargo build --release -p fluxtap -p fluxtap-sim
	$(traffic)
	crates/fluxtap/soak.sh "$$target/release" "$$capture" pcaps/demo/demo.pcap '$(MINUTES)'

.PHONY: sim
sim: toolchain ## make a synthetic capture and its truth in target/sim: make sim SEED=7 SCENARIO=demo
	@mkdir -p target/sim
	what='scenario $(SCENARIO)'
	if [ '$(SCENARIO)' = demo ]; then what=demo; fi
	cargo run --release -p fluxtap-sim -- $$what --seed '$(SEED)' \
		--out 'target/sim/$(SCENARIO)-$(SEED).pcap' --truth 'target/sim/$(SCENARIO)-$(SEED).tsv'

.PHONY: quality
quality: toolchain ## measure detection anew and write docs/quality-grid.md, .json and pictures (a quarter of an hour)
	cargo run --release -p fluxtap-sim -- grid --md docs/quality-grid.md --json docs/quality-grid.json
	cargo run --release -p fluxtap-sim -- pictures --grid docs/quality-grid.json --out docs

.PHONY: quality-pictures
quality-pictures: toolchain ## draw the pictures of docs/quality-grid.json anew
	cargo run --release -p fluxtap-sim -- pictures --grid docs/quality-grid.json --out docs

.PHONY: calibration
calibration: toolchain ## measure anew what a score says and write docs/calibration.md, .json and .svg (a quarter of an hour)
	cargo run --release -p fluxtap-sim -- calibrate --out docs

.PHONY: calibration-page
calibration-page: toolchain ## tell the figures of docs/calibration.json anew, with the weights that are used
	cargo run --release -p fluxtap-sim -- calibrate --page --out docs

.PHONY: golden-update
golden-update: toolchain system-libraries ## take what the program prints now as what it should print
	FLUXTAP_UPDATE_GOLDEN=1 cargo test -p fluxtap --test golden --test config --test explain --test cap
	GOLDEN_UPDATE=1 cargo test -p fluxtap-config --test pages

.PHONY: intel-table
intel-table: toolchain ## fetch and pack the table of address owners anew (needs npm and the network)
	crates/fluxtap-tables/refresh.sh

.PHONY: clean
clean: ## remove everything that was built
	cargo clean

# What the verbs stand on, without a line in the list.

# Cargo, not older than Cargo.toml asks for.
.PHONY: toolchain
toolchain:
	@needed=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
	found=$$(cargo --version 2>/dev/null | cut -d ' ' -f 2)
	older=$$(printf '%s\n' "$$found" "$$needed" | sort -V | head -n 1)
	if [ -n "$$found" ] && [ "$$older" = "$$needed" ]; then exit 0; fi
	if [ -n "$$found" ] && command -v rustup >/dev/null; then
		echo "make: got cargo $$found, expected $$needed or newer; update it and run make again:"
		echo '  rustup update stable && rustup default stable'
	else
		echo "make: got $${found:+cargo }$${found:-no cargo}, expected cargo $$needed or newer; get Rust," \
			'open a new shell and run make again:'
		echo "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
	fi >&2
	exit 1

# The package manager, what it calls the things we need, and `install`, which takes their names. What
# `install` would do is printed instead where nothing may or can be installed.
define package_manager
	compiler=gcc compiler_cpp=g++ update= rsyslog='rsyslog rsyslog-gnutls'
	if command -v apt-get >/dev/null; then
		update='apt-get update' install='env DEBIAN_FRONTEND=noninteractive apt-get install -y'
		compiler='gcc libc6-dev' libpcap=libpcap-dev tshark=tshark
	elif command -v dnf >/dev/null; then
		install='dnf install -y' compiler_cpp=gcc-c++ libpcap=libpcap-devel tshark=wireshark-cli
	elif command -v apk >/dev/null; then
		install='apk add' compiler='gcc musl-dev' libpcap=libpcap-dev tshark=tshark
	elif command -v pacman >/dev/null; then
		install='pacman -Sy --needed --noconfirm' compiler_cpp=gcc libpcap=libpcap tshark=wireshark-cli
	elif command -v zypper >/dev/null; then
		rsyslog='rsyslog rsyslog-module-gtls'
		install='zypper --non-interactive install' compiler_cpp=gcc-c++ libpcap=libpcap-devel tshark=wireshark
	else
		install=
	fi
	sudo=
	if [ "$$(id -u)" -ne 0 ]; then sudo='sudo '; fi
	install_missing() {
		commands="$${update:+$$sudo$$update && }$$sudo$$install $$1"
		if [ '$(NO_INSTALL)' = 1 ]; then
			echo "make: missing: $$1; install with (NO_INSTALL=1, so this is left to you):" >&2
			echo "  $$commands" >&2
			return 1
		fi
		if [ -n "$$sudo" ] && ! command -v sudo >/dev/null; then
			echo "make: missing: $$1; got neither root nor sudo, so run as root and then make again:" >&2
			echo "  $${update:+$$update && }$$install $$1" >&2
			return 1
		fi
		echo "make: missing: $$1; installing with: $$commands"
		eval "$$commands"
	}
endef

# A C compiler that links with libpcap; whatever of the two is missing is installed.
.PHONY: system-libraries
system-libraries:
	@program=$$(mktemp)
	trap 'rm -f "$$program"' EXIT
	links() {
		printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' |
			cc -x c - -o "$$program" "$$@" 2>/dev/null
	}
	if links -lpcap; then exit 0; fi
	$(package_manager)
	if [ -z "$$install" ]; then
		echo 'make: got no C compiler that links with libpcap, and none of apt-get, dnf, apk, pacman and' \
			'zypper to install it with; install a C compiler and the development files of libpcap' >&2
		exit 1
	fi
	missing=$$libpcap
	links || missing="$$compiler $$libpcap"
	install_missing "$$missing"
	if ! links -lpcap; then
		echo "make: installed $$missing, but no program links with libpcap yet; see what this says:" >&2
		echo "  echo 'int main(void) { return 0; }' | cc -x c - -lpcap -o /tmp/a.out" >&2
		exit 1
	fi

# tshark, with which recorded counts are held against today's; tests do without it as well.
.PHONY: tshark
tshark:
	@if command -v tshark >/dev/null; then exit 0; fi
	$(package_manager)
	# Nobody is asked for a password for what can be missing.
	if [ -z "$$install" ] || { [ -n "$$sudo" ] && ! sudo -n true 2>/dev/null; } ||
		! install_missing "$$tshark"; then
		echo 'make: no tshark, so its recorded counts alone are compared with'
	fi

# rsyslog, which alerts are delivered to; its tests are skipped without, and say so.
.PHONY: rsyslog
rsyslog:
	@has_tls() { [ -n "$$(find /usr/lib /usr/lib64 /lib64 -name 'lmnsd_*' 2>/dev/null)" ]; }
	if command -v rsyslogd >/dev/null && has_tls; then exit 0; fi
	$(package_manager)
	# Nobody is asked for a password for what can be missing.
	if [ -z "$$install" ] || { [ -n "$$sudo" ] && ! sudo -n true 2>/dev/null; } ||
		! install_missing "$$rsyslog"; then
		echo 'make: no rsyslog with TLS, so the tests that deliver to it are skipped'
	fi

# The traffic that is sent to a sensor, made once: sets `target` and `capture`.
define traffic
	target="$${CARGO_TARGET_DIR:-target}"
	capture="$$target/bench/bench-$(RESPONSES)-$(DOMAINS).pcap"
	mkdir -p "$$target/bench"
	if [ ! -s "$$capture" ]; then
		"$$target/release/fluxtap-sim" bench --seed 1 --responses '$(RESPONSES)' --domains '$(DOMAINS)' \
			--out "$$capture.part"
		mv "$$capture.part" "$$capture"
	fi
endef

# What `make bench` runs.
.PHONY: bench-programs
bench-programs: optimised
	@cargo build --release -p fluxtap-capture --example floor

# What speed is held against, and what measures instructions and memory; each is left out of the
# tables where the package manager does not have it.
.PHONY: yardsticks
yardsticks: tshark
	@$(package_manager)
	for package in dnsjit dnscap valgrind time; do
		# `time` is a word of some shells, too.
		if [ -x "/usr/bin/$$package" ] || [ -x "/usr/local/bin/$$package" ]; then continue; fi
		if [ -z "$$install" ] || { [ -n "$$sudo" ] && ! sudo -n true 2>/dev/null; } ||
			! install_missing "$$package"; then
			echo "make: no $$package, so its figures are left out"
		fi
	done

# cargo-fuzz, and the C++ compiler that libFuzzer is built with.
.PHONY: fuzz-tools
fuzz-tools: toolchain system-libraries
	@program=$$(mktemp)
	trap 'rm -f "$$program"' EXIT
	links() { printf '#include <string>\nint main() { return 0; }\n' | c++ -x c++ - -o "$$program" 2>/dev/null; }
	if ! links; then
		$(package_manager)
		if [ -z "$$install" ]; then
			echo 'make: got no C++ compiler, which libFuzzer is built with; install one' >&2
			exit 1
		fi
		install_missing "$$compiler_cpp"
	fi
	command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz --version 0.13.2
