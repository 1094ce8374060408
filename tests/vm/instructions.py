"""instructions - a machine that counts how many instructions of this module a transfer takes.

It runs the benchmark's program (bench/measure.c) on a few cells, and compares what the module's
own functions take with instructions.table: more than MARGIN times the sum that stands there for
a cell is a failure. It is a count of what is executed, the same on a busy host as on a quiet
one, and needs the emulator, whatever other machines run on.

To bind a file (bench/binds.c) takes the same however long it is, and whatever is in it; one more to
a buffer that is bound, however many extents that has (bench/scale.c). Nor does a transfer take
more where there are many extents, or CPUs, and not much more by libcufile than by the library.

No limit is on what depends on time. How often a thread sleeps, how long a lock is waited for and
how many ticks fall into a window does; all of that is in insns.REST, which is in no number that
is judged. What else depends on time is said at each limit.

Each run leaves a table of what it counted in its log directory, to be copied over
instructions.table when a change is meant.
"""

import collections
import json
import os
import sys
import tempfile

import boot
import built
import judge
import kernels

sys.path.insert(0, kernels.TOP + "/bench")
import insns    # noqa: E402
import scale    # noqa: E402

# Once a tick the module looks at a disk's format and a file's rights: the best round is judged, and
# has a transfer in every tick only where a tick is not long enough for two.
TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.table")
MARGIN = 1.05
# A function that takes less of a transfer is not in the table.
SMALLEST = 0.5
# How far what exact.c counts may be off: it has some code around its loops, and the machine's first
# process passes on a line of its output meanwhile.
TOLERANCE = 0.01
# By how much a huge file may exceed a small one: no I/O is waited for, but a file system's own work
# in the background may fall into a window. The best round counts.
BIND_MARGIN = 1.1

LANES = {"direct-udmabuf": "", "batch-udmabuf": "batch-"}
RUN = ("4k-random-read-qd32", "4k-random-write-qd32", "128k-sequential-read-qd32")
# What is judged: the cells of single transfers, and of batches.
CELLS = (*RUN, "batch-4k-random-read-qd32", "batch-4k-random-write-qd32")
ENVIRONMENT = {"BENCH_CELLS": f"@({'|'.join(RUN)})", "BENCH_LANES": f"@({'|'.join(LANES)})",
               "BENCH_ROUNDS": 5, "BENCH_MS": 150}
# Fewer extents than the benchmark has, and more tolerance: how many completions an interrupt finds
# is in it, which differs by one or two percent. The best round counts.
SCALE = {"SCALE_EXTENTS": 32768, "SCALE_BIND_MB": 128, "SCALE_CALLS": 1500, "SCALE_FILES": 16}
SCALE_LIMITS = {"to bind one more file": 1.1, "extents of a buffer": 1.1, "extents of a file": 1.2,
                "CPUs": 1.1, "calls": 1.4, "calls of 16 threads": 1.4, "batches of 128": 1.2}
# And this module's own part, which repeats but for what is done once a tick: by this factor, or by
# as many instructions, which a search takes.
SCALE_OWN = 1.15
SCALE_OWN_MORE = 75
# The program's part with libcufile, a tenth above what is reached. Whether a batch is over before
# it is waited for changes it by less than 200, one of 128. All threads have made their first call,
# which takes more, when the window begins.
SCALE_PROGRAM = {"calls": 1170, "calls of 16 threads": 1170, "batches of 128": 280}
PROGRAMS = ("measure", "scale", "binds", "exact")
LIMIT = 300


def load(path=TABLE):
    """{cell: {function: instructions}}"""
    table = collections.defaultdict(dict)
    with open(path) as f:
        for line in f:
            words = line.partition("#")[0].split()
            if words:
                cell, function, number = words
                table[cell][function] = float(number)
    return table


def text(table):
    """The contents of a file that load() reads."""
    lines = ["# Instructions of this module's functions per transfer: cell, function, number.\n"
             "# tests/vm/instructions.py says how it is used and made.\n"]
    for cell, functions in table.items():
        ordered = sorted(functions.items(), key=lambda item: -item[1])
        lines += [f"{cell:<27} {f:<28} {n:7.1f}\n" for f, n in ordered if n >= SMALLEST]
    return "".join(lines)


def _growth(function, before, now):
    if not before:
        return f"{function} is new with {now:.0f}"
    return f"{function} grew from {before:.0f} to {now:.0f}"


def compare(cell, now, before):
    """(outcome, why) of a cell; now, before: {function: instructions}."""
    if not now or not before:
        return "not ok", "it was not measured" if before else "instructions.table lacks it"
    limit = MARGIN * sum(before.values())
    taken = sum(now.values())
    said = f"{taken:.0f} instructions of this module, {limit:.0f} allowed"
    if taken <= limit:
        return "ok", said
    grown = {f: n - before.get(f, 0) for f, n in now.items()}
    names = sorted((f for f in grown if grown[f] >= 1), key=grown.get, reverse=True)
    return "not ok", f"a transfer of {cell} takes {said}: " + \
        ", ".join(_growth(f, before.get(f), now[f]) for f in names)


