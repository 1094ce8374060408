"""boot - boot one machine, run programs in it, and collect what the judge makes of it."""

import contextlib
import dataclasses
import fcntl
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time

import configs
import judge
import kernels
import machine
import pack
import session

LOGS = kernels.BUILD + "/vm/logs"


@dataclasses.dataclass(frozen=True)
class Program:
    """A program to run in the guest."""
    name: str
    path: str               # in the guest
    args: tuple = ()
    limit: int = 300        # seconds
    tests: bool = False     # it speaks the protocol of tests/README.md


class Machine:
    """One boot of one configuration. Is the listener of its session.Session.

    results     judge.Result of everything seen
    status      exit status of each program that ended
    """

    volatile = ()           # roles of disks that a volatile.Disk is behind
    boot_limit = 120        # seconds until the guest says that it is ready
    boot_tries = 3
    grace = 60              # seconds beyond a program's limit, for the guest to act

    def __init__(self, kernel, config, how, programs, echo=None):
        """how: "kvm" or "tcg"; echo: gets line(text) and console(text), or None."""
        self.name = configs.name(kernel, config)
        self.kernel = kernel
        self.config = config
        self.results = []
        self.status = {}
        self.environment = {}   # further variables for the programs
        self.counts = None      # file for the counts of instructions, if they are counted
        self.seconds = 0.0
        self.boot_seconds = 0.0
        self.hung_boots = 0
        self._how = how
        self._set_programs(programs)
        self._echo = echo
        self._state = "boot"    # boot, idle, list, run, log
        self._running = None    # judge.Program
        self._listed = {}       # program name: names of its tests
        self._empty = 0         # empty lines not passed on yet
        self._text = []         # lines of the list or log being read
        self._charged = "boot"  # what a fault is charged to
        self._deadline = None
        self._started = 0.0
        self._greeted = False   # process 1 runs
        self._silent = False    # the last boot hung before process 1
        self._done = False
        self._shell = False

    def _set_programs(self, programs):
        self._programs = {p.name: dataclasses.replace(p, limit=p.limit * self.kernel.slow)
                          for p in programs}

    # --- what the session calls -------------------------------------------------------

    def cut_at(self):
        return None

    def deadline(self):
        return self._deadline

    def last_seconds(self, seconds):
        self._deadline = time.monotonic() + seconds

    def console(self, data):
        if self._echo:
            self._echo.console(data.decode(errors="replace"))

    def line(self, text):
        if text.startswith("@drw "):
            words = text[5:].split(" ")
            getattr(self, "_on_" + words[0].replace("-", "_"))(*words[1:])
        elif self._state in ("list", "log"):
            self._text.append(text)
        else:
            if self._echo and (text or self._state == "run"):
                self._pass_on(text)
            if self._running:
                self._add(self._running.line(text))

    def _pass_on(self, text):
        # Empty lines wait for the next: the guest's script ends a program's output
        # with one, which is not the program's.
        if not text:
            self._empty += 1
            return
        for _ in range(self._empty):
            self._echo.line("")
        self._empty = 0
        self._echo.line(text)

    # --- the guest's own lines --------------------------------------------------------

    def _on_hello(self):
        self._greeted = True

    def _on_ready(self, _release):
        self.boot_seconds = time.monotonic() - self._started
        self._state = "idle"
        self._expect(0)

    def _on_list(self, _name):
        self._state, self._text = "list", []
        self._expect(60)

    def _on_list_end(self, name, status):
        self._state = "idle"
        try:
            if status != "0":
                raise ValueError(f"--list ended with status {status}")
            self._listed[name] = judge.parse_list(self._text)
        except ValueError as why:
            self._fail(f"{name}/list", str(why))

    def _on_begin(self, name):
        program = self._programs[name]
        self._state, self._charged = "run", name
        if program.tests:
            self._running = judge.Program(f"{self.name}/{name}", self._listed.get(name))
        self._expect(program.limit)

    def _on_end(self, name, status):
        self._state, self._empty = "idle", 0
        self.status[name] = int(status)
        self._end_program(judge.ending(int(status), self._programs[name].limit))
        self._expect(0)

    def _on_log(self, _what):
        self._state, self._text = "log", []

    def _on_log_end(self):
        self._state = "idle"
        found = judge.splats(self._text)
        if found:
            more = f" (and {len(found) - 1} more lines)" if len(found) > 1 else ""
            self._fail(f"{self._charged}/kernel-log", found[0].strip() + more)

    def _on_loaded(self, _module):
        pass

    def _on_unloaded(self, module):
        self._charged = "unload"
        self._add(judge.Result(f"{self.name}/unload/{module}", "ok"))

    def _on_unload_failed(self, module):
        self._charged = "unload"
        self._fail(f"unload/{module}", "it stays in use after all programs have ended")

    def _on_note(self, *words):
        self._fail(f"{self._charged}/note", " ".join(words))

    def _on_done(self):
        self._done = True
        self._expect(0)

    # --- results ----------------------------------------------------------------------

    def _add(self, result):
        if result:
            self.results.append(result)

    def _fail(self, what, why):
        self._add(judge.Result(f"{self.name}/{what}", "not ok", why))

    def _expect(self, seconds):
        if not self._shell:
            self._deadline = time.monotonic() + seconds + self.grace * self.kernel.slow

    def _end_program(self, why):
        if self._running:
            self.results += self._running.end(why)
        self._running = None

    # --- running ----------------------------------------------------------------------

    def run(self, files, texts, cmdline="", shell=False):
        """files, texts: contents of the guest beside its own, {path: path here},
        {path: text}. cmdline: further kernel parameters. shell: on our terminal."""
        self._shell = shell
        directory = tempfile.mkdtemp(prefix="vm.")
        try:
            self._prepare(directory, files, texts)
            with self._own_logs() as logs:
                self._run(directory, logs, cmdline)
                # Now and then the emulator hangs while the kernel boots. That tells nothing
                # about this project, none of which has been loaded by then.
                while self._silent and self.hung_boots + 1 < self.boot_tries:
                    self.hung_boots += 1
                    self.results = []
                    self._run(directory, logs, cmdline)
                if any(r.outcome == "not ok" for r in self.results):
                    # The next run of this machine will not overwrite these.
                    shutil.rmtree(logs + ".failed", ignore_errors=True)
                    shutil.copytree(logs, logs + ".failed")
        finally:
            shutil.rmtree(directory)

    def _settings(self):
        values = {
            "DRW_KERNEL": self.kernel.short,
            "DRW_KERNEL_PACKAGE": self.kernel.package,
            "DRW_CONFIG": self.config.name,
            "DRW_IOMMU": self.config.iommu,
            "DRW_MULTIPATH": int(self.config.multipath),
            "DRW_ACCEL": self._how,
            "DRW_SLOW": self.kernel.slow,
            "DRW_DISKS": machine.disks_expected(self.config),
            "DRW_BAR_MB": machine.BAR_MB,
            "DRW_FREE_MB": machine.FREE_MB,
            **self.environment,
        }
        return "".join(f"export {k}='{v}'\n" for k, v in values.items()) + \
            f"SHELL_WANTED={int(self._shell)}\n"

    def _guest_settings(self):
        lines = "".join(f"{p.name} {p.limit} {int(p.tests)} {p.path} {' '.join(p.args)}\n"
                        for p in self._programs.values())
        return {"etc/drw/settings": self._settings(), "etc/drw/programs": lines}

    def _prepare(self, directory, files, texts):
        machine.make_disks(directory)
        pack.initrd(f"{directory}/initrd", self.kernel, files,
                    {**self._guest_settings(), **texts})

    @contextlib.contextmanager
    def _own_logs(self):
        """A log directory; not that of another run of this machine that goes on now."""
        for suffix in itertools.chain([""], (f".{n}" for n in itertools.count(2))):
            logs = f"{LOGS}/{self.name.replace('/', '-')}{suffix}"
            os.makedirs(logs, exist_ok=True)
            with open(f"{logs}/.lock", "w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    continue
                yield logs
                return

    def _run(self, directory, logs, cmdline):
        argv = machine.qemu(self.kernel, self.config, self._how, directory, self._shell,
                            cmdline, self.volatile, self.counts)
        with open(f"{logs}/qemu.cmd", "w") as f:
            f.write(subprocess.list2cmdline(argv) + "\n")
        with contextlib.ExitStack() as stack:
            log = {n: stack.enter_context(open(f"{logs}/{n}.log", "wb", buffering=0))
                   for n in ("console", "report", "qemu")}
            self._started = time.monotonic()
            if not self._shell:
                self._deadline = self._started + self.boot_limit * self.kernel.slow
            run = session.Session(directory, argv, self, log, self._shell)
            status = run.run()
        self.seconds = time.monotonic() - self._started
        self._silent = run.timed_out and not self._greeted
        if self._silent:
            # With the processors' registers, for who wants to know where it was.
            os.replace(f"{logs}/qemu.log", f"{logs}/qemu-hung.log")
            self._fail("boot/timeout", "the kernel did not get to process 1")
        elif not self._shell:
            self._judge_end(run.timed_out, status, logs)
        elif status:
            print(f"QEMU ended with status {status}: {self._last_words(logs)}", file=sys.stderr)

    @staticmethod
    def _last_words(logs):
        with open(f"{logs}/qemu.log", errors="replace") as f:
            words = [line for line in f.read().splitlines() if "warning:" not in line]
        return "".join(words[-1:])

    def _judge_end(self, timed_out, status, logs):
        if self._running:
            self._end_program("the machine ended while it ran")
        with open(f"{logs}/console.log", errors="replace") as f:
            # What SysRq shows of a machine that hangs is no fault of its own.
            found = judge.splats(f.read().partition("sysrq: Show")[0].splitlines())
        if found and not any(r.name.endswith("/kernel-log") for r in self.results):
            self._fail(f"{self._charged}/console", found[0].strip())
        if timed_out:
            self._fail(f"{self._charged}/timeout",
                       "the machine did not answer in time; console.log tells what waits")
        elif not self._done:
            self._fail(f"{self._charged}/machine",
                       f"it ended early (QEMU's status {status}) {self._last_words(logs)}".rstrip())
