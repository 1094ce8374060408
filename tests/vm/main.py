"""main - the command line of the test machine runner (tests/vm/run)."""

import argparse
import collections
import concurrent.futures
import fnmatch
import os
import re
import sys
import threading

import accel
import boot
import built
import configs
import hostfiles
import instructions
import kernels
import machine
import powercut

PROGRAM_SECONDS = 600

# Programs in build/guest that are not tests, or not for every machine.
NOT_TESTS = ("demo", "power_cut")


class Echo:
    """Shows what the guest says as it says it."""

    def __init__(self, console, output):
        self._console = console
        self._output = output

    def line(self, text):
        print(text, flush=True)
        if self._output:
            self._output.write(text + "\n")

    def console(self, text):
        if self._console:
            sys.stdout.write(text)
            sys.stdout.flush()


def test_programs():
    return [p for p in built.guest_programs() if p not in NOT_TESTS]


def choose_programs(words, limit, seed):
    """boot.Program for all programs, or for those that "PROGRAM[/TEST]" words name."""
    every = test_programs()
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


def choose_configs(patterns, every, hidden):
    """Machines that the patterns name; hidden ones only where no other fits."""
    chosen = []
    for pattern in patterns or ["*/*"]:
        # "strict" means the newest kernel's.
        if "/" not in pattern:
            pattern = f"{kernels.newest([k for k, _ in every]).short}/{pattern}"
        found = [p for p in every if fnmatch.fnmatch(configs.name(*p), pattern)] or \
            [p for p in hidden if fnmatch.fnmatch(configs.name(*p), pattern)]
        if not found:
            raise SystemExit(f"there is no configuration '{pattern}', only: "
                             + ", ".join(configs.name(*p) for p in every + hidden))
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
    p.add_argument("args", nargs="*", metavar="ARG",
                   help="arguments for --script, without spaces in them")
    p.add_argument("--shell", action="store_true",
                   help="give a shell on the machine's console (C-a x ends the machine)")
    p.add_argument("--add", action="append", default=[], metavar="FILE[:WHERE]",
                   help="also put FILE into the guest, at WHERE or in /root")
    p.add_argument("--env", action="append", default=[], metavar="NAME=VALUE",
                   help="also set a variable in the guest")
    p.add_argument("--cmdline", default="", help="further kernel parameters")
    p.add_argument("--timeout", type=int, default=PROGRAM_SECONDS, metavar="SECONDS",
                   help="what a program may take (default: %(default)s)")
    p.add_argument("--accel", choices=("kvm", "tcg"), default=os.environ.get("ACCEL"),
                   help="do not find out whether KVM works (also: ACCEL=kvm|tcg)")
    p.add_argument("--count", metavar="FILE",
                   help="count instructions between marks (bench/plugin.c) and write the "
                        "counts to FILE; the machine is emulated")
    p.add_argument("--jobs", type=int, default=1, metavar="N",
                   help="machines that run at a time (default: %(default)s)")
    p.add_argument("--results", metavar="FILE", help="append result lines to FILE")
    p.add_argument("--output", metavar="FILE", help="write what programs print to FILE")
    p.add_argument("--list", action="store_true",
                   help="list the machines and programs, and run nothing")
    p.add_argument("-v", "--verbose", action="count", default=0,
                   help="show what the programs print; -vv: the console too")
    args = p.parse_args(argv)
    for name in ("script", "results", "output", "count"):
        if getattr(args, name):
            setattr(args, name, hostfiles.here(getattr(args, name)))
    if args.count:
        args.accel = "tcg"
    if args.jobs < 1 or args.timeout < 1:
        p.error("--jobs and --timeout take numbers from 1 on")
    if args.script and not os.path.isfile(args.script):
        p.error("there is no file " + args.script)
    if args.args and not args.script:
        p.error("only --script takes arguments")
    if any(len(word.split()) != 1 for word in args.args):
        p.error("arguments for --script cannot be empty or have spaces in them")
    for word in args.env:
        if not re.match(r"^[A-Z_][A-Z0-9_]*=[^'\n]*$", word):
            p.error(f"--env takes NAME=VALUE without quotes, not: {word}")
    return args


def show_list(pairs):
    for kernel, config in pairs:
        print(f"machine {configs.name(kernel, config)}: {machine.cmdline(config)}")
    for program in test_programs():
        print(f"program {program}")


def count(results):
    n = collections.Counter(r.outcome for r in results)
    skipped = f", {n['skip']} skipped" if n["skip"] else ""
    return f"{n['ok']} passed, {n['not ok']} failed{skipped}"


