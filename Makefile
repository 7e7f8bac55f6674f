# ftfuse. `make` lists the targets.

GO      ?= go
VERSION ?= $(shell scripts/version.sh)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS  = -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# What can be set on the command line.
TESTS    ?= ./...
FUZZTIME ?= 10s
RACES    ?= 5
SOAK     ?= 40
SOAKRUN  ?= Kill|Crash|Oracle|Soak|TakeOver|Sequences|Reload|Operation
BENCH    ?=

# Three packages at a time: those that boot machines wait more than they work. `make lint` has vetted them.
GATE = $(GO) run ./scripts/testgate -p 3 -vet off -timeout 45m

# Races inside of a dependency that are known to be harmless.
RACE = GORACE="suppressions=$(CURDIR)/scripts/race-suppressions.txt" $(GATE) -race

.DEFAULT_GOAL := help
.PHONY: help build test race fuzz lint bench soak demo e2e-old-kernel package ci clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the programs into bin/
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

test: build ## run all tests with the race detector; a skipped test is a failure (TESTS=./internal/... for a part)
	scripts/ci-deps.sh
	$(RACE) -count 1 $(TESTS)

race: build ## run what is busiest with goroutines RACES=5 times with the race detector
	$(RACE) -count $(RACES) ./internal/capture ./internal/ingest ./internal/mount ./internal/node ./internal/share ./internal/uplink
	FTFUSE_RACE=1 $(RACE) -count 1 ./internal/e2e

fuzz: ## run every fuzz test for FUZZTIME=10s
	scripts/fuzz.sh $(FUZZTIME)

lint: ## check formatting, vet, staticcheck, shell scripts and systemd units
	scripts/lint.sh

bench: build ## measure speed, processor time and memory (BENCH=-help for options)
	$(GO) run ./scripts/bench $(BENCH)

soak: build ## run the tests of kills, reloads and faults SOAK=40 times as long
	FTFUSE_SOAK=$(SOAK) $(GO) run ./scripts/testgate -p 1 -count 1 -timeout 0 -run '$(SOAKRUN)' $(TESTS)

demo: build ## see it work: mount, write, transfer and count, within 30 seconds (as root)
	scripts/demo.sh

e2e-old-kernel: build ## run the program on Debian's 6.1 kernel in an emulated machine (needs qemu-system-x86)
	scripts/old-kernel.sh

package: ## build .deb and .rpm for amd64 and arm64 into dist/
	scripts/package.sh $(VERSION)

ci: ## install what is needed, then lint, build and test everything with the race detector
	scripts/ci-deps.sh
	$(MAKE) --no-print-directory lint test

clean: ## remove what was built
	rm -rf bin dist
