"""report - turn what measure printed and the plugin counted into results and a table.

usage: report.py DIRECTORY MACHINE...

MACHINE is "off" or "strict", its IOMMU, or "scale" (scale.py). DIRECTORY holds MACHINE.log and
MACHINE.insns of each, and gets results.json, functions.json and IOMMU.svg.

Ratios are taken within a round, where both lanes ran within seconds of each other, and
then the median over the rounds.
"""

import collections
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys

import chart
import insns
import scale

VERSION = 2
# What a function takes of an I/O at least to be kept.
SMALLEST = 0.05
# How many times as often as it needs to a polled lane may ask the driver, at the median: it does so
# where the drive has not done all that is waited for. One in vain takes 150 instructions, which 16
# transfers share.
POLLS_MORE = 3

# What a lane is compared with: the first of these that runs the same cell.
REFERENCES = {
    "direct-bar": ("fixed",),
    "direct-udmabuf": ("fixed-pages", "fixed"),
    "batch-udmabuf": ("fixed-pages", "fixed"),
    "call-udmabuf": ("pread",),
    "kernel-udmabuf": ("fixed-pages", "fixed"),
    "direct-heap": ("fixed",),
    "floor-udmabuf": ("fixed",),
    "bounce-bar": ("fixed",),
    "bounce-udmabuf": ("fixed",),
    "poll-udmabuf": ("poll-fixed",),
    "poll-batch-udmabuf": ("poll-fixed",),
    "file-udmabuf": ("file-fixed",),
    "file-batch-udmabuf": ("file-fixed",),
    "file-ro-udmabuf": ("file-fixed",),
    "odd-udmabuf": ("direct-udmabuf",),
    "library": ("naive-udmabuf",),
}

# (machine's IOMMU or None for all, pattern of cells, pairs of lanes, largest ratio, text)
TO_FIXED = (("direct-bar", "fixed"), ("direct-udmabuf", "fixed"))
FLOOR = (("floor-udmabuf", "fixed"),)
POLLED = (("poll-udmabuf", "poll-fixed"),)
POLLED_BATCH = (("poll-batch-udmabuf", "poll-fixed"),)
TO_BOUNCE = (("direct-bar", "bounce-bar"), ("direct-udmabuf", "bounce-udmabuf"))
GOALS = (
    ("off", r"4k-random-.*-qd32", TO_FIXED, 0.5, "4 KiB, QD32: beside READ_FIXED"),
    ("strict", r"4k-random-.*-qd32", TO_FIXED, 0.2, "4 KiB, QD32: beside READ_FIXED"),
    ("off", r"4k-random-.*-qd32", POLLED, 0.5, "4 KiB, QD32, polled: beside READ_FIXED"),
    ("strict", r"4k-random-.*-qd32", POLLED, 0.31, "4 KiB, QD32, polled: beside READ_FIXED"),
    ("off", r"4k-random-.*-qd32", POLLED_BATCH, 0.33, "4 KiB, QD32, polled: a batch of 16"),
    ("strict", r"4k-random-.*-qd32", POLLED_BATCH, 0.2, "4 KiB, QD32, polled: a batch of 16"),
    (None, r"4k-random-.*-qd32", (("direct-udmabuf", "floor-udmabuf"),), 1.2,
     "4 KiB, QD32: beside a bare command"),
    (None, r"(128k|1m)-.*", TO_BOUNCE, 0.33, "128 KiB and above: beside bounce"),
    (None, r"(4k|128k)-.*-qd32", (("file-udmabuf", "direct-udmabuf"),), 1.05,
     "QD32: a file beside the disk"),
)
# (pattern of cells, lane, part or None for all, most instructions, text)
ABSOLUTE = (
    (r"4k-random-.*-qd32", "batch-udmabuf", None, 1500, "4 KiB, of a batch of 16"),
    (r"4k-random-.*-qd32", "direct-udmabuf", None, 2200, "4 KiB, QD32, by itself"),
    (r"4k-random-.*-qd32", "direct-udmabuf", insns.OWN, 250, "4 KiB, QD32: the module"),
)


