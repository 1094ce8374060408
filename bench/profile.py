"""profile - print which functions an I/O spends its instructions in (bench/profile)."""

import argparse
import collections
import json
import re
import signal
import sys

import insns

FUNCTIONS = "build/bench/functions.json"
# Smaller numbers are not shown.
SMALLEST = 0.5


def load(iommu, cell, lane):
    """{"NAME [MODULE]": instructions per I/O}"""
    try:
        with open(FUNCTIONS) as f:
            found = json.load(f)
    except OSError:
        raise SystemExit("profile: nothing is measured yet: run 'make bench' first.") from None
    for key, what in ((iommu, "IOMMU setting"), (cell, "cell"), (lane, "lane")):
        if key not in found:
            raise SystemExit(f"profile: the {what} '{key}' was not measured, only: "
                             f"{', '.join(found)}.")
        found = found[key]
    return found


def part(function):
    return insns.part_of(re.fullmatch(r"(\S+) \[(\S+)\]", function).groups())


def by_part(functions):
    sums = collections.Counter()
    for function, n in functions.items():
        sums[part(function)] += n
    return sums


def print_rows(rows, beside):
    """rows: [(name, part, number, other number)]"""
    if beside:
        rows.sort(key=lambda row: abs(row[2] - row[3]), reverse=True)
    for name, where, n, m in rows:
        if beside and abs(n - m) >= SMALLEST:
            print(f"{n:9.1f}{m:9.1f}{n - m:+9.1f}  {where:<9}{name}")
        elif not beside and n >= SMALLEST:
            print(f"{n:9.1f}  {where:<9}{name}")


def main():
    p = argparse.ArgumentParser(prog="bench/profile")
    p.add_argument("--iommu", default="off")
    p.add_argument("lane")
    p.add_argument("cell")
    p.add_argument("other", nargs="?", help="a lane to compare with")
    args = p.parse_args()
    ours = load(args.iommu, args.cell, args.lane)
    theirs = load(args.iommu, args.cell, args.other) if args.other else {}
    heads = [args.lane] + ([args.other, "difference"] if args.other else [])
    print(f"{args.cell}, IOMMU {args.iommu}, instructions per I/O: {', '.join(heads)}")
    sums, other_sums = by_part(ours), by_part(theirs)
    print_rows([(f"all of {p}", "", sums[p], other_sums[p])
                for p in (*insns.PARTS, insns.CLOCK)], args.other)
    print()
    print_rows([(f, part(f), ours.get(f, 0.0), theirs.get(f, 0.0))
                for f in {**ours, **theirs}], args.other)
    return 0


if __name__ == "__main__":
    # Its output may go to "head".
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
