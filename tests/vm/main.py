"""main - the command line of the test machine runner (tests/vm/run)."""

import argparse
import fnmatch
import os
import sys

import accel
import boot
import configs
import kernels
import machine

GUEST_PROGRAMS = kernels.BUILD + "/guest"
PROGRAM_SECONDS = 300


class Echo:
    """Shows what the guest says as it says it."""

    def __init__(self, console):
        self._console = console

    def line(self, text):
        print(text, flush=True)

    def console(self, text):
        if self._console:
            sys.stdout.write(text)
            sys.stdout.flush()


def guest_programs():
    """Names of the test programs that are built."""
    if not os.path.isdir(GUEST_PROGRAMS):
        return []
    return sorted(f for f in os.listdir(GUEST_PROGRAMS)
                  if "." not in f and f not in ("demo", "bench")
                  and os.path.isfile(f"{GUEST_PROGRAMS}/{f}")
                  and os.access(f"{GUEST_PROGRAMS}/{f}", os.X_OK))


def choose_programs(words, limit, seed):
    """boot.Program for all programs, or for those that "PROGRAM[/TEST]" words name."""
    every = guest_programs()
    chosen = {}
    for word in words or every:
        program, _, test = word.partition("/")
        found = fnmatch.filter(every, program)
        if not found:
            raise SystemExit(f"there is no guest program '{program}', only: "
                             f"{', '.join(every) or '(none is built)'}")
        for p in found:
            chosen.setdefault(p, [])
            if test:
                chosen[p] += ["--only", test]
    more = ["--seed", str(seed)] if seed is not None else []
    return [boot.Program(p, f"/root/{p}", tuple(args + more), limit, tests=True)
            for p, args in chosen.items()]


def choose_configs(patterns, every):
    chosen = []
    for pattern in patterns or ["*/*"]:
        # "strict" means the newest kernel's.
        if "/" not in pattern:
            pattern = f"{every[0][0].short}/{pattern}"
        found = [p for p in every if fnmatch.fnmatch(configs.name(*p), pattern)]
        if not found:
            raise SystemExit(f"there is no configuration '{pattern}', only: "
                             + ", ".join(configs.name(*p) for p in every))
        chosen += [p for p in found if p not in chosen]
    return chosen


def parse(argv):
    p = argparse.ArgumentParser(prog="tests/vm/run", description="Boot test machines.")
    p.add_argument("--config", action="append", default=[], metavar="[KERNEL/]CONFIG",
                   help="which machine, wildcards allowed, may be given again; without "
                        "KERNEL/ it is the newest kernel's (default: all)")
    p.add_argument("--tests", action="append", default=[], metavar="PROGRAM[/TEST],...",
                   help="which guest programs, and which of their tests (default: all)")
    p.add_argument("--seed", type=int, help="seed for the programs' random choices")
    p.add_argument("--cmd", help="run this shell command instead of tests")
    p.add_argument("--script", metavar="FILE",
                   help="run this script or program instead of tests")
    p.add_argument("--shell", action="store_true",
                   help="give a shell on the machine's console (C-a x ends the machine)")
    p.add_argument("--add", action="append", default=[], metavar="FILE[:WHERE]",
                   help="also put FILE into the guest, at WHERE or in /root")
    p.add_argument("--cmdline", default="", help="further kernel parameters")
    p.add_argument("--timeout", type=int, default=PROGRAM_SECONDS, metavar="SECONDS",
                   help="what a program may take (default: %(default)s)")
    p.add_argument("--accel", choices=("kvm", "tcg"), default=os.environ.get("ACCEL"),
                   help="do not find out whether KVM works (also: ACCEL=kvm|tcg)")
    p.add_argument("--list", action="store_true",
                   help="list the machines and programs, and run nothing")
    p.add_argument("-v", "--verbose", action="count", default=0,
                   help="show what the programs print; -vv: the console too")
    return p.parse_args(argv)


def show_list(pairs):
    for kernel, config in pairs:
        print(f"machine {configs.name(kernel, config)}: {machine.cmdline(config)}")
    for program in guest_programs():
        print(f"program {program}")


def summary(results):
    """The last line, and whether it tells of success."""
    count = {o: sum(r.outcome == o for r in results) for o in ("ok", "not ok", "skip")}
    skipped = f", {count['skip']} skipped" if count["skip"] else ""
    print(f"{count['ok']} passed, {count['not ok']} failed{skipped}", flush=True)
    return count["ok"] > 0 and count["not ok"] == 0


def print_results(m, how, verbose):
    for r in m.results:
        if verbose or r.outcome == "not ok":
            print(f"{r.outcome} {r.name}" + (f" - {r.why}" if r.why else ""))
    print(f"# {m.name}: ready after {m.boot_seconds:.1f} s, "
          f"{m.seconds:.1f} s in all ({how})", flush=True)


def main(argv):
    args = parse(argv)
    every = configs.table(kernels.load())
    pairs = choose_configs(args.config, every)
    if args.list:
        show_list(pairs)
        return 0
    how = accel.choose(args.accel, every[0][0])
    files, texts = {}, {}
    for word in args.add:
        source, _, where = word.partition(":")
        files[where or "root/" + os.path.basename(source)] = source
    free = args.cmd or args.script or args.shell
    if args.shell:
        programs = []
    elif args.cmd:
        texts["root/cmd"] = ". /etc/drw/env\n" + args.cmd + "\n"
        programs = [boot.Program("cmd", "/bin/sh", ("/root/cmd",), args.timeout)]
    elif args.script:
        files["root/script"] = args.script
        with open(args.script, "rb") as f:
            executable = f.read(2) in (b"#!", b"\x7fE")
        programs = [boot.Program("script", "/root/script", (), args.timeout)
                    if executable else
                    boot.Program("script", "/bin/sh", ("/root/script",), args.timeout)]
    else:
        words = [t for w in args.tests for t in w.split(",") if t]
        programs = choose_programs(words, args.timeout, args.seed)
        files.update((p.path, f"{GUEST_PROGRAMS}/{p.name}") for p in programs)
    echo = Echo(args.verbose > 1) if args.verbose or free else None
    if free and not args.config:
        pairs = pairs[:1]

    results, status = [], 0
    for kernel, config in pairs:
        m = boot.Machine(kernel, config, how, programs, echo)
        m.run(files, texts, args.cmdline, args.shell)
        if not args.shell:
            print_results(m, how, args.verbose)
        results += m.results
        status = status or max(m.status.values(), default=0)
    if free:
        return status or any(r.outcome == "not ok" for r in results)
    return 0 if summary(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
