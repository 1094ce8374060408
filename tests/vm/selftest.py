"""selftest - the runner judges rightly: what must fail a run does.

Speaks the protocol of tests/README.md itself.
"""

import dataclasses
import io
import os
import random
import subprocess
import sys
import tempfile
from unittest import mock

import accel
import boot
import configs
import cpio
import instructions
import judge
import kernels
import machine
import main as main_
import volatile

KERNEL = kernels.Kernel("9.9", "9.9.1-test", "linux-test 9.9.1-1", "suite", "/nowhere")
CONFIG = machine.Config("strict", "strict")


def said(*lines, timed_out=False, status=0, console=""):
    """{name: outcome} after a machine said these lines on its report port."""
    m = boot.Machine(KERNEL, CONFIG, "tcg",
                     [boot.Program("prog", "/root/prog", (), 10, tests=True)])
    for text in lines:
        m.line(text)
    with tempfile.TemporaryDirectory() as logs:
        for name, content in (("console", console), ("qemu", "qemu: last words\n")):
            with open(f"{logs}/{name}.log", "w") as f:
                f.write(content)
        m._judge_end(timed_out, status, logs)
    return {r.name.removeprefix("9.9/strict/"): r.outcome for r in m.results}


LISTED = ("@drw ready 9.9.1-test", "@drw list prog", "a", "b", "", "@drw list-end prog 0")
BEGIN = LISTED + ("@drw begin prog", "plan 2")
CLEAN = ("@drw log prog", "[    1.0] all is well", "", "@drw log-end", "@drw done")


def all_passed():
    assert said(*BEGIN, "ok a", "skip b - no such device", "# note", "", "@drw end prog 0",
                *CLEAN) == {"prog/a": "ok", "prog/b": "skip"}


def failed_test_with_status_1_counts_once():
    assert said(*BEGIN, "ok a", "not ok b - it broke", "@drw end prog 1", *CLEAN) == \
        {"prog/a": "ok", "prog/b": "not ok"}


def listed_test_without_result_fails():
    assert said(*BEGIN, "ok a", "@drw end prog 0", *CLEAN)["prog/b"] == "not ok"


def unlisted_test_fails():
    assert said(*BEGIN, "ok a", "ok b", "ok c", "@drw end prog 0",
                *CLEAN)["prog/c"] == "not ok"


def test_reported_twice_fails():
    assert "not ok" in said(*BEGIN, "ok a", "ok b", "ok a", "@drw end prog 0",
                            *CLEAN).values()


def skip_without_reason_fails():
    assert said(*BEGIN, "ok a", "skip b", "@drw end prog 0", *CLEAN)["prog/b"] == "not ok"


def missing_plan_fails():
    assert said(*LISTED, "@drw begin prog", "ok a", "ok b", "@drw end prog 0",
                *CLEAN)["prog/plan"] == "not ok"


def wrong_plan_fails():
    assert said(*LISTED, "@drw begin prog", "plan 3", "ok a", "ok b", "@drw end prog 0",
                *CLEAN)["prog/plan"] == "not ok"


def nonzero_status_fails():
    assert said(*BEGIN, "ok a", "ok b", "@drw end prog 3", *CLEAN)["prog/exit"] == "not ok"


def signal_fails():
    assert said(*BEGIN, "ok a", "@drw end prog 139", *CLEAN)["prog/b"] == "not ok"


def broken_list_fails():
    r = said("@drw ready x", "@drw list prog", "two words", "@drw list-end prog 0",
             "@drw begin prog", "plan 0", "@drw end prog 0", *CLEAN)
    assert r == {"prog/list": "not ok"}


def empty_list_fails():
    r = said("@drw ready x", "@drw list prog", "", "@drw list-end prog 0",
             "@drw begin prog", "plan 0", "@drw end prog 0", *CLEAN)
    assert r == {"prog/list": "not ok"}


def kernel_warning_fails():
    for text in ("WARNING: CPU: 0 PID: 1 at kernel/x.c:1", "BUG: KASAN: use-after-free",
                 "refcount_t: underflow; use-after-free.", "DMA-API: nvme 0000:00:03.0: x",
                 "INFO: task kworker/0:1 blocked for more than 120 seconds.",
                 "rcu: INFO: rcu_preempt self-detected stall on CPU",
                 "UBSAN: array-index-out-of-bounds in x.c", "Oops: general protection",
                 "possible circular locking dependency detected",
                 "kmemleak: 3 new suspected memory leaks", "DMAR: [DMA Read] Request",
                 "WARNING: possible recursive locking detected",
                 "DMA-API: cacheline tracking ENOMEM, dma-debug disabled",
                 "kmemleak: Kernel memory leak detector disabled"):
        r = said(*BEGIN, "ok a", "ok b", "@drw end prog 0", "@drw log prog",
                 "[   12.345678] " + text, "@drw log-end", "@drw done")
        assert r.get("prog/kernel-log") == "not ok", text


