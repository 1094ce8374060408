"""kernels - the kernels that test machines boot.

The stock ones are in build/kernels, as scripts/unpack-kernels laid them out, and the one
that checks itself, if it has been made, in build/debug-kernel (scripts/debug-kernel).
"""

import dataclasses
import glob
import os

TOP = "/src"
BUILD = TOP + "/build"

# Emulated, with all checkers on, and beside other work of the host.
DEBUG_SLOW = 5


@dataclasses.dataclass(frozen=True)
class Kernel:
    short: str      # "7.3": first two numbers of the version, its name here
    release: str    # uname -r
    package: str    # name and version of the package that the image is from
    suite: str      # Debian suite; "self": compiled here
    dir: str
    slow: int = 1   # how many times longer than on a stock kernel anything may take

    @property
    def image(self):
        return self.dir + "/vmlinuz"

    @property
    def modules(self):
        return self.dir + "/modules"


def _read(path):
    with open(path) as f:
        return f.read().strip()


def _kernel(directory, slow=1):
    return Kernel(os.path.basename(directory), _read(directory + "/release"),
                  _read(directory + "/package"), _read(directory + "/suite"), directory,
                  slow)


def load():
    """All stock kernels, newest first."""
    base = BUILD + "/kernels"
    found = [_kernel(f"{base}/{short}") for short in os.listdir(base)]
    return sorted(found, key=lambda k: [int(n) for n in k.short.split(".")],
                  reverse=True)


def newest(kernels):
    """Of those that load() gives."""
    return kernels[0]


def load_debug():
    """The debug kernels that are there: one, or none."""
    made = glob.glob(BUILD + "/debug-kernel/*debug/.made-from")
    return [_kernel(os.path.dirname(path), DEBUG_SLOW) for path in sorted(made)]
