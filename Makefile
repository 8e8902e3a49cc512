# Thin front to cargo: a command or two behind each target.  BUILDING explains the variables.
#
# POSIX make (2024) is enough, so GNU and BSD make both do.

CARGO ?= cargo
CARGO_TARGET_DIR ?= target
DESTDIR ?=
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MAN1DIR ?= $(PREFIX)/share/man/man1
UNITDIR ?= $(PREFIX)/lib/systemd/system
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR ?= $(PREFIX)/share/zsh/site-functions
FISHCOMPDIR ?= $(PREFIX)/share/fish/vendor_completions.d

RELEASE = $(CARGO_TARGET_DIR)/release
PROGRAMS = $(RELEASE)/spiped $(RELEASE)/spipe $(RELEASE)/spiped-keygen
UNITS = dist/systemd/spiped@.service dist/systemd/spiped@.socket
COMPLETIONS = dist/completions
PAGES = man/spiped.1 man/spipe.1 man/spiped-keygen.1

.PHONY: all install uninstall check test coverage hostile soak demo bench timing asan fuzz-smoke \
    crates completions deb deb-test static static-test clean

all:
	$(CARGO) build --release --locked

# No prerequisites: cargo runs only when a program is missing, so that after `make` by one user,
# `make install` by root neither needs cargo nor leaves anything of root's below target/.
$(PROGRAMS):
	$(CARGO) build --release --locked

