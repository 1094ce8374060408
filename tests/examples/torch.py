# SPDX-License-Identifier: MIT
"""torch - as much of it as the README's example uses, on the fake CUDA driver."""

import ctypes

_cuda = ctypes.CDLL("libcuda.so.1")
uint8 = "uint8"


class _Tensor:
    def __init__(self, nr):
        context, p = ctypes.c_void_p(), ctypes.c_void_p()
        if _cuda.cuInit(0) or _cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) \
                or _cuda.cuCtxSetCurrent(context) \
                or _cuda.cuMemAlloc_v2(ctypes.byref(p), ctypes.c_size_t(nr)):
            raise MemoryError
        self._p, self._nr = p.value, nr

    def data_ptr(self):
        return self._p

    def numel(self):
        return self._nr

    def tobytes(self):
        """Not torch's: for the test."""
        host = ctypes.create_string_buffer(self._nr)
        assert not _cuda.cuMemcpyDtoH_v2(host, ctypes.c_void_p(self._p), ctypes.c_size_t(self._nr))
        return host.raw


def empty(nr, dtype, device):
    assert dtype == uint8 and device == "cuda"
    return _Tensor(nr)
