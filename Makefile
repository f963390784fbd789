# Lares. A person needs two targets: `make run` and `make check`. All of them work in a fresh clone and fetch what they
# need: npm packages always, Debian packages only for tests and only as root (else they are named).
PREFIX = /usr
DESTDIR =
export PREFIX DESTDIR
runtime = $(firstword $(wildcard node_modules/node-linux-*/bin/node))
installed = node_modules/.package-lock.json
addon = node_modules/sd-notify/build/Release/notify.node
sources = $(shell find daemons lib scripts -name '*.ts') $(wildcard docs/man/*.md) daemons/ddns/publish.sh package.json

.PHONY: run check check-fast build install uninstall deb packaged bench format clean help
.DELETE_ON_ERROR:

run: build                     ## the suite in this terminal, on scratch state below var/
	@exec dist/bin/lares up --state var

check: check-fast              ## everything this machine can test
	@sh scripts/test-packages.sh
	@$(MAKE) --no-print-directory build
	@$(MAKE) --no-print-directory deb || echo 'tests of what is installed are skipped'
	@$(runtime) scripts/test.ts integration
	@$(runtime) scripts/test.ts system

check-fast: $(installed)       ## types, lint, format, house rules, unit tests: no root, under a minute
	@$(runtime) node_modules/typescript/bin/tsc -p .
	@$(runtime) node_modules/eslint/bin/eslint.js --cache --cache-location node_modules/.cache/eslint/ .
	@node_modules/.bin/biome check --error-on-warnings .
	@$(runtime) scripts/test.ts unit

build: dist/.stamp             ## dist/: the staged tree, runnable in place

dist/.stamp: $(installed) $(sources)
	@$(runtime) scripts/build.ts dist
	@$(runtime) --disable-warning=ExperimentalWarning scripts/man.ts dist/man
	@touch $@

install: packaged              ## to PREFIX=/usr, below DESTDIR= if it is given; enables nothing
	@$(runtime) scripts/install.ts install

uninstall: $(installed)        ## removes what install wrote, from the same PREFIX= and DESTDIR=
	@$(runtime) scripts/install.ts uninstall

deb: packaged                  ## dist/lares_VERSION_ARCH.deb; needs dpkg-deb
	@$(runtime) scripts/deb.ts dist

packaged: dist/.packaged

# What is installed and never needed in a terminal: the addon that speaks to systemd, and the licences.
dist/.packaged: dist/.stamp $(addon) scripts/licences.ts
	@install -D -m 0644 $(addon) dist/lib/lares/native/notify.node
	@$(runtime) scripts/licences.ts dist/doc/copyright
	@touch $@

$(addon): $(installed) scripts/addon.ts
	@$(runtime) scripts/addon.ts

bench: deb                     ## the figures of the specs, beside their peers
	@sh scripts/test-packages.sh bench
	@$(runtime) test/bench/main.ts

format: $(installed)            ## what the formatter can mend
	@node_modules/.bin/biome check --write .

$(installed): package-lock.json package.json
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@test -x "$$(ls node_modules/node-linux-*/bin/node)" || { echo 'npm left out the pinned runtime'; exit 1; }
	@touch $@

help:                          ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

clean:                         ## removes what was built and fetched
	rm -rf dist var node_modules
