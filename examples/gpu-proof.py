#!/usr/bin/env python3
# gpu-proof.py - shows whether a drive and a GPU exchange bytes without a detour through memory
#
# usage: gpu-proof.py DIRECTORY [LIBRARY]    for example: gpu-proof.py /mnt/nvme
#
# Reads a scratch file in DIRECTORY into scratch memory of the first GPU, compares, writes other
# bytes back, compares, and prints the facts that explain the outcome. In the last lines libcufile
# reports which way the bytes went. With DMABUF_RW_CUFILE_DIRECT_ONLY=1 in the environment the
# program fails rather than bounces. Please send its output, also if all is well: docs/gpu.md says
# where to.
import ctypes as c, glob, os, platform, sys, tempfile

os.environ.setdefault("DMABUF_RW_CUFILE_REPORT", "-")
cuda = c.CDLL("libcuda.so.1")
cufile = c.CDLL(sys.argv[2] if sys.argv[2:] else "/usr/local/lib/dmabuf-rw/libcufile.so.0",
                use_errno=True)
cufile.cuFileRead.restype = cufile.cuFileWrite.restype = c.c_ssize_t
size = c.c_size_t(16 << 20)
p, handle, context = c.c_void_p(), c.c_void_p(), c.c_void_p()
first, second = os.urandom(size.value), os.urandom(size.value)
seen, bus = c.create_string_buffer(size.value), c.create_string_buffer(16)

def check(what, error):
    print(what + ":", f"FAILED, {error}" if error else "ok", flush=True)
    if error:
        sys.exit(1)

def transfer(call, file):
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    n = call(handle, p, size, c.c_long(0), c.c_long(0))
    return n != size.value and f"{n}, {os.strerror(c.get_errno())}"

def show(what, path):
    print(what, os.path.realpath(path) if os.path.exists(path) else "unknown", flush=True)

with tempfile.NamedTemporaryFile(dir=sys.argv[1]) as file:
    file.write(first)
    file.flush()
    os.fsync(file.fileno())
    check("memory of a GPU", cuda.cuInit(0) or cuda.cuDevicePrimaryCtxRetain(c.byref(context), 0)
          or cuda.cuCtxSetCurrent(context) or cuda.cuMemAlloc_v2(c.byref(p), size))
    if hasattr(cuda, "cuDeviceGetPCIBusId") and not cuda.cuDeviceGetPCIBusId(bus, 16, 0):
        show("GPU:", "/sys/bus/pci/devices/" + bus.value.decode().lower())
    dev = os.fstat(file.fileno()).st_dev
    show("drive:", f"/sys/dev/block/{os.major(dev)}:{os.minor(dev)}")
    iommu = glob.glob("/sys/kernel/iommu_groups/*")
    driver = [line for f in glob.glob("/proc/driver/nvidia/version") for line in open(f)][:1]
    print("kernel:", platform.release(), "with" if iommu else "without", "an IOMMU", *driver)
    check("file registered", cufile.cuFileHandleRegister(c.byref(handle),
                                                         (c.c_long * 3)(1, file.fileno(), 0)))
    check("file read", transfer(cufile.cuFileRead, file))
    check("memory copied", cuda.cuMemcpyDtoH_v2(seen, p, size))
    check("memory has the file's bytes", seen.raw != first)
    check("memory filled", cuda.cuMemcpyHtoD_v2(p, second, size))
    check("file written", transfer(cufile.cuFileWrite, file))
    file.seek(0)
    check("file has the memory's bytes", file.read() != second)
    cufile.cuFileHandleDeregister(handle)
