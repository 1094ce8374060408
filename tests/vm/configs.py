"""configs - which machines the tests run on.

Poll queues are there in some and not in others, since a missing poll queue is a case
of its own.
"""

import machine

POLL = "nvme.poll_queues=1"

# What these find has nothing to do with how a drive reaches memory, nor with how many ways
# lead to it: one machine of a kernel is enough.
_ONCE = ("command", "drive_commands", "file_attributes", "file_cache", "file_coherence",
         "file_command", "file_guard", "file_library", "file_model", "file_new", "file_pinned",
         "file_refused", "file_stopped", "library_process", "remote")
# For these, one that translates addresses and one that does not.
_TWICE = _ONCE + ("file_bytes", "file_size", "file_unwritten", "invalidate", "model")

# The rest of IOMMU x multipath.
_ROUND_TRIPS = ("roundtrip", "file_roundtrip")

_COMMON = (
    machine.Config("strict", "strict", POLL),
    machine.Config("off", "off", POLL, cpus=4, without=_ONCE),
    machine.Config("pt", "pt", without=_TWICE),
    machine.Config("nomultipath", "strict", "nvme_core.multipath=N", multipath=False,
                   without=_TWICE),
    machine.Config("power-cut", "strict", cuts=3),
    machine.Config("pt-nomultipath", "pt", "nvme_core.multipath=N", multipath=False,
                   tests=_ROUND_TRIPS),
    machine.Config("off-nomultipath", "off", "nvme_core.multipath=N", multipath=False,
                   tests=_ROUND_TRIPS),
)

_NEWEST = (
    # No buffer can be bound here, and that is what there is to test.
    machine.Config("swiotlb", "off", "swiotlb=force",
                   tests=("errors_bind/bounced_buffers_are_EADDRNOTAVAIL", "exporters")),
    machine.Config("instructions", "off", "nokaslr", counted=True),
)

# For the debug kernel. The slow tests of throughput, random models and the command line
# find there what they find elsewhere.
_DEBUG_TESTS = ("roundtrip", "uring", "vectored", "invalidate", "lifetime", "hotplug",
                "multipath", "errors_bind", "errors_io", "allocations", "drive_errors",
                "durability", "file_roundtrip", "file_bytes", "file_coherence", "file_guard")
_DEBUG = (
    machine.Config("strict", "strict", POLL, tests=_DEBUG_TESTS),
    machine.Config("off", "off", POLL, tests=_DEBUG_TESTS),
)


def debug_table(kernels):
    """[(kernel, config)] of machines that run only if someone asks for them."""
    return [(k, c) for k in kernels for c in _DEBUG]


def table(kernels):
    """[(kernel, config)], in the order in which they run."""
    pairs = []
    for k in kernels:
        pairs += [(k, c) for c in _COMMON]
        if k is kernels[0]:
            pairs += [(k, c) for c in _NEWEST]
    return pairs


def name(kernel, config):
    return f"{kernel.short}/{config.name}"