def harmless_kernel_lines_pass():
    for text in ("DMAR: DRHD base: 0x000000fed90000 flags: 0x0",
                 "Speculative Return Stack Overflow: WARNING: See https://kernel.org/doc/"
                 "html/latest/admin-guide/hw-vuln/srso.html for mitigation options.",
                 "dmabuf_rw: loading out-of-tree module taints kernel.",
                 "DMA-API: preallocated 65536 debug entries",
                 "DMA-API: debugging enabled by kernel config"):
        assert judge.splats([text]) == [], text


def leak_fails_unless_the_stock_kernel_is_known_for_it():
    counted = "[    9.0] kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)"

    def listed(function):
        return ["unreferenced object 0xffff888008005f00 (size 32):",
                '  comm "prog", pid 9, jiffies 4294910831', "  backtrace (crc 822269fc):",
                "    kmemleak_alloc+0x28/0x30", f"    {function}+0x184/0x6c0"]

    known, unknown = listed("dma_buf_phys_vec_to_sgt"), listed("drw_bind")
    assert judge.splats([counted, *known, ""]) == []
    assert judge.splats([counted, *known, *unknown, ""]) == \
        [unknown[0] + " kmemleak_alloc+0x28/0x30 < drw_bind+0x184/0x6c0"]
    assert judge.splats([counted]) == [counted]


def crash_on_console_fails():
    r = said(*BEGIN, "ok a", console="[   1.0] Kernel panic - not syncing: x\n", status=0)
    assert r["prog/b"] == "not ok" and r["prog/console"] == "not ok"
    assert r["prog/machine"] == "not ok"


def hang_fails():
    r = said(*BEGIN, "ok a", timed_out=True, status=-9)
    assert r["prog/b"] == "not ok" and r["prog/timeout"] == "not ok"


def early_end_fails():
    assert said("@drw ready x", status=1)["boot/machine"] == "not ok"


def module_that_stays_fails():
    assert said("@drw ready x", "@drw unload-failed dmabuf_rw",
                "@drw done")["unload/dmabuf_rw"] == "not ok"


def module_that_does_not_load_fails():
    assert said("@drw ready x", "@drw note insmod dmabuf_rw.ko failed",
                "@drw done")["boot/note"] == "not ok"


def archive_is_what_cpio_reads():
    out = io.BytesIO()
    a = cpio.Archive(out)
    a.file("usr/bin/x", b"hello", 0o755)
    a.symlink("bin", "usr/bin")
    a.file("odd", b"abc")
    a.close()
    assert len(out.getvalue()) % 512 == 0
    listed = subprocess.run(["cpio", "-t", "--quiet"], input=out.getvalue(),
                            capture_output=True, check=True).stdout.decode().split()
    assert listed == ["usr", "usr/bin", "usr/bin/x", "bin", "odd"], listed


def configurations_have_names_of_their_own():
    debug = configs.debug_table([KERNEL])
    names = [configs.name(k, c) for k, c in configs.table(kernels.load()) + debug]
    assert len(set(names)) == len(names)


def debug_machines_run_only_when_named():
    stock = [(KERNEL, CONFIG)]
    debug = [(dataclasses.replace(KERNEL, short="9.9debug"), CONFIG)]
    for patterns in ([], ["strict"], ["*/strict"], ["9.9*/*"]):
        assert main_.choose_configs(patterns, stock, debug) == stock, patterns
    for pattern in ("9.9debug/strict", "*debug/*"):
        assert main_.choose_configs([pattern], stock, debug) == debug, pattern


def chosen(forced=None, usable=True, boots=True, kept=None):
    """("kvm" or "tcg", number of trial boots, what is kept for the next run)."""
    with tempfile.TemporaryDirectory() as d, \
            mock.patch.object(accel, "ANSWER", f"{d}/vm/accel"), \
            mock.patch.object(accel.os, "access", return_value=usable), \
            mock.patch.object(accel, "_boots_with_kvm", return_value=boots) as trial:
        if kept:
            os.mkdir(f"{d}/vm")
            with open(accel.ANSWER, "w") as f:
                f.write(kept)
        how = accel.choose(forced, KERNEL)
        try:
            with open(accel.ANSWER) as f:
                return how, trial.call_count, f.read()
        except OSError:
            return how, trial.call_count, None


def kvm_is_used_where_a_trial_boot_works():
    assert chosen()[:2] == ("kvm", 1)
    assert chosen(boots=False)[:2] == ("tcg", 1)
    assert chosen(usable=False) == ("tcg", 0, None)


def kvm_is_tried_once_for_a_host():
    for boots, how in ((True, "kvm"), (False, "tcg")):
        kept = chosen(boots=boots)[2]
        assert chosen(boots=not boots, kept=kept) == (how, 0, kept)
    for stale in ("another host\nkvm\n", "half", "\n"):
        assert chosen(boots=False, kept=stale)[:2] == ("tcg", 1), stale


