# shellcheck shell=bash
# lib.sh - what every script here shares: where things are, and how to fail.
#
# Sourced, never run. A script that meets a condition its user can mend calls
# die() with one sentence that says what is wrong and what to do about it.

# The project's top directory, by its physical path.
top=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

# Everything that is made lies here; removing it is always safe.
build=$top/build

# The one Debian root directory in which everything is compiled and run.
# shellcheck disable=SC2034
root=$build/root

say()
{
	printf '%s\n' "$*"
}

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# project_version - the release that this is. The library's header has the number, since programs
# compile against it; there is no other place.
project_version()
{
	sed -n 's/^#define DMABUF_RW_VERSION_[A-Z]*[[:space:]]*//p' "$top/lib/libdmabuf_rw.h" |
		paste -sd.
}

# newest_kernel - the directory of the newest kernel that machines boot; tests/vm/kernels.py
# knows it, too.
newest_kernel()
{
	printf '%s\n' "$build"/kernels/* | sort -Vr | head -n 1
}

# need_host - die unless this machine can be used at all.
#
# TEST_ARCH, TEST_UID and TEST_FREE_MB stand in for the real values, so that the
# sentences can be tested on a machine that has nothing wrong with it.
need_host()
{
	local arch=${TEST_ARCH:-$(uname -m)}
	local uid=${TEST_UID:-$(id -u)}

	[[ $arch == x86_64 ]] ||
		die "this machine is $arch, and only x86_64 is supported: run it on an x86_64 machine."
	[[ $uid == 0 ]] ||
		die "this needs root (to unpack a Debian system and to mount inside it): run it as root."
}
