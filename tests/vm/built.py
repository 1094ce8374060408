"""built - what scripts/build made, as it was when the runner began.

A run takes minutes, in which a developer compiles again; all its machines are to have
the same programs. So they are copied at the start, to /tmp, which is the runner's own
and goes with it (scripts/in-root).
"""

import os
import shutil

import kernels

COPY = "/tmp/built"
GUEST = COPY + "/guest"         # test programs
EXAMPLES = GUEST + "/examples"  # programs of examples/ that a test program runs
TOOL = COPY + "/tools/dmabuf-rw"
LIBRARIES = f"{COPY}/lib:{COPY}/guest:{COPY}/bench:{COPY}/fio/client"
FIO = COPY + "/fio/client/fio"    # by scripts/fio, where that was run
CONFORMANCE = COPY + "/conformance/conformance"
PLUGIN = COPY + "/bench/plugin.so"


def _wanted(path):
    name = os.path.basename(path)
    return name.endswith(".ko") or ".so" in name or \
        ("." not in name and os.access(path, os.X_OK))


def take():
    for part in ("guest", "tools", "lib", "modules", "bench", "fio/client", "conformance"):
        for d, _, files in os.walk(f"{kernels.BUILD}/{part}"):
            for f in files:
                path = f"{d}/{f}"
                if _wanted(path):
                    to = COPY + path.removeprefix(kernels.BUILD)
                    os.makedirs(os.path.dirname(to), exist_ok=True)
                    shutil.copy2(path, to, follow_symlinks=False)


def guest_programs():
    """Names of all programs in build/guest; a library has a dot in its name."""
    if not os.path.isdir(GUEST):
        return []
    return sorted(f for f in os.listdir(GUEST) if "." not in f and os.path.isfile(f"{GUEST}/{f}"))


def modules(kernel):
    """This project's modules for a kernel, {file name: path}."""
    return {f: f"{d}/{f}"
            for d, _, files in os.walk(f"{COPY}/modules/{kernel.short}") for f in files}
