# SPDX-License-Identifier: Apache-2.0
# The door: the few commands a person types. The build itself is meson's (meson.build).
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
PREFIX ?= /usr/local
.PHONY: help quickstart check check-all build install tidy models bench coverage format clean

help: ## this text
	@echo "Mayastor. Commands (each installs the Debian packages it lacks):"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 20

quickstart: ## set up, build, and show what works on this machine
	@tools/bootstrap build bench
	@tools/build release
	@bench/quickstart build/release

check: ## set up, build twice (sanitizers, release), run every test (about 10 minutes)
	@tools/bootstrap build check bench
	@tools/check

check-all: ## check, and clang, TSan, coverage gate, fuzzing, soaks, static analysis
	@tools/bootstrap build check bench all
	@tools/check --all

build: ## the release build, in build/release
	@tools/bootstrap build
	@tools/build release

install: ## programs, manual pages and the service, in DESTDIR and PREFIX (/usr/local)
	@tools/bootstrap build
	@tools/build release
	@meson configure build/release -Dprefix=$(PREFIX) -Dlibdir=lib
	@DESTDIR=$(abspath $(DESTDIR)) meson install -C build/release --quiet

tidy: ## the house rules only: floors, globals, banned calls, and figures
	@tools/bootstrap build check
	@tools/build release
	@tools/tidy --build build/release

models: ## the models of the safety protocol, whole state spaces (half an hour, 12 GiB)
	@tools/bootstrap check
	@models/run --large -v

bench: ## compare with fio on the same file
	@tools/bootstrap build bench
	@tools/build release
	@bench/run build/release

coverage: ## branch coverage of src/, with the gate
	@tools/bootstrap build check all
	@tools/coverage

format: ## reformat src/, tests/ and bench/ as .clang-format says
	@tools/bootstrap all
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean: ## forget all builds (caches outside the tree stay)
	@rm -rf build
