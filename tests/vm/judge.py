"""judge - turn what a test machine said into results.

A result is (name, outcome, why) with outcome "ok", "not ok" or "skip" and name
KERNEL/CONFIG/PROGRAM/TEST. A program's results come from its output (the lines are
in tests/README.md); what it left unsaid is a failure: a listed test without a result,
a count that does not match its plan, a status other than 0, a timeout. So is every line
of the kernel's log that SPLAT matches and ALLOWED does not.
"""

import dataclasses
import itertools
import re

# What the kernel says when it finds something wrong with itself.
SPLAT = re.compile(
    r"WARNING:|\bBUG\b|kernel BUG|Oops|Kernel panic|KASAN|KCSAN|KFENCE|UBSAN|DMA-API:"
    r"|general protection fault|unable to handle|refcount_t:|INFO: task|INFO: rcu"
    r"|rcu: INFO|self-detected stall|detected stalls|blocked for more than"
    r"|soft lockup|hard LOCKUP|possible circular locking|possible recursive locking"
    r"|inconsistent lock state|suspicious RCU usage|lock held when returning"
    r"|held lock freed|sleeping function called|scheduling while atomic|list_add corruption"
    r"|list_del corruption|kmemleak: \d+ new|stack segment|double fault|Call Trace:"
    r"|DMAR: \[|DMAR: DRHD: handling|page allocation failure|Out of memory:|segfault at"
    r"|trap invalid opcode|leaked|corrupted"
    # A checker that gives up would find nothing any more.
    r"|lockdep is turned off|leak detector disabled")

# Lines that are no fault of this project. Each needs its reason here.
ALLOWED = (
    # The processor model has a weakness that the kernel has no microcode for.
    re.compile(r"WARNING: See https://kernel\.org/doc/html/latest/admin-guide/hw-vuln/"),
    # Kernels that check the DMA API say so when they boot.
    re.compile(r"DMA-API: (preallocated \d+ debug entries|debugging enabled by kernel)"),
)

# Functions of the stock kernel that leak by themselves: lists of kmemleak that have one in
# the backtrace are no fault of this project. Each needs its reason here.
ALLOWED_LEAKS = (
    # drivers/dma-buf/dma-buf-mapping.c sets orig_nents to 0, and dma_buf_free_sgt() calls
    # sg_free_table(), which goes by orig_nents: each unmap of a vfio-pci BAR leaks a list.
    "dma_buf_phys_vec_to_sgt+",
)

_RESULT = re.compile(r"^(ok|not ok|skip) (\S+)(?: - (.*))?$")
_LEAKS_COUNTED = re.compile(r"kmemleak: \d+ new")
_PLAN = re.compile(r"^plan (\d+)$")
_NAME = re.compile(r"^[A-Za-z0-9_.,:+-]+$")


@dataclasses.dataclass(frozen=True)
class Result:
    name: str
    outcome: str
    why: str = ""


def _leaks(lines):
    """What kmemleak lists: the lines of each object, from "unreferenced object" on."""
    found = []
    inside = False
    for line in lines:
        if line.startswith("unreferenced object"):
            found.append([])
            inside = True
        elif not line.startswith(" "):
            inside = False
        if inside:
            found[-1].append(line)
    return found


def _leak_line(leak):
    """One line that tells of a leaked object: it and its backtrace."""
    trace = itertools.dropwhile(lambda line: "backtrace" not in line, leak)
    functions = (line.split()[0] for line in itertools.islice(trace, 1, None) if line.strip())
    return f"{leak[0]} {' < '.join(functions)}"


def splats(lines):
    """Those lines of a kernel log that tell of a fault. Where the log has kmemleak's list,
    each object in it is one, in place of the kernel's line that counts them."""
    leaks = _leaks(lines)
    found = [line for line in lines
             if SPLAT.search(line) and not any(a.search(line) for a in ALLOWED)
             and not (leaks and _LEAKS_COUNTED.search(line))]
    return found + [_leak_line(leak) for leak in leaks
                    if not any(f in line for f in ALLOWED_LEAKS for line in leak)]


class Program:
    """Judges one program's run.

    prefix  KERNEL/CONFIG/PROGRAM
    listed  names of the tests that it said it has
    """

    def __init__(self, prefix, listed):
        self._prefix = prefix
        self._listed = listed or ()
        self._seen = {}
        self._plan = None

    def line(self, text):
        """Take one line of output; return the Result that it states, or None."""
        m = _PLAN.match(text)
        if m:
            self._plan = int(m.group(1))
            return None
        m = _RESULT.match(text)
        if not m:
            return None
        outcome, test, why = m.group(1), m.group(2), m.group(3) or ""
        if test in self._seen:
            outcome, why = "not ok", "reported twice"
        elif test not in self._listed:
            outcome, why = "not ok", "not among the tests that --list names"
        elif outcome == "skip" and not why:
            outcome, why = "not ok", "skipped without a reason"
        self._seen[test] = outcome
        return Result(f"{self._prefix}/{test}", outcome, why)

    def end(self, why_ended):
        """Results for what is missing; why_ended is empty after exit status 0."""
        because = ": " + why_ended if why_ended else ""
        results = [Result(f"{self._prefix}/{test}", "not ok", "no result" + because)
                   for test in self._listed if test not in self._seen]
        if self._plan != len(self._seen):
            planned = "no plan" if self._plan is None else f"{self._plan} planned"
            results.append(Result(f"{self._prefix}/plan", "not ok",
                                  f"{planned}, {len(self._seen)} reported{because}"))
        # A failed test is why its program exits with 1: no failure of its own.
        told = "not ok" in self._seen.values() and why_ended == "exit status 1"
        if why_ended and not results and not told:
            results.append(Result(f"{self._prefix}/exit", "not ok", why_ended))
        return results


def parse_list(lines):
    """Names of the tests in a program's --list output."""
    names = [line for line in lines if line]
    for name in names:
        if not _NAME.match(name):
            raise ValueError(f"--list printed '{name}'")
    if not names:
        raise ValueError("--list named no test")
    return names


def ending(status, limit):
    """Why a program that ended with this status (as a shell has it) failed, or ''."""
    if status == 0:
        return ""
    if status == 137:
        return f"killed: it took longer than {limit} s, or memory ran out"
    if status > 128:
        return f"killed by signal {status - 128}"
    return f"exit status {status}"