def spread(values):
    values = list(values)
    if len(values) > 1:
        q1, _, q3 = statistics.quantiles(values, n=4, method="inclusive")
    else:
        q1 = q3 = values[0]
    return {"median": statistics.median(values), "min": min(values), "q1": q1, "q3": q3,
            "max": max(values)}


def records(path):
    found = insns.records(path)
    if not found["machine"] or not found["run"]:
        raise SystemExit(f"report: {path} has no measurements")
    return found


def count(found, path):
    """Add to each run what the plugin counted in its window, and return how much of an I/O
    each function takes, {cell: {lane: {"NAME [MODULE]": instructions}}}."""
    runs = {r["window"]: r for r in found["run"]}
    sums = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))
    ios = collections.Counter()
    symbols = insns.Symbols(r["list"] for r in found["symbols"])
    polls = insns.calls(path, symbols, "nvme_poll")
    for window, functions in insns.windows(path, symbols):
        run = runs.pop(window, None)
        if run:
            run["parts"] = insns.parts(functions)
            run["instructions"] = sum(run["parts"].values())
            run["driver_polls"] = polls[window]
            sums[run["cell"]][run["lane"]].update(functions)
            ios[run["cell"], run["lane"]] += run["ios"]
    if runs:
        raise SystemExit(f"report: {path} lacks {len(runs)} windows")
    return {cell: {lane: {f"{name} [{module}]": n / ios[cell, lane]
                          for (name, module), n in functions.most_common()
                          if n / ios[cell, lane] >= SMALLEST}
                   for lane, functions in lanes.items()}
            for cell, lanes in sums.items()}


def parse_cell(name):
    block, pattern, direction, depth = name.split("-")
    unit = {"k": 1 << 10, "m": 1 << 20}[block[-1]]
    return {"name": name, "block_bytes": int(block[:-1]) * unit, "pattern": pattern,
            "direction": direction, "depth": int(depth[2:])}


def ratio(cell, lane, other, kind):
    """Of what an I/O takes, within each round; None if one of them did not run."""
    if lane not in cell["lanes"] or other not in cell["lanes"]:
        return None
    pairs = zip(cell["lanes"][lane]["rounds"], cell["lanes"][other]["rounds"])
    return spread(a[kind] / a["ios"] / (b[kind] / b["ios"]) for a, b in pairs)


def make_cell(name, runs):
    """runs: {lane: {round: record}}"""
    cell = parse_cell(name)
    cell["lanes"] = {}
    for lane, by_round in runs.items():
        rounds = [by_round[k] for k in sorted(by_round)]
        cell["lanes"][lane] = {
            "instructions_per_io": spread(r["instructions"] / r["ios"] for r in rounds),
            "parts_per_io": {p: statistics.median(r["parts"][p] / r["ios"] for r in rounds)
                             for p in insns.PARTS},
            "busy_us_per_io": spread(r["busy"] / r["ios"] * 1e6 for r in rounds),
            "sleeps_per_io": spread(r["sleeps"] / r["ios"] for r in rounds),
            "ios_per_second": spread(r["ios"] / r["seconds"] for r in rounds),
            "bytes_per_second": spread(r["ios"] / r["seconds"] * cell["block_bytes"]
                                       for r in rounds),
            "rounds": rounds,
        }
        if rounds[0]["polls"]:
            polls = statistics.median(r["driver_polls"] / r["polls"] for r in rounds)
            if not 0.5 < polls < POLLS_MORE:
                raise SystemExit(f"report: {lane}, {name}: the driver is asked {polls:.2f} times "
                                 "as often as needed, so that waiting counts")
            cell["lanes"][lane]["polls"] = polls
    for lane, numbers in cell["lanes"].items():
        others = REFERENCES.get("library" if lane.startswith("library-") else lane, ())
        other = next((o for o in others if o in cell["lanes"]), None)
        if other:
            numbers["reference"] = other
            numbers["ratio"] = {kind: ratio(cell, lane, other, kind)
                                for kind in ("instructions", "busy", "seconds")}
    return cell


