# make test    all that CI runs, with the time of each stage
# make build   bin/ipublish, static
# make sim     the simulator alone: SEEDS=n stories, or SEED=n for one of them with its story
# make lint    golangci-lint, pinned in packaging/lint
# make bench   side by side with peers, as tables; KAMAL_PROXY and WEBHOOK name binaries of peers that are no packages
# make bench-silence   REQUESTS keep-alive POSTs over SWITCHES switches of each front door, and the proxy replaced REPLACEMENTS times: some 25 minutes
# make bench-fleet   20 hosts over SSH, beside a hand-written loop and, where it is installed, Ansible
# make deps    install what the tests run against (Debian, Ubuntu; as root)

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c

GO ?= go
SEEDS ?= 2000
SEED ?=
REQUESTS ?= 1000000
SWITCHES ?= 500
REPLACEMENTS ?= 20

# What is done to a damaged database on purpose, bbolt's pointers do not survive
# under the race detector's checks; a recovered panic is what the tests are about.
UNCHECKED := -gcflags=go.etcd.io/bbolt/...=-d=checkptr=0

# Core: pure code and code that needs no other program; with the race detector.
CORE := ./deploy/... ./store/... ./deployer ./bot/... ./cmd/client/... ./cmd/config/... ./cmd/screen/... ./cmd/supervise/... ./cmd/ipublish/...
SIM  := ./deployer/sim
E2E  := ./cmd/e2e/... ./cmd/demo/...
# Drivers: every other package below deployer, against the real thing.
DRIVERS = $$($(GO) list ./deployer/... | grep -v -x -e ipublish/deployer -e ipublish/deployer/sim)

# $(call stage,name,command) says how long it took, also when it failed.
define stage
	@echo "== $(1)"; began=$$SECONDS; \
	if { $(2); }; then echo "== $(1): $$((SECONDS - began)) s"; \
	else echo "== $(1): FAILED after $$((SECONDS - began)) s"; exit 1; fi
endef

.PHONY: test present vet core sim drivers e2e fleet lint build bench bench-silence bench-fleet deps

# The quick stages come first. The simulator, whose time is virtual, computes
# behind all others with what they leave of the machine.
test: present vet lint
	@mkdir -p bin; nice -n 19 $(MAKE) --no-print-directory sim >bin/sim.log 2>&1 & sim=$$!; \
	failed=0; $(MAKE) --no-print-directory core drivers e2e fleet || failed=1; \
	wait $$sim || failed=1; cat bin/sim.log; exit $$failed

# Under CI a component that is missing is installed, or fails its tests; on a
# developer's machine the tests that need it say so and are skipped.
present:
	@if packaging/test-deps.sh --check; then :; \
	elif [ "$${CI:-}" = true ] || [ "$$(id -u)" -eq 0 ]; then $(MAKE) deps; \
	else echo "tests that need them are skipped: sudo make deps"; fi

deps:
	packaging/test-deps.sh

vet:
	$(call stage,gofmt,test -z "$$(gofmt -l . | tee /dev/stderr)")
	$(call stage,vet,$(GO) vet ./...)

core:
	$(call stage,core,$(GO) test -race $(UNCHECKED) -timeout 10m $(CORE))

sim:
ifdef SEED
	SEED=$(SEED) $(GO) test $(SIM) -run RandomStories -v
else
	$(call stage,simulator with $(SEEDS) seeds,SEEDS=$(SEEDS) $(GO) test -timeout 40m $(SIM))
endif

drivers:
	$(call stage,drivers,$(GO) test -p 2 -timeout 15m $(DRIVERS))

e2e:
	$(call stage,end to end,$(GO) test -p 1 -parallel 4 -timeout 15m -skip 'Fleet|TestBench' $(E2E))

# Ten hosts, each in namespaces of its own: as root.
fleet:
	$(call stage,fleets,$(GO) test -timeout 15m -parallel 8 -run Fleet -skip BenchFleet ./cmd/e2e)

# A module of its own, so that its many dependencies are not the product's.
# govulncheck is not here: its database is a service that a closed network does
# not reach.
lint: bin/golangci-lint
	$(call stage,lint,bin/golangci-lint run ./...)

bin/golangci-lint: packaging/lint/go.mod packaging/lint/go.sum
	$(call stage,build golangci-lint,CGO_ENABLED=0 $(GO) -C packaging/lint build -o ../../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ipublish ./cmd/ipublish

bench:
	$(GO) test -run '^$$' -bench . -benchtime 2s ./store ./deployer/balancer/proxy
	$(GO) test ./cmd/e2e -run 'TestBench(Switch|Proxy|Footprint|Deploy|Intake|State)$$' -v -count=1 -timeout 90m

bench-silence:
	E2E_REQUESTS=$(REQUESTS) E2E_SWITCHES=$(SWITCHES) E2E_REPLACEMENTS=$(REPLACEMENTS) \
		$(GO) test ./cmd/e2e -run 'TestBenchSilence|TestTheProxyIsReplacedUnderLoad' -v -count=1 -timeout 3h

bench-fleet:
	E2E_HOSTS=20 $(GO) test ./cmd/e2e -run TestBenchFleet -v -count=1 -timeout 30m
