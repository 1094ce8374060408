"""configs - which machines the tests run on.

Every program runs on each, unless "tests" says otherwise; a program knows itself on which
machines it finds nothing new, and skips its tests there (tests/guest/support/harness.h).

Poll queues are there in some and not in others, since a missing poll queue is a case
of its own.
"""

import machine
from kernels import newest

POLL = "nvme.poll_queues=1"

_COMMON = (
    machine.Config("strict", "strict", POLL),
    machine.Config("off", "off", POLL, cpus=4),
    machine.Config("pt", "pt"),
    machine.Config("nomultipath", "strict", "nvme_core.multipath=N", multipath=False),
    machine.Config("power-cut", "strict", cuts=3),
    machine.Config("pt-nomultipath", "pt", "nvme_core.multipath=N", multipath=False),
    machine.Config("off-nomultipath", "off", "nvme_core.multipath=N", multipath=False),
)

_NEWEST = (
    # No buffer can be bound here, and that is what there is to test.
    machine.Config("swiotlb", "off", "swiotlb=force",
                   tests=("errors_bind/bounced_buffers_are_EADDRNOTAVAIL", "exporters")),
    machine.Config("instructions", "off", "nokaslr", memory_mb=4096, cpus=4, counted=True),
)

# Two halves take half the time on two processors.
_DEBUG = (
    machine.Config("strict", "strict", POLL, part=(0, 2)),
    machine.Config("strict-2", "strict", POLL, part=(1, 2)),
    machine.Config("off", "off", POLL),
)


def debug_table(kernels):
    """[(kernel, config)] of machines that run only if someone asks for them."""
    return [(k, c) for k in kernels for c in _DEBUG]


def table(kernels):
    """[(kernel, config)], in the order in which they run."""
    pairs = []
    for k in kernels:
        pairs += [(k, c) for c in _COMMON]
        if k is newest(kernels):
            pairs += [(k, c) for c in _NEWEST]
    return pairs


def name(kernel, config):
    return f"{kernel.short}/{config.name}"