def make_machine(directory, iommu):
    """(what results.json has of a machine, its functions)"""
    found = records(f"{directory}/{iommu}.log")
    functions = count(found, f"{directory}/{iommu}.insns")
    runs = collections.defaultdict(lambda: collections.defaultdict(dict))
    for r in found["run"]:
        runs[r["cell"]][r["lane"]][r["round"]] = {
            k: r[k] for k in ("ios", "polls", "driver_polls", "instructions", "parts", "sleeps",
                              "seconds", "busy")}
    return {**found["machine"][0], "background": found["background"][0],
            "lanes": found["lane"], "metadata": found["metadata"],
            "cells": [make_cell(name, lanes) for name, lanes in runs.items()]}, functions


def worst_of(machine, pattern, pairs, kind):
    """(cell and lane, ratio) of the largest median, or None."""
    values = {f"{cell['name']} {pair[0]}": r["median"]
              for cell in machine["cells"] if re.fullmatch(pattern, cell["name"])
              for pair in pairs if (r := ratio(cell, *pair, kind))}
    return max(values.items(), key=lambda item: item[1], default=None)


def judge_absolute(machine):
    for pattern, lane, part, limit, text in ABSOLUTE:
        values = {f"{c['name']} {lane}": round(c["lanes"][lane]["parts_per_io"][part] if part else
                                              c["lanes"][lane]["instructions_per_io"]["median"])
                  for c in machine["cells"]
                  if re.fullmatch(pattern, c["name"]) and lane in c["lanes"]}
        if values:
            worst = max(values, key=values.get)
            yield {"iommu": machine["iommu"], "text": text, "limit": limit, "worst": worst,
                   "value": values[worst], "busy": None, "floor": None,
                   "met": values[worst] <= limit}


def judge(machines):
    """A goal is met by its instructions; "busy" is told beside it. "floor" is what the bare
    command comes to at worst, where that is measured: the floor under any module that makes
    a command of each entry and has it completed by interrupt."""
    goals = []
    for machine in machines:
        for iommu, pattern, pairs, limit, text in GOALS:
            if iommu not in (None, machine["iommu"]):
                continue
            worst = worst_of(machine, pattern, pairs, "instructions")
            if worst:
                floor = pairs is TO_FIXED and worst_of(machine, pattern, FLOOR, "instructions")
                goals.append({"iommu": machine["iommu"], "text": text, "limit": limit,
                              "worst": worst[0], "value": worst[1],
                              "busy": worst_of(machine, pattern, pairs, "busy")[1],
                              "floor": floor[1] if floor else None,
                              "met": worst[1] <= limit})
        goals += judge_absolute(machine)
        sizes = {m["buffer_bytes"]: m["metadata_bytes"] for m in machine["metadata"]}
        goals.append({"iommu": machine["iommu"], "limit": sizes[min(sizes)],
                      "text": "metadata of a BAR is independent of its size",
                      "worst": f"{max(sizes) >> 20} MiB beside {min(sizes) >> 20} MiB",
                      "value": sizes[max(sizes)], "busy": None, "floor": None,
                      "met": len(set(sizes.values())) == 1})
    return goals


def print_lane(lane, numbers, depth):
    n = numbers["instructions_per_io"]
    row = f"  {lane:<17}{n['median']:10.0f}{n['q1']:11.0f}..{n['q3']:<8.0f}"
    row += "".join(f"{numbers['parts_per_io'][p]:9.0f}" for p in insns.PARTS)
    row += f"{numbers['busy_us_per_io']['median']:11.1f}"
    if "reference" in numbers:
        r = numbers["ratio"]
        row += f"{r['instructions']['median']:9.2f}{r['busy']['median']:7.2f}  " \
               f"{numbers['reference']:<15}"
    if depth == 1 and numbers["sleeps_per_io"]["median"] < 0.95:
        row += f"  slept for {numbers['sleeps_per_io']['median']:.2f} of the transfers only"
    if "polls" in numbers:
        row += f"  {numbers['polls']:.2f} of the polls needed"
    print(row)


