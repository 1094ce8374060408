"""machine - the test machine: which devices it has, and the QEMU command line for it.

Every machine has the same devices, so that a test finds everything everywhere; the
configurations differ in kernel, IOMMU and kernel parameters.

  role     controller (serial)        namespaces
  priv     drw-priv, alone            1: 512 B LBA, 2: 4 KiB LBA; private
  mp       drw-mp, two controllers    1: 512 B LBA, 2: 4 KiB LBA; shared: multipath
                                      heads, or two disks each with multipath off
  meta     drw-meta                   1: 512 B + 8 B metadata with protection
                                      information, 2: 4 KiB + 64 B interleaved
  pi       drw-pi                     1: 512 B LBA, 2: 4 KiB LBA, with 8 B interleaved
                                      protection information each
  zoned    drw-zoned                  1: 4 KiB LBA, 8 MiB zones
  plug     drw-plug                   1: 512 B LBA; behind a port, can be unplugged
  big      drw-big                    1: 512 B LBA, BIG_MB; a hole but for what is written

ivshmem-plain, a PCI device whose BAR 2 is BAR_MB of prefetchable memory, and edu, a PCI device
whose BAR 0 is no memory: registers, which compute and interrupt when they are written.

priv and mp disks carry an MBR: partition 1 begins at 1 MiB and has 96 MiB,
partition 2 begins ODD_LBA blocks after its end and has 64 MiB. These disks have DISK_MB;
everything from FREE_MB on belongs to no partition.
"""

import dataclasses
import struct

import built

DISK_MB = 512
SMALL_MB = 64
PLUG_MB = 128
BIG_MB = 160 * 1024
BAR_MB = 128
ODD_LBA = 3
FREE_MB = 256
MB = 1 << 20

# Kernel parameters of every machine. Warnings and worse reach the console, which
# is what is left of a machine that crashes; a crash ends QEMU. The kernel's test of the
# timer interrupt fails, and stops it, when a busy host emulates too slowly. Now and then
# QEMU 10.0 on a busy host does not wake a halted processor for its timer's interrupt. Where
# each interrupt sets the next one, that is the last, and the machine hangs; so the timer
# ticks by itself, and the next tick makes up for it.
BASE_CMDLINE = "console=ttyS0 panic=-1 oops=panic loglevel=5 printk.time=1 " \
    "log_buf_len=4M rcupdate.rcu_cpu_stall_timeout=60 no_timer_check " \
    "edd=off sysrq_always_enabled=1 nohz=off highres=off"

# The firmware that comes with QEMU beside the default one, SeaBIOS; it starts the kernel
# sooner. With SeaBIOS on a busy host every seventh boot hung in the BIOS calls that the
# kernel begins with, of which edd=off spares most. With this firmware none of 40 did.
FIRMWARE = "/usr/share/qemu/qboot.rom"

# p2pdma trusts host bridges of AMD Zen processors, whatever the chipset is.
CPU = "EPYC"

IOMMU_CMDLINE = {
    "off": "",
    "strict": "intel_iommu=on iommu=nopt iommu.strict=1",
    "pt": "intel_iommu=on iommu=pt",
}


@dataclasses.dataclass(frozen=True)
class Config:
    name: str               # unique for a kernel
    iommu: str              # a key of IOMMU_CMDLINE
    cmdline: str = ""       # further kernel parameters
    memory_mb: int = 2048
    cpus: int = 2
    multipath: bool = True  # whether heads are expected
    tests: tuple = ()       # what runs here, as for --tests; empty: everything
    part: tuple = (0, 1)    # (I, N): of what runs here every Nth, from the Ith on
    cuts: int = 0           # how often it loses power (powercut.py), which is all it does
    counted: bool = False   # it counts instructions (instructions.py), and does nothing else


@dataclasses.dataclass(frozen=True)
class Disk:
    role: str
    size_mb: int
    lba: int
    partitions: bool


DISKS = (
    Disk("priv512", DISK_MB, 512, True),
    Disk("priv4k", DISK_MB, 4096, True),
    Disk("mp512", DISK_MB, 512, True),
    Disk("mp4k", DISK_MB, 4096, True),
    Disk("meta512", SMALL_MB, 512, False),
    Disk("meta4k", SMALL_MB, 4096, False),
    Disk("pi512", SMALL_MB, 512, False),
    Disk("pi4k", SMALL_MB, 4096, False),
    Disk("zoned", SMALL_MB, 4096, False),
    Disk("plug512", PLUG_MB, 512, False),
    Disk("big512", BIG_MB, 512, False),
)


def _mbr(lba_bytes):
    """One sector with a partition table (both partitions type 0x83, no CHS)."""
    first = MB // lba_bytes, 96 * MB // lba_bytes
    second = first[0] + first[1] + ODD_LBA, 64 * MB // lba_bytes
    entries = b"".join(
        struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", start, count)
        for start, count in (first, second))
    return b"\0" * 446 + entries + b"\0" * 32 + b"\x55\xaa"


def make_disks(directory):
    for disk in DISKS:
        with open(f"{directory}/{disk.role}.img", "wb") as f:
            if disk.partitions:
                f.write(_mbr(disk.lba))
            f.truncate(disk.size_mb * MB)


def _drive(directory, role, volatile):
    if volatile:
        return ["-blockdev", f"driver=nbd,node-name={role},server.type=unix,"
                f"server.path={directory}/{role}.nbd"]
    return ["-blockdev", f"driver=raw,node-name={role},cache.no-flush=on,"
            f"discard=unmap,file.driver=file,file.filename={directory}/{role}.img"]