def own(functions, ios):
    """{function of this module: instructions per transfer}"""
    return {name: n / ios for (name, module), n in functions.items() if module == "dmabuf_rw"}


def of_cells(runs, windows):
    """{cell: {function: instructions per transfer}}, of the best round: what is done once a tick
    is done for each transfer of a host that is busy enough."""
    rounds = collections.defaultdict(list)
    for run in runs:
        name = LANES[run["lane"]] + run["cell"]
        if name in CELLS:
            rounds[name].append(own(windows[run["window"]], run["ios"]))
    return {cell: min(found, key=lambda f: sum(f.values())) for cell, found in rounds.items()}


class Instructions(boot.Machine):
    """The one boot of this machine."""

    def __init__(self, kernel, config, echo=None):
        super().__init__(kernel, config, "tcg",
                         [boot.Program(p, f"/root/{p}", (), LIMIT) for p in PROGRAMS], echo)
        self._records = collections.defaultdict(list)

    def line(self, text_):
        if self._state == "run" and text_.startswith("{"):
            record = json.loads(text_)
            self._records[record.pop("record")].append(record)
        else:
            super().line(text_)

    def run(self, files, texts, cmdline="", shell=False):
        self.environment = {**self.environment, **ENVIRONMENT, **SCALE}
        with tempfile.NamedTemporaryFile(prefix="counts.") as counts:
            self.counts = counts.name
            super().run({**files, **{f"root/{p}": f"{built.COPY}/bench/{p}" for p in PROGRAMS}},
                        texts, cmdline, shell)

    def _judge_end(self, timed_out, status, logs):
        super()._judge_end(timed_out, status, logs)
        for program, ended in self.status.items():
            if ended:
                self._fail(f"{program}/exit", judge.ending(ended, LIMIT))
        if self._done and not any(self.status.values()):
            self._judge_counts(logs)

    def _judge_counts(self, logs):
        symbols = insns.Symbols(r["list"] for r in self._records["symbols"])
        windows = dict(insns.windows(self.counts, symbols))
        table = load()
        found = of_cells(self._records["run"], windows)
        with open(f"{logs}/instructions.table", "w") as f:
            f.write(text(found))
        for cell in CELLS:
            self._add(judge.Result(f"{self.name}/{cell}",
                                   *compare(cell, found.get(cell, {}), table[cell])))
        # In the order of the programs.
        ordered = [windows[w] for w in sorted(windows)]
        for kind, judge_ in (("exact", self._judge_exact), ("binds", self._judge_binds),
                             ("scale", self._judge_scale)):
            records = self._records[kind]
            ordered, own_ = ordered[:-len(records)], ordered[-len(records):]
            judge_(records, own_, logs)

    def _judge_scale(self, records, windows, logs):
        found = scale.cases(records, windows)
        with open(f"{logs}/scale.json", "w") as f:
            json.dump(found, f)
        for subject, limit in SCALE_LIMITS.items():
            of = found[subject]
            for case in list(of)[1:]:
                all_, own_ = (scale.ratio(of, case, key) for key in ("work", "module"))
                name = f"{subject}.{case}".replace(", ", ".").replace(" ", "_")
                more = of[case]["module"] - next(iter(of.values()))["module"]
                good = all_ <= limit and (own_ <= SCALE_OWN or more <= SCALE_OWN_MORE)
                said = f"{all_:.2f} of one, {limit} allowed; of it this module's {own_:.2f}, " \
                       f"{SCALE_OWN} or {SCALE_OWN_MORE} instructions more allowed"
                if subject in SCALE_PROGRAM:
                    good = good and of[case]["program"] <= SCALE_PROGRAM[subject]
                    said += f"; {of[case]['program']:.0f} instructions in the program, " \
                            f"{SCALE_PROGRAM[subject]} allowed"
                self._add(judge.Result(f"{self.name}/{name}_cost_little",
                                       "ok" if good else "not ok", said))

    def _judge_binds(self, binds, windows, logs):
        taken = collections.defaultdict(list)
        for r, functions in zip(binds, windows, strict=True):
            parts = insns.parts(functions)
            taken[r["file"]].append((sum(parts.values()) - parts[insns.REST]) / r["binds"])
        with open(f"{logs}/binds.json", "w") as f:
            json.dump(taken, f)
        for kind in ("ext4", "xfs"):
            small, huge = (min(taken[f"{kind}, {size}"]) for size in ("1 MiB", "1 TiB"))
            good = huge <= BIND_MARGIN * small
            self._add(judge.Result(f"{self.name}/binding_a_huge_file_costs_no_more.{kind}",
                                   "ok" if good else "not ok",
                                   f"{small:.0f} instructions for 1 MiB, {huge:.0f} for 1 TiB"))

    def _judge_exact(self, exact, windows, _logs):
        """The counter itself, by work of known size."""
        for record, functions in zip(exact, windows, strict=True):
            wanted, counted = record["instructions"], functions[insns.PROGRAM]
            good = abs(counted - wanted) <= TOLERANCE * wanted
            self._add(judge.Result(f"{self.name}/{record['name']}", "ok" if good else "not ok",
                                   f"{wanted} instructions were executed, {counted} counted"))