def print_machine(machine):
    print(f"\nIOMMU {machine['iommu']}, kernel {machine['kernel']}, {machine['accel']}, "
          f"{machine['cpus']} CPUs: instructions per I/O")
    for cell in machine["cells"]:
        print(f"\n{cell['name']:<21}{'median':>8}{'middle half':>17}    " +
              "".join(f"{p:>9}" for p in insns.PARTS) +
              f"{'busy, us':>11}{'ratio':>9}{'busy':>7}  to")
        for lane, numbers in cell["lanes"].items():
            print_lane(lane, numbers, cell["depth"])


def print_elapsed(machine):
    """Where what counts is that copying and the drive's work overlap."""
    for cell in machine["cells"]:
        for lane, numbers in cell["lanes"].items():
            if numbers.get("reference") == "naive-udmabuf":
                r = numbers["ratio"]["seconds"]
                print(f"  {cell['name']}: {lane} takes {r['median']:.2f} "
                      f"({r['q1']:.2f}..{r['q3']:.2f}) of the time of the simplest bounce")


def print_goals(goals):
    print(f"\n{'goal: instructions per I/O':<59}{'limit':>7}{'worst':>8}  {'':<8}{'busy':>6}")
    for g in goals:
        number = "{:.2f}" if isinstance(g["value"], float) else "{}"
        busy = number.format(g["busy"]) if g["busy"] is not None else ""
        print(f"{'IOMMU ' + g['iommu']:<13}{g['text']:<46}{number.format(g['limit']):>7}"
              f"{number.format(g['value']):>8}  {'met' if g['met'] else 'missed':<8}"
              f"{busy:>6}  {g['worst']}")
        if g["floor"]:
            print(f"{'':<13}{'  the bare command at worst, which is the floor':<53}"
                  f"{g['floor']:8.2f}")


def host():
    model = "unknown"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"kernel": platform.release(), "cpus": os.cpu_count(), "model": model,
            "load": os.getloadavg()[1]}


def print_load(load, cpus):
    if load > cpus:
        print(f"\nThe host was busy, {load:.1f} tasks for {cpus} CPUs: where one transfer is in "
              "flight, the numbers for the kernel are too high.")


def write(path, what):
    with open(path + ".new", "w") as f:
        json.dump(what, f, indent=1)
        f.write("\n")
    os.rename(path + ".new", path)


def main(argv):
    directory, iommus = argv[0], [m for m in argv[1:] if m != "scale"]
    qemu = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True,
                          text=True, check=True).stdout.split("\n")[0]
    machines, functions = [], {}
    for iommu in iommus:
        machine, functions[iommu] = make_machine(directory, iommu)
        machines.append(machine)
        chart.draw(machine, f"{directory}/{iommu}.svg")
    goals = judge(machines)
    scaled = {}
    if "scale" in argv[1:]:
        records, windows = scale.read(f"{directory}/scale.log", f"{directory}/scale.insns")
        scaled = scale.cases(records, [windows[w] for w in sorted(windows)])
        goals += scale.goals(scaled)
    now = datetime.datetime.now(datetime.timezone.utc)
    write(f"{directory}/functions.json", functions)
    write(f"{directory}/results.json",
          {"version": VERSION, "date": now.isoformat(timespec="seconds"), "qemu": qemu,
           "host": host(), "machines": machines, "scale": scaled, "goals": goals})
    for machine in machines:
        print_machine(machine)
        print_elapsed(machine)
    if scaled:
        scale.show(scaled)
    print_goals(goals)
    print_load(os.getloadavg()[1], os.cpu_count())
    print(f"\n{qemu}; all numbers: {directory}/results.json; diagrams: IOMMU.svg; "
          "functions: bench/profile")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
