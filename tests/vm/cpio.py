"""cpio - write archives in the "newc" form that the kernel unpacks as initramfs.

Only what an initramfs needs: directories, files, symbolic links, device nodes; all
owned by root. Parents of a path are added by themselves. Format: the kernel's
Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import os
import stat


class Archive:
    def __init__(self, out):
        self._out = out
        self._ino = 0
        self._dirs = {""}

    def _entry(self, path, mode, data=b"", rdev=(0, 0)):
        self._ino += 1
        name = path.encode() + b"\0"
        fields = (self._ino, mode, 0, 0, 1, 0, len(data), 0, 0,
                  rdev[0], rdev[1], len(name), 0)
        head = b"070701" + b"".join(b"%08x" % f for f in fields) + name
        self._out.write(head + b"\0" * (-len(head) % 4))
        self._out.write(data)
        self._out.write(b"\0" * (-len(data) % 4))

    def _parents(self, path):
        self.dir(os.path.dirname(path))

    def dir(self, path, mode=0o755):
        path = path.strip("/")
        if path in self._dirs:
            return
        self._parents(path)
        self._dirs.add(path)
        self._entry(path, stat.S_IFDIR | mode)

    def file(self, path, data, mode=0o644):
        path = path.strip("/")
        self._parents(path)
        self._entry(path, stat.S_IFREG | mode, data)

    def copy(self, path, source, mode=None):
        with open(source, "rb") as f:
            self.file(path, f.read(), mode or stat.S_IMODE(os.stat(source).st_mode))

    def symlink(self, path, target):
        path = path.strip("/")
        self._parents(path)
        self._dirs.add(path)
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def char_device(self, path, major, minor):
        path = path.strip("/")
        self._parents(path)
        self._entry(path, stat.S_IFCHR | 0o600, rdev=(major, minor))

    def close(self):
        self._entry("TRAILER!!!", 0)
        # A following archive must begin at a multiple of four.
        self._out.write(b"\0" * (-self._out.tell() % 512))