def user_decides_about_kvm_without_a_trial():
    for how in ("kvm", "tcg"):
        assert chosen(forced=how, boots=how == "tcg") == (how, 0, None)


def partition_table_fits_the_disks():
    table = machine._mbr(4096)
    assert len(table) == 512 and table[510:] == b"\x55\xaa"
    end = 97 + 64 + 1
    assert end < machine.FREE_MB < machine.DISK_MB


def disks_that_lose_power_keep_what_was_flushed_or_forced():
    outcomes = set()
    for seed in range(40):
        with tempfile.TemporaryDirectory() as d:
            with open(f"{d}/image", "wb") as f:
                f.write(b"o" * 4096)
            disk = volatile.Disk(f"{d}/image", f"{d}/socket", 512)

            def do(what, lba, byte=b"", flags=0, disk=disk):
                error, data = disk._do(what, flags, lba * 512, 512, byte * 512)
                assert not error
                return data[:1]

            do(volatile._WRITE, 0, b"f")
            do(volatile._FLUSH, 0)
            do(volatile._WRITE, 1, b"x")
            do(volatile._WRITE, 1, b"F", volatile._FUA)
            for byte in (b"1", b"2"):
                do(volatile._WRITE, 2, byte)
            assert [do(volatile._READ, lba) for lba in range(4)] == [b"f", b"F", b"2", b"o"]
            disk.lose_power(random.Random(seed))
            disk.close()
            with open(f"{d}/image", "rb") as f:
                image = f.read()
            pieces = [image[i:i + 512] for i in range(0, 4096, 512)]
            assert all(len(set(p)) == 1 for p in pieces)
            assert [p[:1] for p in pieces[:2] + pieces[3:4]] == [b"f", b"F", b"o"]
            outcomes.add(pieces[2][:1])
    assert outcomes == {b"o", b"1", b"2"}


def function_that_grew_is_named():
    before = {"drw_uring_cmd": 300.0, "fast_end_io": 100.0}
    for now, outcome in (({"drw_uring_cmd": 320.0, "fast_end_io": 100.0}, "ok"),
                         ({"drw_uring_cmd": 200.0, "other": 100.0}, "ok"),
                         ({"drw_uring_cmd": 300.0, "fast_end_io": 121.0}, "not ok"),
                         ({**before, "drw_new": 30.0}, "not ok"), ({}, "not ok")):
        assert instructions.compare("cell", now, before)[0] == outcome, now
    assert instructions.compare("cell", before, {})[0] == "not ok"
    why = instructions.compare("cell", {"drw_uring_cmd": 290.0, "fast_end_io": 140.0,
                                        "drw_new": 30.0}, before)[1]
    assert why.endswith(": fast_end_io grew from 100 to 140, drw_new is new with 30"), why


def table_of_instructions_is_read_as_it_is_written():
    table = {"a": {"f": 10.0, "g": 20.5}, "b": {"f": 1.0}}
    with tempfile.NamedTemporaryFile("w") as f:
        f.write(instructions.text(table))
        f.flush()
        assert instructions.load(f.name) == table
    assert set(instructions.load()) == set(instructions.CELLS)


def instructions_are_those_of_the_function_they_lie_in():
    symbols = instructions.insns.Symbols(
        ["ffffffff81000000 first kernel,ffffffff81000006 second kernel",
         "ffffffffc0000000 drw_io_begin dmabuf_rw"])
    with tempfile.NamedTemporaryFile("w") as f:
        # The blocks overlap, and the first of them lies in two functions.
        f.write("window 0\nblock 7 ffffffff81000000 3331\n7 10\nblock 8 ffffffff81000003 331\n"
                "8 1\nend\nwindow 1\n8 2\nblock 9 ffffffffc0000001 5\n9 4\n"
                "block 10 401000 55\n10 3\nend\n")
        f.flush()
        found = dict(instructions.insns.windows(f.name, symbols))
    first, second = ("first", "kernel"), ("second", "kernel")
    assert found[0] == {first: 21, second: 22}
    assert found[1] == {first: 2, second: 4, ("drw_io_begin", "dmabuf_rw"): 4,
                        instructions.insns.PROGRAM: 6}
    assert instructions.own(found[1], 2) == {"drw_io_begin": 2}


TESTS = [f for name, f in sorted(globals().items())
         if callable(f) and getattr(f, "__module__", "") == "__main__" and
         name not in ("said", "chosen", "main")]


def main():
    print(f"plan {len(TESTS)}")
    failed = 0
    for test in TESTS:
        try:
            test()
            print(f"ok {test.__name__}")
        except Exception as why:    # a test that breaks in any way has failed
            failed = 1
            print(f"not ok {test.__name__} - {type(why).__name__}: {why}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
