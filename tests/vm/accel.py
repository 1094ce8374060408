"""accel - whether KVM works here: only a guest that boots under it says so.

/dev/kvm can be there and of no use (nested or emulated virtualisation). The answer is
kept in build/vm/accel for this host kernel and processor.
"""

import os
import platform

import boot
import kernels
import machine

ANSWER = kernels.BUILD + "/vm/accel"
TRIAL_SECONDS = 15


def _host():
    with open("/proc/cpuinfo") as f:
        model = next((line for line in f if line.startswith("model name")), "")
    return f"{platform.release()} {model.strip()}"


def _boots_with_kvm(kernel):
    trial = boot.Machine(kernel, machine.Config("kvm-trial", "off"), "kvm",
                         [boot.Program("true", "/bin/true", (), TRIAL_SECONDS)])
    trial.boot_limit = TRIAL_SECONDS
    trial.boot_tries = 1
    trial.run({}, {})
    return trial.status.get("true") == 0


def choose(forced, kernel):
    """"kvm" or "tcg"."""
    if forced:
        return forced
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    try:
        with open(ANSWER) as f:
            host, how = f.read().splitlines()
        if host == _host():
            return how
    except (OSError, ValueError):
        pass
    how = "kvm" if _boots_with_kvm(kernel) else "tcg"
    os.makedirs(os.path.dirname(ANSWER), exist_ok=True)
    with open(ANSWER, "w") as f:
        f.write(f"{_host()}\n{how}\n")
    return how