def free_program(args, files, texts):
    """The one program that --cmd or --script asks for."""
    if args.cmd:
        texts["root/cmd"] = ". /etc/drw/env\n" + args.cmd + "\n"
        path, words = "/bin/sh", ("/root/cmd",)
    else:
        files["root/script"] = args.script
        with open(args.script, "rb") as f:
            executable = f.read(2) in (b"#!", b"\x7fE")
        path, words = ("/root/script", ()) if executable else ("/bin/sh", ("/root/script",))
        words += tuple(args.args)
    return boot.Program("program", path, words, args.timeout)


class Run:
    """Everything that one invocation boots."""

    def __init__(self, args, how):
        self.args = args
        self.how = how
        self.free = bool(args.cmd or args.script or args.shell)
        self.results = []
        self.status = 0
        self._words = [t for w in args.tests for t in w.split(",") if t]
        self._printing = threading.Lock()
        self._files, self._texts = {}, {}
        for word in args.add:
            source, _, where = word.partition(":")
            source = hostfiles.here(source)
            if not os.path.isfile(source):
                raise SystemExit(f"--add {word}: there is no such file")
            self._files[where or "root/" + os.path.basename(source)] = source
        if args.shell:
            self._programs = []
        elif self.free:
            self._programs = [free_program(args, self._files, self._texts)]
        else:
            self._programs = choose_programs(self._words, args.timeout, args.seed)
            self._files.update((p.path, f"{built.GUEST}/{p.name}")
                               for p in self._programs)

    def _programs_for(self, config):
        if self.free or self._words:
            return self._programs
        programs = self._programs
        if config.tests:
            programs = choose_programs(config.tests, self.args.timeout, self.args.seed)
        first, step = config.part
        return programs[first::step]

    def one(self, pair):
        """Boot one machine."""
        args = self.args
        output = open(args.output, "a") if args.output else None
        echo = Echo(args.verbose > 1, output) if args.verbose or self.free else None
        if pair[1].cuts and not self.free:
            m = powercut.PowerCut(*pair, self.how, echo, args.seed)
        elif pair[1].counted and not self.free:
            m = instructions.Instructions(*pair, echo)
        else:
            m = boot.Machine(*pair, self.how, self._programs_for(pair[1]), echo)
        m.environment = dict(word.split("=", 1) for word in args.env)
        m.counts = args.count
        if self._words or pair[1].tests or pair[1].cuts:
            # What someone names runs everywhere.
            m.environment["DRW_NAMED"] = "1"
        try:
            m.run(self._files, self._texts, args.cmdline, args.shell)
        finally:
            if output:
                output.close()
        if not args.shell:
            with self._printing:
                self._report(m)

    def _report(self, m):
        self.results += m.results
        self.status = max(self.status, *m.status.values(), 0)
        lines = [f"{r.outcome} {r.name}" + (f" - {r.why}" if r.why else "")
                 for r in m.results]
        if self.args.results:
            with open(self.args.results, "a") as f:
                f.writelines(line + "\n" for line in lines)
        for line in lines:
            if line.startswith("not ok") or (self.args.verbose and line.startswith("skip")):
                print(line)
        if not self.free:
            print(f"# {m.name}: {count(m.results)}; ready after {m.boot_seconds:.1f} s, "
                  f"{m.seconds:.0f} s in all ({self.how})"
                  + (f"; {m.hung_boots} boot hung and was repeated" * bool(m.hung_boots)),
                  flush=True)

    def all(self, pairs):
        """Exit status."""
        args = self.args
        if self.free and not args.config:
            pairs = pairs[:1]
        if self._words:
            # These do one thing only.
            pairs = [p for p in pairs if not p[1].cuts and not p[1].counted]
        if args.output:
            open(args.output, "w").close()
        jobs = 1 if self.free else args.jobs
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for done in [pool.submit(self.one, pair) for pair in pairs]:
                done.result()
        bad = any(r.outcome == "not ok" for r in self.results)
        if self.free:
            return self.status or int(bad)
        if not args.results:
            # Otherwise whoever reads the file has the last word.
            print(count(self.results), flush=True)
        return int(bad or not any(r.outcome == "ok" for r in self.results))


def main(argv):
    args = parse(argv)
    built.take()
    every = configs.table(kernels.load())
    hidden = configs.debug_table(kernels.load_debug())
    pairs = choose_configs(args.config, every, hidden)
    if args.list:
        show_list(pairs + hidden * (not args.config))
        return 0
    return Run(args, accel.choose(args.accel, kernels.newest([k for k, _ in every]))).all(pairs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
