"""report - turn what measure printed into results.json and a table.

usage: report.py RESULTS LOG...

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

VERSION = 1

# What the ratios are of, for each cell: (lane, what it is compared with).
PAIRS = (
    ("direct-bar", "fixed"),
    ("direct-udmabuf", "fixed"),
    ("direct-heap", "fixed"),
    ("floor-udmabuf", "fixed"),
    ("direct-udmabuf", "floor-udmabuf"),
    ("direct-bar", "bounce-bar"),
    ("direct-udmabuf", "bounce-udmabuf"),
    ("file-udmabuf", "direct-udmabuf"),
    ("odd-udmabuf", "direct-udmabuf"),
)


# (machine's IOMMU or None for all, pattern of cells, pairs, largest ratio, text)
TO_FIXED = (("direct-bar", "fixed"), ("direct-udmabuf", "fixed"))
FLOOR = (("floor-udmabuf", "fixed"),)
TO_BOUNCE = (("direct-bar", "bounce-bar"), ("direct-udmabuf", "bounce-udmabuf"))
GOALS = (
    ("off", r"4k-random-.*-qd32", TO_FIXED, 0.5, "4 KiB, QD32: CPU per I/O beside READ_FIXED"),
    ("strict", r"4k-random-.*-qd32", TO_FIXED, 0.2, "4 KiB, QD32: CPU per I/O beside READ_FIXED"),
    (None, r"4k-random-.*-qd32", (("direct-udmabuf", "floor-udmabuf"),), 1.2,
     "4 KiB, QD32: CPU per I/O beside a bare command"),
    (None, r"(128k|1m)-.*", TO_BOUNCE, 0.33, "128 KiB and above: CPU per I/O beside bounce"),
    (None, r"(4k|128k)-.*-qd32", (("file-udmabuf", "direct-udmabuf"),), 1.05,
     "QD32: CPU per I/O of a file beside the disk"),
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
    found = collections.defaultdict(list)
    with open(path) as f:
        for line in f:
            if line.startswith("{"):
                record = json.loads(line)
                found[record.pop("record")].append(record)
    if not found["machine"] or not found["run"]:
        raise SystemExit(f"report: {path} has no measurements")
    return found


def pairs_of(lanes):
    """PAIRS among these lanes, and each of the library's bouncing beside the simplest."""
    pairs = PAIRS + tuple((n, "naive-udmabuf") for n in lanes if n.startswith("library-"))
    return [p for p in pairs if p[0] in lanes and p[1] in lanes]


def parse_cell(name):
    block, pattern, direction, depth = name.split("-")
    unit = {"k": 1 << 10, "m": 1 << 20}[block[-1]]
    return {"name": name, "block_bytes": int(block[:-1]) * unit, "pattern": pattern,
            "direction": direction, "depth": int(depth[2:])}


def make_cell(name, runs):
    """runs: {lane: {round: record}}"""
    cell = parse_cell(name)
    cell["lanes"] = {}
    for lane, by_round in runs.items():
        rounds = [by_round[k] for k in sorted(by_round)]
        cell["lanes"][lane] = {
            "busy_us_per_io": spread(r["busy"] / r["ios"] * 1e6 for r in rounds),
            "host_us_per_io": spread(r["host"] / r["ios"] * 1e6 for r in rounds),
            "ios_per_second": spread(r["ios"] / r["seconds"] for r in rounds),
            "bytes_per_second": spread(r["ios"] / r["seconds"] * cell["block_bytes"]
                                       for r in rounds),
            "rounds": rounds,
        }
    cell["ratios"] = []
    for lane, other in pairs_of(runs):
        cell["ratios"].append({
            "lane": lane, "beside": other,
            **{kind: spread(runs[lane][k][kind] / runs[lane][k]["ios"] /
                            (runs[other][k][kind] / runs[other][k]["ios"])
                            for k in runs[lane])
               for kind in ("busy", "host", "seconds")}})
    return cell


def make_machine(path):
    found = records(path)
    runs = collections.defaultdict(lambda: collections.defaultdict(dict))
    for r in found["run"]:
        runs[r["cell"]][r["lane"]][r["round"]] = {k: r[k] for k in
                                                  ("ios", "seconds", "busy", "host")}
    return {**found["machine"][0], "background": found["background"][0],
            "lanes": found["lane"], "metadata": found["metadata"],
            "cells": [make_cell(name, lanes) for name, lanes in runs.items()]}


def ratio_of(cell, pair):
    return next((r for r in cell["ratios"] if (r["lane"], r["beside"]) == pair), None)


def worst_of(machine, pattern, pairs, kind):
    """(cell and lane, ratio) of the largest median, or None."""
    values = {f"{cell['name']} {pair[0]}": r[kind]["median"]
              for cell in machine["cells"] if re.fullmatch(pattern, cell["name"])
              for pair in pairs if (r := ratio_of(cell, pair))}
    return max(values.items(), key=lambda item: item[1], default=None)


def floor_of(machine, pattern, pairs):
    """{kind: ratio} of the bare command, where a goal is beside the same; or None."""
    if pairs is not TO_FIXED or not worst_of(machine, pattern, FLOOR, "busy"):
        return None
    return {kind: worst_of(machine, pattern, FLOOR, kind)[1] for kind in ("busy", "host")}


