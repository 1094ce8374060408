"""insns - read what plugin.c counted: instructions, by function and by part of the system.

A function is (name, module); the image of the kernel is the module "kernel". What runs in user
space is one function, PROGRAM.
"""

import bisect
import collections
import json
import re

PROGRAM = ("program", "user")
OWN = "module"
REST = "kernel"
# What the benchmark's own clock takes (kmod/drw_idle.c); in no total.
CLOCK = "clock"

# The parts of the system, in the order of reports. The module is this project's, or the bare
# command's.
PARTS = (OWN, "io_uring", "block", "NVMe", "files", "DMA", REST, "program")

_MODULES = {"dmabuf_rw": OWN, "drw_floor": OWN, "drw_idle": CLOCK, "user": "program"}
# The names of functions in the kernel's image tell the part; the first that fits does.
_NAMES = [(part, re.compile(pattern)) for part, pattern in (
    (CLOCK, r"ktime_get_mono_fast_ns|__traceiter_"),
    ("io_uring", r"(__|__x64_sys_|__do_sys_|__se_sys_)?io_(?!schedule)|tctx_|ctx_flush|req_"
                 r"|kiocb_done"),
    ("NVMe", r"(__)?nvme_"),
    ("block", r"_*(blk|(iocb_)?bio|bdev|blkdev|sbitmap|elv|dd|rq_qos|wbt|submit_bio|bvec|bt)_"
              r"|_*submit_bio|update_io_ticks|part_in_flight|I_BDEV|ll_\w*merge_fn"),
    ("files", r"_*(mtree|mas|ext4|jbd2|iomap|vfs|generic_(file|write|update)|kiocb|file|filemap"
              r"|inode|mnt|atime|touch_atime|invalidate_inode|fscrypt|xas|sb|rw_verify_area"
              r"|check_block_validity|current_time|make_vfs)(_|$|[^a-z])|make_vfs"),
    ("DMA", r"_*(dma|iommu|intel_(iommu|flush|pasid)|domain|qi|iova|alloc_iova|free_iova"
            r"|cache_tag|dmar|vtdss|pt|force_dma|swiotlb|amd_cc|cc)_"
            r"|_*(un)?map_range|make_range|gather_range|__iova_to_phys|clflush_cache"),
)]


def part_of(function):
    name, module = function
    if module in _MODULES:
        return _MODULES[module]
    if module == "kernel":
        for part, pattern in _NAMES:
            if pattern.match(name):
                return part
    return REST


def records(path):
    """{kind: [record]} of what a program has printed."""
    found = collections.defaultdict(list)
    with open(path) as f:
        for line in f:
            if line.startswith("{"):
                record = json.loads(line)
                found[record.pop("record")].append(record)
    return found


class Symbols:
    """Functions by address."""

    def __init__(self, lists):
        """lists: texts "ADDRESS NAME MODULE,...", as symbols.c prints them."""
        found = {}
        for text in lists:
            for entry in text.split(","):
                address, name, module = entry.split(" ")
                # Of several names of one address the first counts.
                found.setdefault(int(address, 16), (name, module))
        self._addresses = sorted(found)
        self._functions = [found[a] for a in self._addresses]

    def addresses(self, name):
        """Of the functions with that name."""
        return {a for a, f in zip(self._addresses, self._functions) if f[0] == name}

    def function(self, address):
        if not address >> 63:
            return PROGRAM
        return self._functions[max(bisect.bisect_right(self._addresses, address) - 1, 0)]


def _block(symbols, address, lengths):
    """[(function, how many of the block's instructions are in it)]"""
    found = collections.Counter()
    for digit in lengths:
        found[symbols.function(address)] += 1
        address += int(digit, 16)
    return list(found.items())


def windows(path, symbols):
    """Yields (window, {function: instructions}) of a file of counts."""
    blocks = {}
    number, functions = None, None
    with open(path) as f:
        for line in f:
            words = line.split()
            if words[0] == "block":
                blocks[words[1]] = _block(symbols, int(words[2], 16), words[3])
            elif words[0] == "window":
                number, functions = int(words[1]), collections.Counter()
            elif words[0] == "end":
                yield number, functions
            else:
                for function, n in blocks[words[0]]:
                    functions[function] += n * int(words[1])


def calls(path, symbols, name):
    """{window: how often functions with that name were called}: a call begins a block."""
    found, wanted, begins = collections.Counter(), symbols.addresses(name), set()
    with open(path) as f:
        for line in f:
            words = line.split()
            if words[0] == "block" and int(words[2], 16) in wanted:
                begins.add(words[1])
            elif words[0] == "window":
                number = int(words[1])
            elif words[0] in begins:
                found[number] += int(words[1])
    return found


def parts(functions):
    """{part: instructions}"""
    found = collections.Counter()
    for function, n in functions.items():
        found[part_of(function)] += n
    return {part: found[part] for part in PARTS}
