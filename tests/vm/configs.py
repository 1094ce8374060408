"""configs - which machines the tests run on.

Poll queues are there in some and not in others, since a missing poll queue is a case
of its own.
"""

import machine

POLL = "nvme.poll_queues=1"

_COMMON = (
    machine.Config("strict", "strict", POLL),
    machine.Config("off", "off", POLL, cpus=4),
    machine.Config("pt", "pt"),
    machine.Config("nomultipath", "strict", "nvme_core.multipath=N", multipath=False),
)

_NEWEST = (
    machine.Config("off-nomultipath", "off", "nvme_core.multipath=N", multipath=False),
    # No buffer can be bound here, and that is what there is to test.
    machine.Config("swiotlb", "off", "swiotlb=force",
                   tests=("errors_bind/bounced_buffers_are_EADDRNOTAVAIL", "exporters")),
)


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