def judge(machines):
    """A goal counts as met by "busy"; "host" is told beside it, since a loaded host
    makes a lane that waits for emulated devices look busier than it is. "floor" is what
    the bare command comes to at worst, where that is measured: the floor under any module
    that makes a command of each entry and has it completed by interrupt."""
    goals = []
    for machine in machines:
        for iommu, pattern, pairs, limit, text in GOALS:
            if iommu not in (None, machine["iommu"]):
                continue
            worst = worst_of(machine, pattern, pairs, "busy")
            if worst:
                goals.append({"iommu": machine["iommu"], "text": text, "limit": limit,
                              "worst": worst[0], "value": worst[1],
                              "host": worst_of(machine, pattern, pairs, "host")[1],
                              "floor": floor_of(machine, pattern, pairs),
                              "met": worst[1] <= limit})
        sizes = {m["buffer_bytes"]: m["metadata_bytes"] for m in machine["metadata"]}
        goals.append({"iommu": machine["iommu"], "limit": sizes[min(sizes)],
                      "text": "binding metadata of a BAR is independent of its size",
                      "worst": f"{max(sizes) >> 20} MiB beside {min(sizes) >> 20} MiB",
                      "value": sizes[max(sizes)], "host": None, "floor": None,
                      "met": len(set(sizes.values())) == 1})
    return goals


def short(lane):
    return lane.replace("direct-", "")


def pair_name(pair):
    other = pair[1].split("-")[0]
    ours = "floor" if pair[0].startswith("floor") else short(pair[0])
    return f"{ours} / {'disk' if other == 'direct' else other}"


def limit_of(iommu, cell, pair):
    """The goal for a ratio, or None."""
    return next((limit for only, pattern, pairs, limit, _ in GOALS
                 if only in (None, iommu) and pair in pairs and
                 re.fullmatch(pattern, cell["name"])), None)


def print_machine(machine):
    lanes = [lane["name"] for lane in machine["lanes"]]
    pairs = pairs_of(lanes)
    print(f"\nIOMMU {machine['iommu']}, kernel {machine['kernel']}, {machine['accel']}, "
          f"{machine['cpus']} CPUs")
    print(f"\n{'CPU time per I/O, microseconds':<32}" +
          "".join(f"{short(n):>16}" for n in lanes))
    for cell in machine["cells"]:
        print(f"  {cell['name']:<30}" + "".join(
            f"{cell['lanes'][n]['busy_us_per_io']['median']:16.1f}"
            if n in cell["lanes"] else " " * 16 for n in lanes))
    print(f"\n{'ratios, middle half, goal':<32}" +
          "".join(f"{pair_name(p):>26}" for p in pairs))
    for cell in machine["cells"]:
        row = f"  {cell['name']:<30}"
        for pair in pairs:
            r = ratio_of(cell, pair)
            if not r:
                row += " " * 26
                continue
            r = r["busy"]
            limit = limit_of(machine["iommu"], cell, pair)
            goal = f" <={limit:.2f}" if limit else " " * 7
            row += f"{r['median']:.2f} ({r['q1']:.2f}..{r['q3']:.2f}){goal}".rjust(26)
        print(row)


def print_elapsed(machine):
    """Where what counts is that copying and the drive's work overlap."""
    for cell in machine["cells"]:
        for ratio in cell["ratios"]:
            if ratio["beside"] == "naive-udmabuf":
                r = ratio["seconds"]
                print(f"  {cell['name']}: {ratio['lane']} takes {r['median']:.2f} "
                      f"({r['q1']:.2f}..{r['q3']:.2f}) of the time of the simplest bounce")


def print_goals(goals):
    print(f"\n{'goal':<62}{'limit':>7}{'worst':>8}  {'':<8}{'host view':>9}")
    for g in goals:
        number = "{:.2f}" if isinstance(g["value"], float) else "{}"
        view = number.format(g["host"]) if g["host"] is not None else ""
        print(f"{'IOMMU ' + g['iommu']:<13}{g['text']:<49}{number.format(g['limit']):>7}"
              f"{number.format(g['value']):>8}  {'met' if g['met'] else 'missed':<8}"
              f"{view:>9}  {g['worst']}")
        if g["floor"]:
            print(f"{'':<13}{'  the bare command at worst, which is the floor':<56}"
                  f"{g['floor']['busy']:8.2f}  {'':<8}{g['floor']['host']:9.2f}")
    if any(g["host"] is not None and (g["host"] <= g["limit"]) != g["met"] for g in goals):
        print("Where the host's view is on the other side of a limit, the host was too busy "
              "or the value is too near: run it again.")


def host():
    model = "unknown"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"kernel": platform.release(), "cpus": os.cpu_count(), "model": model,
            "load": os.getloadavg()[1]}


def main(argv):
    results, logs = argv[0], argv[1:]
    qemu = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True,
                          text=True, check=True).stdout.split("\n")[0]
    machines = [make_machine(log) for log in logs]
    goals = judge(machines)
    now = datetime.datetime.now(datetime.timezone.utc)
    with open(results + ".new", "w") as f:
        json.dump({"version": VERSION, "date": now.isoformat(timespec="seconds"),
                   "qemu": qemu, "host": host(), "machines": machines, "goals": goals},
                  f, indent=1)
        f.write("\n")
    os.rename(results + ".new", results)
    for machine in machines:
        print_machine(machine)
        print_elapsed(machine)
    print_goals(goals)
    print(f"\n{qemu}; all numbers: {results}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
