"""scale - what scale.c measured: instructions for each transfer, or page, where there are many
extents or CPUs, beside those of the first case of the same subject."""

import collections

import insns

# (subject, what an instruction is for, largest ratio to the first case or None)
SUBJECTS = (
    ("extents of a buffer", "transfer", 1.1),
    ("extents of a file", "transfer", 1.1),
    ("CPUs", "transfer", 1.03),
    ("to bind a buffer", "page", None),
    ("to bind one more file", "file", 1.03),
    ("calls", "transfer", 1.1),
    ("calls of 16 threads", "transfer", 1.1),
    ("batches of 128", "transfer", 1.1),
    ("files read once", "file", None),
)


def read(log, counts):
    """[record of the program], {window: {function: instructions}}"""
    found = insns.records(log)
    symbols = insns.Symbols(r["list"] for r in found["symbols"])
    return found["scale"], dict(insns.windows(counts, symbols))


def cases(records, windows):
    """{subject: {case: {of what: number}}}, in the order in which they ran; windows: in that order,
    too. Of the best round: what else the machine does comes on top."""
    rounds = collections.defaultdict(lambda: collections.defaultdict(list))
    for record, functions in zip(records, windows, strict=True):
        parts = insns.parts(functions)
        numbers = {"instructions": sum(parts.values()) / record["count"],
                   "module": parts[insns.OWN] / record["count"],
                   "program": parts["program"] / record["count"],
                   "kernel": parts[insns.REST] / record["count"]}
        numbers["work"] = numbers["instructions"] - numbers["kernel"]
        if "seconds" in record:
            numbers["seconds"] = record["seconds"]
        rounds[record["subject"]][record["case"]].append(numbers)
    return {subject: {case: {key: min(n[key] for n in found) for key in found[0]}
                      for case, found in of.items()} for subject, of in rounds.items()}


def ratio(of, case, key="instructions"):
    """To the first case."""
    return of[case][key] / next(iter(of.values()))[key]


def goals(found):
    for subject, _, limit in SUBJECTS:
        if limit and subject in found:
            worst = max(found[subject], key=lambda case: ratio(found[subject], case))
            value = ratio(found[subject], worst)
            yield {"iommu": "off", "text": subject, "limit": limit,
                   "worst": worst, "value": value, "busy": None, "floor": None,
                   "met": value <= limit}


def show(found):
    print("\nIOMMU off, 4 CPUs, 4 KiB random reads at depth 32 for each CPU: instructions")
    for subject, per, _ in SUBJECTS:
        if subject not in found:
            continue
        print(f"\n{subject:<32}{'per ' + per:>14}{'module':>9}{'program':>9}{'ratio':>8}")
        for case, n in found[subject].items():
            row = f"  {case:<30}{n['instructions']:14.1f}{n['module']:9.1f}" \
                  f"{n['program']:9.1f}{ratio(found[subject], case):8.2f}"
            if "seconds" in n:
                row += f"   {n['seconds'] * 1000:.1f} ms"
            print(row)
