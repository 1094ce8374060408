"""volatile - a disk that forgets, when its machine loses power, what was not flushed.

QEMU's own drives cannot: what they have written is in the host's page cache, which outlives
QEMU. So this is an NBD server in a thread, which QEMU uses as the medium of a drive. It
keeps each LBA that is written in memory, all versions of it since the last flush. A flush
brings all to the image, forced unit access what the one command wrote. At a loss of power
each LBA gets, by chance, any of those versions or keeps what the image has, as with a drive
that writes its cache back in any order. LBAs are not torn, as NVMe promises.

The protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md, fixed
newstyle negotiation, simple replies.
"""

import os
import socket
import struct
import threading

_INIT, _OPTION, _REPLY = 0x4e42444d41474943, 0x49484156454f5054, 0x3e889045565a9
_REQUEST, _SIMPLE_REPLY = 0x25609513, 0x67446698
_OPT_ABORT, _OPT_INFO, _OPT_GO = 2, 6, 7
_REP_ACK, _REP_INFO, _REP_UNSUPPORTED = 1, 3, (1 << 31) + 1
_INFO_EXPORT, _INFO_BLOCK_SIZE = 0, 3
_READ, _WRITE, _DISCONNECT, _FLUSH, _TRIM, _WRITE_ZEROES = 0, 1, 2, 3, 4, 6
_FUA = 1
_EINVAL = 22
# Has flags, flush, FUA, trim, write zeroes.
_EXPORT_FLAGS = 1 | 4 | 8 | 32 | 64
_MOST = 32 << 20


class Disk:
    """image: path of the medium. path: of the socket. One machine at a time uses it."""

    def __init__(self, image, path, lba):
        self._lba = lba
        self._file = os.open(image, os.O_RDWR)
        self._bytes = os.fstat(self._file).st_size
        self._cache = {}            # LBA: its versions since it was last on the medium
        self._lock = threading.Lock()
        self.flushes = 0
        self.forced = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(path)
        self._socket.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        os.close(self._file)

    def lose_power(self, rng):
        """The machine has gone. Returns (LBAs that were at stake, LBAs that kept a
        version that is not the last)."""
        survival = rng.random()
        with self._lock:
            at_stake, lost = len(self._cache), 0
            for lba, versions in self._cache.items():
                if rng.random() < survival:
                    n = rng.randrange(len(versions))
                    os.pwrite(self._file, versions[n], lba * self._lba)
                    lost += n != len(versions) - 1
                else:
                    lost += 1
            self._cache.clear()
        return at_stake, lost

    # --- the drive --------------------------------------------------------------------

    def _read(self, offset, length):
        data = bytearray(os.pread(self._file, length, offset))
        if self._cache:
            first = offset // self._lba
            for i in range(length // self._lba):
                versions = self._cache.get(first + i)
                if versions:
                    data[i * self._lba:(i + 1) * self._lba] = versions[-1]
        return bytes(data)

    def _write(self, offset, data, forced):
        first = offset // self._lba
        for i in range(len(data) // self._lba):
            piece = data[i * self._lba:(i + 1) * self._lba]
            if forced:
                self._cache.pop(first + i, None)
            else:
                self._cache.setdefault(first + i, []).append(piece)
        if forced:
            self.forced += 1
            os.pwrite(self._file, data, offset)

    def _flush(self):
        self.flushes += 1
        for lba, versions in self._cache.items():
            os.pwrite(self._file, versions[-1], lba * self._lba)
        self._cache.clear()

    def _do(self, what, flags, offset, length, data):
        """Returns (error, data to send)."""
        if (offset | length) % self._lba or offset + length > self._bytes or \
                length > _MOST:
            return _EINVAL, b""
        with self._lock:
            if what == _READ:
                return 0, self._read(offset, length)
            if what in (_WRITE, _WRITE_ZEROES):
                self._write(offset, data if what == _WRITE else bytes(length),
                            flags & _FUA)
            elif what == _FLUSH:
                self._flush()
            elif what != _TRIM:
                return _EINVAL, b""
        return 0, b""

    # --- the protocol -----------------------------------------------------------------

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    with connection.makefile("rb") as stream:
                        if self._negotiate(connection, stream):
                            self._transmit(connection, stream)
                except (OSError, EOFError):
                    pass        # the machine has gone

    def _negotiate(self, connection, stream):
        connection.sendall(struct.pack(">QQH", _INIT, _OPTION, 3))
        _exactly(stream, 4)
        while True:
            _, option, length = struct.unpack(">QII", _exactly(stream, 16))
            _exactly(stream, length)

            def reply(kind, data=b"", option=option):
                connection.sendall(struct.pack(">QIII", _REPLY, option, kind, len(data))
                                   + data)

            if option == _OPT_ABORT:
                reply(_REP_ACK)
                return False
            if option not in (_OPT_INFO, _OPT_GO):
                reply(_REP_UNSUPPORTED)
                continue
            reply(_REP_INFO, struct.pack(">HQH", _INFO_EXPORT, self._bytes, _EXPORT_FLAGS))
            reply(_REP_INFO, struct.pack(">HIII", _INFO_BLOCK_SIZE, self._lba, 4096, _MOST))
            reply(_REP_ACK)
            if option == _OPT_GO:
                return True

    def _transmit(self, connection, stream):
        while True:
            _, flags, what, handle, offset, length = \
                struct.unpack(">IHHQQI", _exactly(stream, 28))
            if what == _DISCONNECT:
                return
            data = _exactly(stream, length) if what == _WRITE else b""
            error, data = self._do(what, flags, offset, length, data)
            connection.sendall(struct.pack(">IIQ", _SIMPLE_REPLY, error, handle) + data)


def _exactly(stream, length):
    data = stream.read(length)
    if len(data) != length:
        raise EOFError
    return data