# Each program, page and unit is written beside its place and renamed over it, so whoever starts the program at that
# moment gets the old one or the new one, and a running daemon keeps the one it has.
install: $(PROGRAMS)
	@case "$(BINDIR)" in /*) ;; *) echo 'install: PREFIX (or BINDIR) has to begin with /:' \
	    'the units name the programs by it' >&2; exit 1;; esac
	install -d "$(DESTDIR)$(BINDIR)"
	set -e; for from in $(PROGRAMS); do to="$(DESTDIR)$(BINDIR)/$${from##*/}"; \
	    install -m 0755 "$$from" "$$to.new"; mv -f "$$to.new" "$$to"; done
	set -e; test -z "$(MAN1DIR)" || for from in $(PAGES); do \
	    to="$(DESTDIR)$(MAN1DIR)/$${from##*/}"; install -d "$(DESTDIR)$(MAN1DIR)"; \
	    install -m 0644 "$$from" "$$to.new"; mv -f "$$to.new" "$$to"; done
	set -e; test -z "$(UNITDIR)" || for from in $(UNITS); do \
	    to="$(DESTDIR)$(UNITDIR)/$${from##*/}"; install -d "$(DESTDIR)$(UNITDIR)"; \
	    sed 's|/usr/bin/|$(BINDIR)/|' "$$from" >"$$to.new"; chmod 0644 "$$to.new"; \
	    mv -f "$$to.new" "$$to"; done
	set -e; for pair in "bash:$(BASHCOMPDIR)" "zsh:$(ZSHCOMPDIR)" "fish:$(FISHCOMPDIR)"; do \
	    dir="$${pair#*:}"; test -z "$$dir" || for from in $(COMPLETIONS)/"$${pair%%:*}"/*; do \
	    install -d "$(DESTDIR)$$dir"; install -m 0644 "$$from" "$(DESTDIR)$$dir"; done; done

# With a PREFIX of one's own, directories below it that are empty then go, too.  In /usr and
# /usr/local they are the system's, and outside of PREFIX nothing says whose.
uninstall:
	set -e; for from in $(PROGRAMS); do rm -f "$(DESTDIR)$(BINDIR)/$${from##*/}"; done
	set -e; test -z "$(MAN1DIR)" || for from in $(PAGES); do \
	    rm -f "$(DESTDIR)$(MAN1DIR)/$${from##*/}"; done
	set -e; test -z "$(UNITDIR)" || for from in $(UNITS); do \
	    rm -f "$(DESTDIR)$(UNITDIR)/$${from##*/}"; done
	set -e; for pair in "bash:$(BASHCOMPDIR)" "zsh:$(ZSHCOMPDIR)" "fish:$(FISHCOMPDIR)"; do \
	    dir="$${pair#*:}"; test -z "$$dir" || for from in $(COMPLETIONS)/"$${pair%%:*}"/*; do \
	    rm -f "$(DESTDIR)$$dir/$${from##*/}"; done; done
	case "$$(printf '%s/' "$(PREFIX)" | tr -s /)" in /|/usr/|/usr/local/) ;; *) for dir in "$(BINDIR)" "$(MAN1DIR)" "$(UNITDIR)" \
	    "$(BASHCOMPDIR)" "$(ZSHCOMPDIR)" "$(FISHCOMPDIR)"; do case "$$dir" in "$(PREFIX)"/*) \
	    (cd "$(DESTDIR)$(PREFIX)" && rmdir -p "$${dir#"$(PREFIX)"/}") 2>/dev/null || true;; \
	    esac; done;; esac

check:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path tests/fuzz/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
	@code=0; LC_ALL=C.UTF-8 grep -rnE --include='*.rs' '^.{101,}' bench container lib src tests \
	    || code=$$?; test $$code -eq 1 || { echo 'check: cannot search, or (above) lines of more' \
	    'than 100 columns, which the formatter lets pass in comments' >&2; exit 1; }

# The C programs are the peers of the interoperability tests; the script says where they are, or
# says loudly that there are none.
test:
	sh tests/fetch-c-spiped.sh
	$(CARGO) test --workspace --locked

# Which lines the tests run, file by file; takes as long as `make test`, and builds a tool first.
coverage:
	tests/coverage

# Every trick of a hostile peer, on ours and on C spiped, and what came of it: into DESIGN.md.
hostile: all
	$(CARGO) run --release --locked --quiet --package spiped-hostile-tester -- table \
	    --into DESIGN.md ours=$(RELEASE)/spiped "C=$$(sh tests/fetch-c-spiped.sh)"

# Traffic of every kind, verified, while memory and descriptors must stay what they were: an hour,
# or SECONDS.  `make test` has some seconds of it.
soak:
	seconds="$(SECONDS)"; SOAK_SECONDS="$${seconds:-3600}" SOAK_CROWD=2000 \
	    $(CARGO) test --release --locked --test soak -- --nocapture

demo: all
	$(CARGO) run --release --locked --quiet --example demo

# Measures ours against what is there of others, on a machine that has nothing else to do.
# QUICK=1 only shows that it works.  ROWS, ROUNDS, SECONDS, PLOTS and PEERS: see BUILDING.
bench: all
	sh tests/fetch-c-spiped.sh >/dev/null
	if [ -n "$(PEERS)" ]; then \
	    $(CARGO) install --quiet --locked --root $(CARGO_TARGET_DIR)/peers monopiped || \
	    echo "*** monopiped could not be installed, so it is left out; does it miss libclang?"; fi
	$(CARGO) build --release --locked --quiet --package spiped-bench
	$(RELEASE)/spiped-bench $(QUICK:%=--quick) $(ROUNDS:%=--rounds=%) \
	    $(SECONDS:%=--seconds=%) $(PLOTS:%=--plots=%) -- $(ROWS)

# Writes dist/completions anew, after options have changed.
completions:
	SPIPED_WRITE_COMPLETIONS=1 $(CARGO) test --locked --test completions completions_are

# Statistics about secrets and time, to be looked at: nothing here passes or fails.
timing:
	$(CARGO) bench --locked -p spiped-proto --bench timing

# The unsafe code of the kernels under AddressSanitizer; needs a nightly toolchain. The sanitizer
# makes mlock(2) do nothing, so the test that memory is locked is left out.
asan:
	RUSTFLAGS=-Zsanitizer=address $(CARGO) +nightly test --locked --target x86_64-unknown-linux-gnu \
	    -p spiped-lanes -p spiped-group14 -p spiped-vault --lib -- \
	    --skip slots_before_and_after_are_locked

# Each fuzz target for a fixed number of runs; `tests/fuzz/run TARGET SECONDS` is for longer ones.
fuzz-smoke:
	tests/fuzz/run smoke

# The Debian package, below target/debian.  cargo-deb is built below target/tools if there is none.
DEB_PATH = PATH="$$(cd $(CARGO_TARGET_DIR) && pwd)/tools/bin:$$PATH"
DEB = $(DEB_PATH); $(CARGO) deb --no-build --locked
deb: all
	$(DEB_PATH); command -v cargo-deb >/dev/null || \
	    $(CARGO) install --quiet --locked --root $(CARGO_TARGET_DIR)/tools cargo-deb
	$(DEB) --output $(CARGO_TARGET_DIR)/debian/

# Installs, upgrades, removes and purges it, in a Debian below target/.  The package is made again
# because cargo-deb removes it when it makes a later one.
deb-test: deb
	$(DEB) --deb-revision 999 --output $(CARGO_TARGET_DIR)/debian-upgrade.deb
	$(DEB) --output $(CARGO_TARGET_DIR)/debian/
	tests/package/debian.sh $(CARGO_TARGET_DIR)/debian/*.deb $(CARGO_TARGET_DIR)/debian-upgrade.deb

# Programs that need no library, for x86-64 with glibc, below target/x86_64-unknown-linux-gnu.  The
# second flag: what looks for getrandom() as a dynamic linker does finds none in a static program.
STATIC_TARGET = x86_64-unknown-linux-gnu
static:
	RUSTFLAGS='-C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"' \
	    $(CARGO) build --release --locked --target $(STATIC_TARGET)

static-test: static
	tests/package/static.sh $(CARGO_TARGET_DIR)/$(STATIC_TARGET)/release

# That every crate can be published: each is built from its own package, with the others' packages.
# Those cargo unpacks where it keeps sources, in a nameless registry, and takes again the next time as
# long as the version is the same, whatever has changed.
crates:
	rm -rf "$${CARGO_HOME:-$$HOME/.cargo}"/registry/src/-*/spiped-*
	$(CARGO) package --workspace --locked --allow-dirty --quiet \
	    --exclude spiped-bench --exclude spiped-peer --exclude spiped-container \
	    --exclude spiped-hostile-tester

clean:
	$(CARGO) clean