def _ns(bus, role, nsid, lba, **more):
    options = {"drive": role, "bus": bus, "nsid": nsid, "logical_block_size": lba,
               "physical_block_size": lba, "uuid": _uuid(role), **more}
    return ["-device", "nvme-ns," + ",".join(f"{k}={v}" for k, v in options.items())]


def _uuid(role):
    return "d3ab0f00-0000-4000-8000-" + role.encode().hex()[:12].ljust(12, "0")


def _port(name, slot):
    return ["-device", f"pcie-root-port,id={name},bus=pcie.0,addr={slot:x},"
            f"chassis={slot},slot={slot}"]


def devices(directory, volatile=()):
    """The devices; directory holds the disks' images, or, for the roles in volatile, the
    sockets of their servers."""
    args = []
    for disk in DISKS:
        args += _drive(directory, disk.role, disk.role in volatile)
    args += ["-device", "nvme,id=priv,serial=drw-priv,bus=pcie.0,addr=3"]
    args += _ns("priv", "priv512", 1, 512, shared="off")
    args += _ns("priv", "priv4k", 2, 4096, shared="off")
    args += _port("portA", 4) + _port("portB", 5)
    args += ["-device", "nvme-subsys,id=mpsub,nqn=drw-mp"]
    args += ["-device", "nvme,id=mpA,serial=drw-mp,subsys=mpsub,bus=portA"]
    args += ["-device", "nvme,id=mpB,serial=drw-mp,subsys=mpsub,bus=portB"]
    args += _ns("mpA", "mp512", 1, 512, shared="on")
    args += _ns("mpA", "mp4k", 2, 4096, shared="on")
    args += ["-device", "nvme,id=meta,serial=drw-meta,bus=pcie.0,addr=6"]
    args += _ns("meta", "meta512", 1, 512, shared="off", ms=8, pi=1)
    args += _ns("meta", "meta4k", 2, 4096, shared="off", ms=64, mset=1)
    args += ["-device", "nvme,id=pi,serial=drw-pi,bus=pcie.0,addr=b"]
    args += _ns("pi", "pi512", 1, 512, shared="off", ms=8, pi=1, mset=1)
    args += _ns("pi", "pi4k", 2, 4096, shared="off", ms=8, pi=1, mset=1)
    args += ["-device", "nvme,id=zoned,serial=drw-zoned,bus=pcie.0,addr=7"]
    args += _ns("zoned", "zoned", 1, 4096, shared="off",
                **{"zoned": "on", "zoned.zone_size": "8M"})
    args += _port("portP", 8)
    args += ["-device", "nvme,id=plug,serial=drw-plug,bus=portP,drive=plug512"]
    args += ["-device", "nvme,id=big,serial=drw-big,bus=pcie.0,addr=a"]
    args += _ns("big", "big512", 1, 512, shared="off")
    args += ["-object", f"memory-backend-ram,id=bar,size={BAR_MB}M,share=on"]
    args += ["-device", "ivshmem-plain,memdev=bar,bus=pcie.0,addr=9"]
    args += ["-device", "edu,bus=pcie.0,addr=c"]
    return args


# What "host plug ID" adds: arguments of QMP's device_add (session.py).
REPLUG = {
    "plug": {"driver": "nvme", "id": "plug", "serial": "drw-plug", "bus": "portP",
             "drive": "plug512"},
    "mpA": {"driver": "nvme", "id": "mpA", "serial": "drw-mp", "subsys": "mpsub",
            "bus": "portA"},
    "mpB": {"driver": "nvme", "id": "mpB", "serial": "drw-mp", "subsys": "mpsub",
            "bus": "portB"},
}


def cmdline(config):
    return " ".join(filter(None, (BASE_CMDLINE, IOMMU_CMDLINE[config.iommu],
                                  config.cmdline)))


def disks_expected(config):
    """Number of block devices that the guest will show: without multipath, each path
    of a shared namespace is a disk."""
    return len(DISKS) + (0 if config.multipath else 2)


def qemu(kernel, config, accel, directory, interactive=False, more_cmdline="",
         volatile=(), counts=None):
    """The whole command line.

    directory holds the disks, the initrd, and the sockets report, host, qmp and
    console, on which the runner listens already. interactive: the console is QEMU's
    own terminal instead (leave with C-a x). counts: the file for the counts
    of instructions (bench/plugin.c), or None.
    """
    args = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-nic", "none",
            "-M", "q35,kernel-irqchip=split,accel=" + accel,
            "-bios", FIRMWARE, "-cpu", CPU, "-smp", str(config.cpus),
            "-m", str(config.memory_mb)]
    if counts:
        # A thread of QEMU that wakes up takes no processor from another one. Otherwise, on a
        # busy host, a drive answers before the guest's thread that waits for it can sleep.
        args = ["chrt", "--batch", "0", *args, "-plugin", f"{built.PLUGIN},out={counts}"]
    if config.iommu != "off":
        args += ["-device", "intel-iommu,intremap=on,caching-mode=off"]
    args += ["-kernel", kernel.image, "-initrd", f"{directory}/initrd",
             "-append", " ".join(filter(None, (cmdline(config), more_cmdline)))]
    if interactive:
        args += ["-serial", "mon:stdio"]
    else:
        args += ["-chardev", f"socket,id=console,path={directory}/console,server=off",
                 "-serial", "chardev:console"]
    args += ["-qmp", f"unix:{directory}/qmp,server=off"]
    args += ["-device", "virtio-serial-pci,bus=pcie.0,addr=2"]
    for port in ("report", "host"):
        args += ["-chardev", f"socket,id={port},path={directory}/{port},server=off",
                 "-device", f"virtserialport,chardev={port},name={port}"]
    return args + devices(directory, volatile)
