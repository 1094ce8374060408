"""pack - make the initramfs of a test machine.

It is three archives one after the other:

  base     busybox and the few tools that tests call, with their libraries
  modules  the stock modules that tests load, with all they depend on
  top      this project: its modules, programs, libraries, guest scripts, settings

The first two change only with build/root or a kernel and are kept in build/vm/layers,
named by a hash over what they were made from. The third is made for every boot.
"""

import contextlib
import hashlib
import io
import lzma
import os
import re
import shutil
import subprocess
import tempfile
import threading

import built
import cpio
import kernels

LAYERS = kernels.BUILD + "/vm/layers"
HERE = os.path.dirname(os.path.abspath(__file__))

# Tools from build/root beside busybox.
TOOLS = ("/usr/sbin/nvme", "/usr/sbin/dmsetup", "/usr/sbin/mdadm", "/usr/sbin/mke2fs",
         "/usr/sbin/mkfs.xfs", "/usr/sbin/e2fsck", "/usr/sbin/tune2fs",
         "/usr/sbin/resize2fs", "/usr/sbin/debugfs", "/usr/sbin/e4defrag",
         "/usr/sbin/filefrag", "/usr/bin/chattr", "/usr/bin/lsattr",
         "/usr/sbin/xfs_repair", "/usr/sbin/xfs_fsr", "/usr/sbin/xfs_io",
         "/usr/sbin/xfs_growfs")
TOOL_LINKS = {"usr/sbin/mkfs.ext4": "mke2fs"}

# Stock modules, with the names that modprobe takes.
MODULES = ("vfio-pci", "vfio_iommu_type1", "dm-mod", "loop", "md-mod", "raid0", "xfs",
           "overlay", "nvme-loop", "nvme-tcp", "nvmet-tcp", "nfsd", "nfsv4", "null_blk",
           "brd", "scsi_debug", "vfat", "nls_cp437", "nls_ascii")

# What runs when the module's package is upgraded or removed, for the test of that.
PACKAGING = ("loaded.sh", "debian/dmabuf-rw-dkms.postinst", "debian/dmabuf-rw-dkms.prerm")


def libraries(binary):
    """Paths of the shared libraries that a program needs, dynamic linker included."""
    env = dict(os.environ, LD_LIBRARY_PATH=built.LIBRARIES)
    p = subprocess.run(["ldd", binary], capture_output=True, text=True, env=env,
                       check=False)
    if p.returncode != 0:
        if "not a dynamic executable" in p.stderr + p.stdout:
            return []
        raise SystemExit(f"ldd {binary}: {p.stderr.strip()}")
    if "not found" in p.stdout:
        raise SystemExit(f"{binary} needs libraries that are not there:\n{p.stdout}")
    return re.findall(r"(/\S+) \(0x", p.stdout)


def _is_elf(path):
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


class Packer:
    """An Archive that follows programs to their libraries."""

    def __init__(self, out):
        self.archive = cpio.Archive(out)
        self._libraries = set()

    def program(self, source, where):
        """A program, or any other file: in the guest everything is executable."""
        self.archive.copy(where, source, 0o755)
        if not _is_elf(source):
            return
        for library in libraries(source):
            # /lib and /lib64 are links into /usr, in the guest as in build/root.
            name = library.rsplit("/", 1)[1]
            target = "usr/lib64/" if name.startswith("ld-linux") else "usr/lib/"
            if target + name not in self._libraries:
                self._libraries.add(target + name)
                self.archive.copy(target + name, library)


# Machines that start at the same time want the same layers.
_making = threading.Lock()


def _layer(name, key, make):
    """Path of a cached layer; make(Archive-like) fills it when it is not there."""
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    path = f"{LAYERS}/{name}-{digest}.cpio"
    with _making:
        if os.path.exists(path):
            return path
        os.makedirs(LAYERS, exist_ok=True)
        for old in os.listdir(LAYERS):
            if old.startswith(name + "-"):
                # Another run may have removed it.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{LAYERS}/{old}")
        with tempfile.NamedTemporaryFile(dir=LAYERS, prefix="tmp.", delete=False) as f:
            packer = Packer(f)
            make(packer)
            packer.archive.close()
        os.rename(f.name, path)
    return path


def _root_id():
    with open("/.made-from") as f:
        return f.read()


