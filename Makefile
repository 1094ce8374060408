# Every target is a script; this file only names them. All of them need root and an
# x86-64 Debian 12 or 13; all that is made goes to build/.

.DEFAULT_GOAL := build
.PHONY: help setup build demo check check-debug check-packages bench shell install uninstall \
	dist deb clean

help:		## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 20

setup:		## fetch compilers, QEMU and stock kernels into build/ (once)
	@scripts/setup

build:		## modules for each kernel, library, tool, tests
	@scripts/build

demo:		## show the job in a virtual machine on a stock kernel
	@scripts/demo

check:		## all tests; ARGS="--config strict --tests roundtrip" for some
	@scripts/check $(ARGS)

check-debug:	## the same on a kernel with KASAN, lockdep, kmemleak and others, compiled once
	@scripts/check-debug $(ARGS)

check-packages:	## Debian packages, installed, used and removed in fresh roots; ARGS=trixie for one
	@scripts/check-packages $(ARGS)

bench:		## count instructions per I/O beside the alternatives; ARGS=--quick for a minute
	@scripts/bench $(ARGS)

shell:		## a shell in the test machine; ARGS="--config 6.12/off" for another
	@tests/vm/run --shell $(ARGS)

install:	## into this system: library, tool, module; ARGS=--no-module, or --help for more
	@scripts/install $(ARGS)

uninstall:	## take that away again
	@scripts/install --uninstall

dist:		## the source of this commit as an archive, always the same bytes
	@scripts/dist

deb:		## Debian packages in build/packages/SUITE/result; ARGS=bookworm for Debian 12
	@scripts/deb $(ARGS)

clean:		## remove what was built; what came from the network stays
	@scripts/clean
