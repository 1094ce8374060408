"""kernels - the stock kernels in build/kernels, as scripts/unpack-kernels laid them out."""

import dataclasses
import os

TOP = "/src"
BUILD = TOP + "/build"


@dataclasses.dataclass(frozen=True)
class Kernel:
    short: str      # "7.3": first two numbers of the version, its name here
    release: str    # uname -r
    package: str    # name and version of the package that the image is from
    suite: str      # Debian suite

    @property
    def dir(self):
        return f"{BUILD}/kernels/{self.short}"

    @property
    def image(self):
        return self.dir + "/vmlinuz"

    @property
    def modules(self):
        return self.dir + "/modules"



def _read(path):
    with open(path) as f:
        return f.read().strip()


def load():
    """All kernels, newest first."""
    found = []
    base = BUILD + "/kernels"
    for short in os.listdir(base):
        d = f"{base}/{short}"
        found.append(Kernel(short, _read(d + "/release"), _read(d + "/package"),
                            _read(d + "/suite")))
    return sorted(found, key=lambda k: [int(n) for n in k.short.split(".")],
                  reverse=True)
