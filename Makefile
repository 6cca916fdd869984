.PHONY: help setup setup-test demo test check bench format
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup:
	@scripts/setup.sh

setup-test:
	@scripts/setup.sh test

demo: setup-test ## the pair on this machine: a virtual IP, servers, a client, and what to try next
	@npm run -s demo

test: setup-test ## all tests: structure, unit, scenarios, simulation, lab
	@npm run -s test

check: setup ## types, lint, format, structure
	@npm run -s check

bench: setup-test ## benchmarks against keepalived, HAProxy and nginx, in one run
	@npm run -s bench -- all

format: setup
	@npx prettier --write --log-level warn .