def _make_base(packer):
    a = packer.archive
    for d in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "proc", "sys", "dev", "tmp",
              "run", "etc", "root"):
        a.dir(d)
    for d in ("bin", "sbin", "lib", "lib64"):
        a.symlink(d, "usr/" + d)
    a.char_device("dev/console", 5, 1)
    a.copy("usr/bin/busybox", "/usr/bin/busybox")
    own = {os.path.basename(t) for t in TOOLS}
    applets = subprocess.run(["busybox", "--list"], capture_output=True, text=True,
                             check=True).stdout.split()
    for applet in applets:
        if applet not in own and applet != "busybox":
            a.symlink("usr/bin/" + applet, "busybox")
    for tool in TOOLS:
        packer.program(tool, tool)
    for link, target in TOOL_LINKS.items():
        a.symlink(link, target)
    a.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"
           b"nobody:x:65534:65534:nobody:/:/bin/sh\n")
    a.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")


def base():
    return _layer("base", (_root_id(), TOOLS, TOOL_LINKS, _code_id()), _make_base)


def _code_id():
    with open(__file__, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def _stock_modules(kernel):
    """Contents of MODULES and their dependencies, {path below modules/: bytes}."""
    by_name = {}
    for d, _, files in os.walk(kernel.modules):
        for f in files:
            if ".ko" in f:
                name = f.split(".ko")[0].replace("-", "_")
                by_name[name] = os.path.join(d, f)
    found = {}
    queue = [m.replace("-", "_") for m in MODULES]
    while queue:
        name = queue.pop()
        path = by_name.get(name)
        if path is None:
            # Built in, or not in this kernel: the test that wants it will say.
            continue
        key = os.path.relpath(path, kernel.modules).removesuffix(".xz")
        if key in found:
            continue
        with open(path, "rb") as f:
            data = f.read()
        if path.endswith(".xz"):
            data = lzma.decompress(data)
        found[key] = data
        m = re.search(rb"\0depends=([^\0]*)\0", data)
        if m and m.group(1):
            queue += [d.replace("-", "_") for d in m.group(1).decode().split(",")]
    return found


def modules(kernel):
    def make(packer):
        where = f"usr/lib/modules/{kernel.release}"
        stage = tempfile.mkdtemp(prefix="modules.")
        base_dir = f"{stage}/lib/modules/{kernel.release}"
        for path, data in _stock_modules(kernel).items():
            os.makedirs(os.path.dirname(f"{base_dir}/{path}"), exist_ok=True)
            with open(f"{base_dir}/{path}", "wb") as f:
                f.write(data)
            packer.archive.file(f"{where}/{path}", data)
        for f in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            shutil.copy(f"{kernel.modules}/{f}", base_dir)
        subprocess.run(["depmod", "-b", stage, kernel.release], check=True)
        for f in ("modules.dep", "modules.alias", "modules.builtin", "modules.softdep"):
            if os.path.exists(f"{base_dir}/{f}"):
                packer.archive.copy(f"{where}/{f}", f"{base_dir}/{f}")
        shutil.rmtree(stage)
    return _layer(f"modules-{kernel.short}",
                  (_root_id(), kernel.package, MODULES, _code_id()), make)


def top(kernel, files, settings):
    """Bytes of the last archive.

    files: {path in the guest: path here}, programs or anything else.
    settings: {path in the guest: text}.
    """
    out = io.BytesIO()
    packer = Packer(out)
    for name, path in sorted(built.modules(kernel).items()):
        packer.archive.copy(f"usr/lib/dmabuf-rw/{name}", path)
    if os.path.exists(built.TOOL):
        packer.program(built.TOOL, "usr/bin/dmabuf-rw")
    if os.path.exists(built.FIO):
        packer.program(built.FIO, "usr/bin/fio")
    if os.path.isdir(built.EXAMPLES):
        for name in sorted(os.listdir(built.EXAMPLES)):
            packer.program(f"{built.EXAMPLES}/{name}", f"usr/lib/dmabuf-rw/{name}")
    if os.path.exists(built.CONFORMANCE):
        packer.program(built.CONFORMANCE, "usr/bin/cufile-conformance")
    for name in PACKAGING:
        packer.archive.copy(f"usr/lib/dmabuf-rw/{os.path.basename(name)}",
                            f"{kernels.TOP}/packaging/{name}")
    packer.archive.copy("init", f"{HERE}/guest/init")
    packer.archive.copy("usr/bin/host", f"{HERE}/guest/host")
    for where, source in files.items():
        packer.program(source, where)
    for where, text in settings.items():
        packer.archive.file(where, text.encode())
    packer.archive.close()
    return out.getvalue()


def initrd(path, kernel, files, settings):
    with open(path, "wb") as out:
        for layer in (base(), modules(kernel)):
            with open(layer, "rb") as f:
                shutil.copyfileobj(f, out)
        out.write(top(kernel, files, settings))
