"""powercut - a machine that loses power again and again while files are stored into.

It boots once more than it is cut. Each boot but the first looks at what the cut before has
left (program "after-N"), each but the last stores (program "before-N") until QEMU is killed
at a moment drawn by chance. tests/guest/power_cut.c is both programs. What it says on its
report port, until the kill, is what the machine has acknowledged, and goes into the next
boot as a file.

The file systems are on disks that lose what was not flushed or forced (volatile.py), so an
acknowledgement that came too early is found out. QEMU's NVMe drives (10.0) pass flushes on
to the medium, but not forced unit access: where none arrives there, although journals use it,
what was forced is not looked for. Nor are torn LBAs, which NVMe rules out.
"""

import random
import shutil
import tempfile
import time

import boot
import built
import judge
import machine
import pack
import volatile

ROLES = ("priv512", "priv4k")
STORES = "stores_run_until_the_cut"
# What must have been acknowledged before the cut, and seconds from then on: on a slow host a
# cut that has been waiting for an acknowledgement would come when nothing is at stake.
ACKNOWLEDGED = 3
EARLIEST, LATEST = 0.1, 2.0
LIMIT = 100


class PowerCut(boot.Machine):
    """One machine, all its boots."""

    volatile = ROLES

    def __init__(self, kernel, config, how, echo=None, seed=None):
        super().__init__(kernel, config, how, [], echo)
        self._seed = random.randrange(1 << 32) if seed is None else seed
        self._random = random.Random(self._seed)
        self._cut_at = None
        self._was_cut = False
        self._said = []         # by the program that stores

    # --- what the session calls -------------------------------------------------------

    def line(self, text):
        if text.startswith("cut "):
            self._said.append(text)
            if self._cut_at is None and self._acknowledged() >= ACKNOWLEDGED:
                self._cut_at = time.monotonic() + self._random.uniform(EARLIEST, LATEST)
        super().line(text)

    def cut_at(self):
        if self._cut_at is not None and time.monotonic() >= self._cut_at:
            self._was_cut = True
        return self._cut_at

    def _acknowledged(self):
        return sum(t.startswith(("cut forced ", "cut synced ", "cut flushed "))
                   for t in self._said)

    # --- running ----------------------------------------------------------------------

    def run(self, files, texts, cmdline="", shell=False):
        directory = tempfile.mkdtemp(prefix="vm.")
        disks = []
        try:
            machine.make_disks(directory)
            disks = [volatile.Disk(f"{directory}/{d.role}.img", f"{directory}/{d.role}.nbd",
                                   d.lba) for d in machine.DISKS if d.role in ROLES]
            with self._own_logs() as logs:
                self._all_boots(directory, logs, disks, files, cmdline)
                if any(r.outcome == "not ok" for r in self.results):
                    shutil.rmtree(logs + ".failed", ignore_errors=True)
                    shutil.copytree(logs, logs + ".failed")
        finally:
            for disk in disks:
                disk.close()
            shutil.rmtree(directory)

    def _all_boots(self, directory, logs, disks, files, cmdline):
        seconds = 0.0
        number = 0
        while number <= self.config.cuts:
            before = len(self.results)
            self._prepare_boot(directory, number, files, any(d.forced for d in disks))
            self._run(directory, logs, cmdline)
            seconds += self.seconds
            if self._silent and self.hung_boots + 1 < self.boot_tries:
                # As for other machines; the disks have not been touched.
                self.hung_boots += 1
                del self.results[before:]
                continue
            if any(r.outcome == "not ok" for r in self.results):
                break
            for disk in disks:
                at_stake, lost = disk.lose_power(self._random)
                if self._echo:
                    self._echo.line(f"# {at_stake} LBAs had not been flushed, {lost} of them "
                                    f"lost a version; {disk.flushes} flushes and "
                                    f"{disk.forced} forced writes so far")
            number += 1
        self.seconds = seconds

    def _prepare_boot(self, directory, number, files, forced):
        path = "/root/power_cut"
        self._state, self._running, self._listed = "boot", None, {}
        self._greeted = self._done = self._was_cut = False
        self._cut_at = None
        said, self._said = self._said, []
        programs = []
        if number:
            programs.append(boot.Program(f"after-{number}", path, (
                "--only", "ext4_*", "--only", "xfs_*"), LIMIT, tests=True))
        if number < self.config.cuts:
            programs.append(boot.Program(f"before-{number + 1}", path, ("--only", STORES),
                                         LIMIT, tests=True))
        self._set_programs(programs)
        self.environment = {**self.environment, "DRW_CUT_BOOT": number,
                            "DRW_CUT_SEED": self._seed, "DRW_CUT_FORCED": int(forced)}
        pack.initrd(f"{directory}/initrd", self.kernel,
                    {**files, "root/power_cut": f"{built.GUEST}/power_cut"},
                    {**self._guest_settings(), "root/cut.log": "\n".join(said) + "\n"})

    def _judge_end(self, timed_out, status, logs):
        if self._was_cut and not self._done:
            why = f"seed {self._seed}, {self._acknowledged()} batches acknowledged"
            self._add(self._running.line(f"ok {STORES} - {why}"))
            self._end_program("")
            # It ended as it was meant to.
            self._done = True
        super()._judge_end(timed_out, status, logs)
