// SPDX-License-Identifier: MIT
/*
 * error.c - the meaning of an errno and a reason, and the remedy, in sentences.
 *
 * The tables follow the one in dmabuf_rw.h: each errno and reason there has a row here (a unit test
 * compares the two). A sentence has two parts, the cause and the remedy; neither ends with a full
 * stop, so that they can be joined.
 *
 * Thread-safety: constant tables and the caller's buffer only.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "private.h"

/*
 * ENOTSUPP of the kernel's include/linux/errno.h. User space should never see it, but exporters
 * leak it, for example NVIDIA's for buffers that cannot be mapped.
 */
#define KERNEL_ENOTSUPP	524

struct sentence {
	const char *name;
	const char *cause;
	const char *remedy;
};

struct errno_sentence {
	int err;
	uint32_t call;		/* DMABUF_RW_CALL_NONE: any */
	struct sentence s;
};

#define REASON(r, cause_, remedy_) \
	[DMABUF_RW_REASON_ ## r] = { #r, cause_, remedy_ }

static const struct sentence reasons[] = {
	REASON(NONE, NULL, NULL),
	REASON(DMABUF_FD,
	       "the buffer's descriptor is not open",
	       "pass a dma-buf descriptor that is open in this process"),
	REASON(FILE_FD,
	       "the file's descriptor is not open",
	       "open the NVMe disk, the partition or the file, and pass that descriptor"),
	REASON(NOT_DMABUF,
	       "the buffer's descriptor is open but is not a dma-buf",
	       "export the memory first: VFIO_DEVICE_FEATURE_DMA_BUF for a PCI BAR, "
	       "/dev/udmabuf for a memfd, /dev/dma_heap for system memory, or the "
	       "dma-buf export call of the GPU's runtime"),
	REASON(NOT_BLOCK,
	       "the file is neither a block device nor a regular file: it is a directory, a "
	       "pipe, a terminal or the like",
	       "name an NVMe disk or partition such as /dev/nvme0n1, or a file on an ext4 "
	       "or XFS file system on one"),
	REASON(NOT_NVME,
	       "the block device, or the one that the file's file system is on, is not an "
	       "NVMe disk, so its driver takes no addresses from outside",
	       "use a disk or partition named /dev/nvme*; lsblk -o NAME,TRAN shows them"),
	REASON(STACKED,
	       "the block device, or the one that the file's file system is on, is a "
	       "device-mapper, md or loop device, which sends its I/O on through another "
	       "device",
	       "bind the NVMe disks or partitions that lie below it (lsblk -s shows them), "
	       "or keep the file on a file system that is on an NVMe disk itself"),
	REASON(NOT_PCI,
	       "the NVMe disk is not on PCI (fabrics, Apple or a loop target), so it has "
	       "no DMA of its own to this machine's memory",
	       "use a disk with transport pcie; nvme list-subsys shows it"),
	REASON(METADATA,
	       "the namespace is formatted with metadata or protection information in "
	       "every block",
	       "use another namespace, or reformat this one without metadata (nvme "
	       "format --lbaf=N, which erases it)"),
	REASON(ZONED,
	       "the namespace is zoned, and its writes must follow the zones' write "
	       "pointers",
	       "use a conventional namespace"),
	REASON(LBA_SIZE,
	       "the namespace's logical blocks have a size that cannot be served",
	       "reformat it with blocks of 512 or 4096 bytes (nvme format --lbaf=N, "
	       "which erases it), or use another namespace"),
	REASON(NOT_TRANSLATED,
	       "the drive is behind an IOMMU that translates its addresses, and the "
	       "buffer's exporter gave raw bus addresses that the IOMMU does not know "
	       "for this drive: every transfer would be dropped",
	       "boot with iommu=pt, or put the drive and the buffer's device below one "
	       "PCIe switch, or use an exporter (or driver version) that maps its memory "
	       "for the importing device"),
	REASON(SWIOTLB,
	       "the drive would reach not the buffer but a software bounce area "
	       "(swiotlb), or memory that needs cache maintenance around each transfer",
	       "boot without swiotlb=force, enable the IOMMU, or take the buffer from "
	       "memory within the drive's reach; in a confidential guest the buffer must "
	       "be shared memory"),
	REASON(NOT_DEVICE_MEMORY,
	       "device memory was insisted on, but the buffer lies at least partly in "
	       "system RAM or at an address that belongs to no PCI BAR",
	       "check that the exporter can serve this drive peer to peer (same PCIe "
	       "switch, or a host bridge that the kernel trusts) and has not moved the "
	       "buffer to system RAM, or do not insist on device memory"),
	REASON(ATTACH,
	       "the buffer's exporter refused to let the drive attach",
	       "see that the exporting device is bound, powered and has its memory "
	       "enabled, and that its driver allows peer-to-peer importers; the kernel "
	       "log may say more"),
	REASON(MAP,
	       "the buffer's exporter could not map the buffer for the drive",
	       "the kernel log may say more"),
	REASON(BAD_MAPPING,
	       "the addresses from the buffer's exporter do not cover the buffer exactly",
	       "this is a fault of the exporter; report it with the kernel's version"),
	REASON(DRIVER,
	       "the kernel's NVMe driver does not behave as the module was built to "
	       "expect, so nothing was transferred",
	       "rebuild the dmabuf_rw module for the running kernel and load it again; if "
	       "that does not help, report the kernel's version"),
	REASON(ACCESS,
	       "the two descriptors allow neither direction: reading needs the file open "
	       "for reading and the buffer for writing, writing needs the file open for "
	       "writing and the buffer for reading",
	       "open the file O_RDWR, and export the buffer with O_RDWR"),
	REASON(GONE,
	       "the drive is gone: unbound, unplugged or removed",
	       "bring it back (nvme list), open it anew and bind again"),
	REASON(NO_PATH,
	       "no live path to the multipath namespace is on PCI",
	       "nvme list-subsys shows the paths and their states; bring a PCI path back"),
	REASON(FILESYSTEM,
	       "the file is on a file system other than ext4 and XFS, which does not tell "
	       "where on the drive its blocks are, or moves them as it likes",
	       "copy the file to an ext4 or XFS file system on an NVMe disk; df -T FILE "
	       "shows where it is now"),
	REASON(OVERLAY,
	       "the file is on overlayfs, which has no blocks of its own",
	       "name the file in the layer that holds it (grep overlay /proc/self/mounts shows "
	       "lowerdir and upperdir), or keep it on a volume outside of the container's root"),
	REASON(SWAP_FILE,
	       "the file is in use as a swap file",
	       "swapoff it first, or use another file"),
	REASON(NO_DIRECT,
	       "the file's data lies inside its inode or passes through the journal, so "
	       "the drive has no blocks that hold it and nothing else",
	       "mount without data=journal and take the attribute off the file (chattr "
	       "-j); a file of a few bytes may have to grow, or be copied to a file "
	       "system without inline data"),
	REASON(ENCRYPTED,
	       "the file is encrypted, so what is on the drive is not its contents",
	       "copy the file to a directory that is not encrypted"),
	REASON(VERITY,
	       "the file is protected by fs-verity, which checks what the kernel reads and "
	       "would not see what the drive reads",
	       "bind a copy of the file that has no verity, if that is acceptable"),
	REASON(COMPRESSED,
	       "the file is compressed, so what is on the drive is not its contents",
	       "copy the file to where it is not compressed (lsattr shows the attribute)"),
	REASON(DAX,
	       "the file is accessed by DAX: it is in memory, and no drive has to be asked",
	       "map the file instead, or mount without dax"),
	REASON(REALTIME,
	       "the file is on the realtime device of its XFS file system",
	       "copy the file to a directory without realtime inheritance (xfs_io -c "
	       "'chattr -t')"),
	REASON(LAYOUT,
	       "the file system did not say where on the drive the file's blocks are",
	       "the kernel log may say why; copying the file (cp --reflink=never "
	       "--sparse=never) often helps"),
	REASON(ON_DEMAND,
	       "a daemon fills the file when it is read (hierarchical storage), and would not "
	       "be asked",
	       "read the whole file once, or copy it, and bind the copy; or have the daemon's "
	       "watch taken off the file"),
	REASON(NO_ROUTE,
	       "the buffer is in a BAR, and the kernel does not know that the host bridge "
	       "between it and the drive routes peer to peer",
	       "put both below one PCIe switch; or, if it has been tried on this machine that the "
	       "data arrives, trust the addresses (DMABUF_RW_BIND_TRUST_ADDRESSES, dmabuf-rw: "
	       "--trust-addresses)"),
	REASON(UNKNOWN_ADDRESS,
	       "the buffer's addresses are neither system RAM nor in a BAR of a known PCI device",
	       "see where the exporter keeps its memory; or, if it has been tried on this machine "
	       "that the data arrives, trust the addresses (DMABUF_RW_BIND_TRUST_ADDRESSES, "
	       "dmabuf-rw: --trust-addresses)"),
	REASON(UNREADABLE,
	       "the drive reports errors for the first, the middle and the last block, so it "
	       "could not be tried out whether its driver lets transfers through",
	       "see nvme smart-log and the kernel log: the drive may be failing; or use "
	       "another namespace"),
};

/* The library's own reasons, from DMABUF_RW_REASON_NO_DEVICE on. */
#define LIBRARY_REASON(r, cause_, remedy_) \
	[DMABUF_RW_REASON_ ## r - DMABUF_RW_REASON_NO_DEVICE] = { #r, cause_, remedy_ }

static const struct sentence library_reasons[] = {
	LIBRARY_REASON(NO_DEVICE,
		       "the pair was bound without the dmabuf_rw module, so no drive was "
		       "asked",
		       "load the module (modprobe dmabuf_rw) and bind again"),
	LIBRARY_REASON(NO_CPU_ACCESS,
		       "the pair cannot go direct, and to be copied through memory the buffer "
		       "needs a CPU mapping or a copy function, and has neither",
		       "see why it cannot go direct (bind without allow_bounce, dmabuf-rw info FILE "
		       "BUFFER), or bind with a copy function of the runtime that the buffer belongs "
		       "to"),
	LIBRARY_REASON(NOT_SEEKABLE,
		       "the pair cannot go direct, and to be copied through memory the file "
		       "needs offsets, which a pipe, a socket or a directory has not",
		       "name a regular file or a block device"),
	LIBRARY_REASON(CONTRADICTION,
		       "device memory was insisted on and copying through memory was allowed, "
		       "but where the buffer lies is known only of pairs that go direct",
		       "choose one of the two"),
	LIBRARY_REASON(DANGLING_LINK,
		       "the path is a symbolic link that leads to nothing; it may be meant for "
		       "a disk or a file system that is not there",
		       "see what it is meant for (readlink FILE), and bring that back, or remove "
		       "the link, or store to what it is meant for"),
	LIBRARY_REASON(DESCRIPTOR,
		       "the path leads to /proc, to an open descriptor for instance, as "
		       "/dev/stdout and /dev/fd/N do, and nothing can be put in its place",
		       "write into what is open there (dmabuf-rw store --in-place), or give the "
		       "file's real name (readlink -f FILE)"),
	LIBRARY_REASON(UNTRUSTED_LINK,
		       "the path is another user's symbolic link in a directory that everyone "
		       "may write to, and following it could destroy any file",
		       "look at where it leads (readlink FILE), and store there by that name if "
		       "that is meant"),
	LIBRARY_REASON(FILE_ATTRIBUTE,
		       "the file that is there is immutable or append-only, so it cannot be "
		       "replaced",
		       "take the attribute off (lsattr FILE; chattr -i -a FILE), or store under "
		       "another name"),
	LIBRARY_REASON(DIRECTORY_ATTRIBUTE,
		       "the directory is immutable or append-only, so no file in it can be "
		       "replaced or renamed",
		       "take the attribute off (lsattr -d DIRECTORY; chattr -i -a DIRECTORY), or "
		       "store elsewhere"),
	LIBRARY_REASON(STICKY,
		       "the file that is there is another user's, in a directory where only "
		       "owners may replace files (the sticky bit, as in /tmp)",
		       "write into the file itself, if this user may write to it (dmabuf-rw store "
		       "--in-place), or store under another name"),
	LIBRARY_REASON(MOUNT_POINT,
		       "something is mounted on the file that is there, so it cannot be replaced",
		       "write into the file itself (dmabuf-rw store --in-place), or unmount it"),
	LIBRARY_REASON(LABEL,
		       "the file that is there has a security label (SELinux, Smack or the like) "
		       "that this process cannot read or give to the file that would replace it",
		       "store as a user who may (ls -Z FILE shows the label), or write into the "
		       "file itself, which keeps it (dmabuf-rw store --in-place), or remove the "
		       "file first, if a new one's label will do"),
	LIBRARY_REASON(NEVER_WRITTEN,
		       "the drive has no data for this place of the file: it is a hole, or space "
		       "that was reserved and never written",
		       "write the file first (cp --sparse=never, dmabuf_rw_file_create(), "
		       "dmabuf-rw store without --in-place), or allow bouncing (dmabuf-rw load and "
		       "store: --allow-bounce)"),
	LIBRARY_REASON(CLONE,
		       "the file is or was a clone (reflink) on XFS, which does not tell where the "
		       "blocks of such a file are",
		       "make a copy with blocks of its own, cp --reflink=never FILE COPY, and use "
		       "that; or allow bouncing (dmabuf-rw load and store: --allow-bounce)"),
	LIBRARY_REASON(NOT_CHOSEN,
		       "this way was not tried, as another one was chosen or comes before it",
		       "choose it (ways in struct dmabuf_rw_binding_opts, dmabuf-rw: --way)"),
	LIBRARY_REASON(NO_KERNEL_WAY,
		       "the kernel has no interface of its own for this, or io_uring, to which it "
		       "belongs, may not be used here",
		       "load the dmabuf_rw module (modprobe dmabuf_rw), or use Linux 7.4 or later "
		       "and see that io_uring is allowed (sysctl kernel.io_uring_disabled)"),
	LIBRARY_REASON(KERNEL_REFUSED,
		       "the kernel's own interface refused the pair: it takes NVMe disks on PCI "
		       "and partitions of them that begin at a multiple of 4096 bytes, which can "
		       "be opened with O_DIRECT, and no files, multipath or stacked devices",
		       "load the dmabuf_rw module (modprobe dmabuf_rw), which takes more and says "
		       "why it refuses"),
	LIBRARY_REASON(KERNEL_SIZE,
		       "the buffer is larger than the kernel's own interface takes, which is 1 GiB "
		       "or, in later versions, 4 GiB, and no part of a buffer can be registered",
		       "load the dmabuf_rw module (modprobe dmabuf_rw), which has no such limit, "
		       "or export the memory as several buffers"),
	LIBRARY_REASON(KERNEL_BLIND,
		       "device memory was insisted on, and the kernel's own interface does not "
		       "tell where a buffer lies",
		       "load the dmabuf_rw module (modprobe dmabuf_rw), or do not insist"),
	LIBRARY_REASON(MODULE_OLDER,
		       "the dmabuf_rw module that is loaded is older than this library, and speaks "
		       "another major version of the interface",
		       "load the installed one: once no program uses the old one (dmabuf-rw "
		       "stat), modprobe -r dmabuf_rw && modprobe dmabuf_rw, or reboot; if that is "
		       "as old, install the module of the library's release"),
	LIBRARY_REASON(MODULE_NEWER,
		       "this library is older than the dmabuf_rw module that is loaded, which "
		       "speaks another major version of the interface",
		       "install the library of the module's release, in a container's image, too, "
		       "and link programs again that have it in them; or load the module of the "
		       "library's release"),
};

DMABUF_RW_API const char *dmabuf_rw_error_speaker(const struct dmabuf_rw_error *error)
{
	if (!error->detail)
		return NULL;
	return error->reason >= DMABUF_RW_REASON_NO_KERNEL_WAY &&
	       error->reason <= DMABUF_RW_REASON_KERNEL_SIZE ? "kernel" : "exporter";
}

/* Cases in which the exporter's errno (detail) says more than the reason. */
static const struct {
	uint32_t reason;
	int detail;
	const char *remedy;
} exporters[] = {
	{ DMABUF_RW_REASON_ATTACH, EOPNOTSUPP,
	  "the exporter serves no importer of this kind: its driver may need a newer version "
	  "or an option for peer-to-peer access" },
	{ DMABUF_RW_REASON_ATTACH, ENODEV,
	  "the exporter has revoked the buffer: see that its device is bound, powered and has "
	  "its memory enabled, then export the buffer again" },
	{ DMABUF_RW_REASON_MAP, EINVAL,
	  "this usually means that the kernel sees no peer-to-peer route between the two "
	  "devices: put both below one PCIe switch, or use a CPU whose host bridge is on the "
	  "kernel's list (drivers/pci/p2pdma.c)" },
	{ DMABUF_RW_REASON_MAP, EREMOTEIO,
	  "this usually means that the kernel sees no peer-to-peer route between the two "
	  "devices: put both below one PCIe switch, or use a CPU whose host bridge is on the "
	  "kernel's list (drivers/pci/p2pdma.c)" },
	{ DMABUF_RW_REASON_MAP, ENODEV,
	  "the exporter has revoked the buffer: see that its device is bound, powered and has "
	  "its memory enabled, then export the buffer again" },
	{ DMABUF_RW_REASON_MAP, ENOMEM,
	  "memory, addresses of the IOMMU or the bounce area (swiotlb) are used up: use a "
	  "smaller buffer, enable the IOMMU, or boot without swiotlb=force" },
	{ DMABUF_RW_REASON_MAP, EIO,
	  "the buffer does not fit into what the drive can be given: addresses of the IOMMU "
	  "or the bounce area (swiotlb) are used up; use a smaller buffer, enable the IOMMU, "
	  "or boot without swiotlb=force" },
};

#define ERRNO(e, call_, cause_, remedy_) \
	{ e, DMABUF_RW_CALL_ ## call_, { #e, cause_, remedy_ } }

/* Rows for a call come before the row for any call. */
static const struct errno_sentence errnos[] = {
	/* Opening the node. */
	ERRNO(ENOENT, OPEN,
	      "the dmabuf_rw module is not loaded: its node does not exist",
	      "load it with modprobe dmabuf_rw"),
	ERRNO(ENXIO, OPEN,
	      "the dmabuf_rw module is not loaded: nothing is behind its node",
	      "load it with modprobe dmabuf_rw"),
	ERRNO(ENODEV, OPEN,
	      "the dmabuf_rw module is not loaded: nothing is behind its node",
	      "load it with modprobe dmabuf_rw"),
	ERRNO(EACCES, OPEN,
	      "this user may not open the module's node",
	      "run as root, or become a member of the node's group (ls -l "
	      DMABUF_RW_DEVICE ")"),
	ERRNO(EPERM, OPEN,
	      "this process may not open the module's node (device cgroup or sandbox)",
	      "allow the node in the container's device list"),
	ERRNO(ENOTTY, QUERY,
	      "the node that was opened is not the dmabuf_rw module's",
	      "name " DMABUF_RW_DEVICE),
	ERRNO(EPROTONOSUPPORT, QUERY,
	      "the module speaks another major version of the interface than this "
	      "library",
	      "install the module and the library from one release"),
	ERRNO(ENOTTY, INFO,
	      "the descriptor is not a binding",
	      "pass a descriptor that came from binding a buffer to a file"),

	/* io_uring itself. */
	ERRNO(ENOSYS, QUEUE,
	      "this kernel has no io_uring, so few transfers are under way at a time",
	      "nothing needs to be done, or use a kernel that has it for more speed"),
	ERRNO(EPERM, QUEUE,
	      "io_uring is not allowed for this process (sysctl kernel.io_uring_disabled, "
	      "or a container's seccomp filter), so few transfers are under way at a time",
	      "nothing needs to be done, or have it allowed for more speed"),
	ERRNO(EACCES, QUEUE,
	      "io_uring is not allowed for this process (a security module's rules), so few "
	      "transfers are under way at a time",
	      "nothing needs to be done, or have it allowed for more speed"),
	ERRNO(EINVAL, QUEUE,
	      "the queue's options are malformed, or this kernel does not know one of "
	      "them",
	      "check flags and depth, and use a kernel of version 6.12 or later"),
	ERRNO(ECHILD, QUEUE,
	      "a queue belongs to the process that made it, and this is a child of that one",
	      "create a queue in the child, which may use the bindings of its parent"),
	ERRNO(ENOMEM, QUEUE,
	      "there is no memory for the queue, or it is over the limit of locked memory",
	      "use a smaller depth, or raise ulimit -l"),
	ERRNO(EEXIST, QUEUE,
	      "a queue for a single thread was used by another thread",
	      "create the queue in the thread that uses it, or without SINGLE_THREAD"),
	ERRNO(EOPNOTSUPP, QUEUE,
	      "io_uring cannot do this kind of request",
	      "use a kernel of version 6.12 or later"),

	/* The interface's table. */
	ERRNO(EINVAL, FILE,
	      "the file system does not take this name or this size, or the options are "
	      "malformed",
	      "store under another name, or on another file system"),
	ERRNO(EINVAL, NONE,
	      "the request is malformed: a structure is too short, a reserved field or an "
	      "unknown flag is set, a flag has no meaning here (forced durability on a read, "
	      "DMABUF_RW_IO_RESULTS of one range), or a queued batch has no range",
	      "check the flags, and that program, library and module are of one release"),
	ERRNO(E2BIG, NONE,
	      "the program uses a part of the interface that this module or this library "
	      "does not know",
	      "install a newer one (dmabuf-rw check says if an old module is still loaded), or "
	      "leave the newer option out"),
	ERRNO(EFAULT, NONE,
	      "a pointer in the request is not readable or writable memory",
	      "this is a fault of the program: check pieces and structures"),
	ERRNO(ENOTTY, NONE,
	      "the descriptor does not know this request: it is of another kind, or of an older "
	      "module",
	      "use the module's node to bind, and a binding to transfer; dmabuf-rw check says if "
	      "an old module is still loaded"),
	ERRNO(EINTR, NONE,
	      "a signal arrived before anything was done",
	      "ask again"),
	ERRNO(ENOMEM, NONE,
	      "the kernel has no memory for the bookkeeping",
	      "free memory and try again"),
	ERRNO(EMFILE, NONE,
	      "the process has no descriptor left",
	      "close some, or raise ulimit -n"),
	ERRNO(ENFILE, NONE,
	      "the system has no file left",
	      "raise sysctl fs.file-max"),
	ERRNO(EBADF, NONE,
	      "a descriptor is not open",
	      "pass descriptors that are open in this process"),
	ERRNO(EBADFD, NONE,
	      "the buffer's descriptor is open but is not a dma-buf",
	      "export the memory as a dma-buf first"),
	ERRNO(ENOTBLK, NONE,
	      "the file does not lead straight to the blocks of an NVMe drive: it is on "
	      "another kind of device, or on a file system other than ext4 and XFS",
	      "name an NVMe disk or partition such as /dev/nvme0n1, or a file on an ext4 "
	      "or XFS file system on one"),
	ERRNO(EPROTONOSUPPORT, NONE,
	      "the NVMe disk is not on PCI, so it has no DMA of its own to this "
	      "machine's memory",
	      "use a disk with transport pcie; nvme list-subsys shows it"),
	ERRNO(EMEDIUMTYPE, NONE,
	      "the namespace's format cannot be served: it has metadata or protection "
	      "information, is zoned, has an odd block size, or was reformatted after it "
	      "was bound; or the file's data has moved to the journal or been sealed (verity) "
	      "since",
	      "bind again after a reformat; otherwise use a conventional namespace with "
	      "blocks of 512 or 4096 bytes and no metadata (nvme id-ns -H)"),
	ERRNO(EADDRNOTAVAIL, NONE,
	      "the drive cannot reach the buffer at the addresses that its exporter gave: "
	      "the IOMMU does not translate them, they lie in a software bounce area, or it is "
	      "not known that anything routes them",
	      "boot with iommu=pt and without swiotlb=force, or put the drive and the "
	      "buffer's device below one PCIe switch"),
	ERRNO(EXDEV, NONE,
	      "device memory was insisted on, but the buffer lies at least partly in "
	      "system RAM or at an address that cannot be identified",
	      "see why the exporter moved it (dmabuf-rw info FILE BUFFER), or do not "
	      "insist on device memory"),
	ERRNO(EREMOTEIO, NONE,
	      "the buffer's exporter refused to attach or to map it for the drive",
	      "see that the exporting device is bound and has its memory enabled; the "
	      "kernel log may say more"),
	ERRNO(EPROTO, BIND,
	      "the kernel's NVMe driver does not behave as the module was built to "
	      "expect, so nothing was transferred",
	      "rebuild the dmabuf_rw module for the running kernel"),
	ERRNO(EPROTO, NONE,
	      "the module reported more bytes than were asked for",
	      "install the module and the library from one release"),
	ERRNO(ENOENT, FILE,
	      "the directory that the file is to be in does not exist",
	      "make it first (mkdir -p)"),
	ERRNO(ENOTDIR, FILE,
	      "what the path names as the directory of the file is none",
	      "check the path"),
	ERRNO(EISDIR, FILE,
	      "the path is that of a directory, or ends with a slash as if it were",
	      "name a file in it"),
	ERRNO(EEXIST, FILE,
	      "what is there is not a regular file but a device, a pipe or a socket, which a "
	      "file does not replace",
	      "use another name; a disk needs no new file: bind it, and write to it"),
	ERRNO(ELOOP, FILE,
	      "the path leads through too many symbolic links, or in a circle",
	      "see where they lead (namei -l FILE)"),
	ERRNO(ENAMETOOLONG, FILE,
	      "the path, or a name in it, is too long",
	      "use a shorter one: at most 255 bytes between two slashes"),
	ERRNO(EFBIG, FILE,
	      "the file would be larger than this process may make one (ulimit -f, "
	      "RLIMIT_FSIZE) or than its file system can hold",
	      "raise the limit (ulimit -f unlimited), or use a file system for larger files; "
	      "sizes are rounded up to a multiple of 4096"),
	ERRNO(ECHILD, FILE,
	      "file objects belong to the process that made them, and this is a child of it",
	      "make the file after the fork, or commit it in the parent"),
	ERRNO(EDQUOT, FILE,
	      "the quota of the file's owner is used up",
	      "free space, or have the quota raised"),
	ERRNO(EACCES, FILE,
	      "this user may not make or replace files in that directory",
	      "store where this user may write (ls -ld DIRECTORY), or as another user"),
	ERRNO(EACCES, NONE,
	      "the descriptors' open modes do not allow this: a read from the file needs "
	      "the file open for reading and the buffer for writing, a write to the file "
	      "needs the file open for writing and the buffer for reading",
	      "open the file O_RDWR, and export the buffer with O_RDWR"),
	ERRNO(EPERM, FILE,
	      "the file that is there cannot be replaced: it is in use as swap, or has been "
	      "made immutable, append-only or another user's; or the new one cannot be given "
	      "its owner's rights",
	      "swapoff it, take the attribute off (lsattr, chattr), or store under another "
	      "name"),
	ERRNO(EROFS, FILE,
	      "the file system is mounted read-only",
	      "mount -o remount,rw, if it is meant to be written"),
	ERRNO(EBUSY, FILE,
	      "the name is in use as a mount point",
	      "store under another name"),
	ERRNO(EUCLEAN, FILE,
	      "the new file has taken the old one's place, but it could not be seen to that "
	      "its name outlasts a loss of power",
	      "see the kernel log, and sync the file system before relying on it"),
	ERRNO(EPERM, NONE,
	      "the device has been set read-only, or its file system has been remounted "
	      "read-only",
	      "blockdev --setrw, or mount -o remount,rw, if it is meant to be written"),
	ERRNO(ETXTBSY, NONE,
	      "the device or the file is in use as swap",
	      "swapoff it first, or use another"),
	ERRNO(ENODEV, NONE,
	      "the drive is gone: unbound, unplugged or removed",
	      "bring it back (nvme list), open it anew and bind again"),
	ERRNO(ESTALE, NONE,
	      "the exporter has revoked the buffer for good (its device was reset, "
	      "disabled or closed)",
	      "export the buffer anew and bind again"),
	ERRNO(EOVERFLOW, NONE,
	      "an offset plus its length does not fit in 63 bits; or a batch, or a transfer that "
	      "must be whole, has more than 2147479552 bytes",
	      "check the offsets and the lengths, or ask for less at a time"),
	ERRNO(ESPIPE, IO,
	      "the file ends before the transfer does, which had to be whole",
	      "check offset and length against the size of the file"),
	ERRNO(ERANGE, NONE,
	      "the transfer ends outside the buffer",
	      "use a smaller length or buffer offset, or a larger buffer"),
	ERRNO(EDOM, NONE,
	      "an offset or a length is not a multiple of what the drive can address, which is "
	      "a whole LBA for writes, and the rest of it may not or cannot be copied through "
	      "memory",
	      "use multiples of the alignment that dmabuf-rw info FILE BUFFER reports, or "
	      "allow bouncing (dmabuf-rw load and store: --allow-bounce); that needs a buffer "
	      "with a CPU mapping or a copy function, and for writes /dev/udmabuf (modprobe "
	      "udmabuf)"),
	ERRNO(EMSGSIZE, NONE,
	      "too many pieces in one transfer, or transfers in one batch",
	      "use at most 1024 pieces, and 256 transfers"),
	ERRNO(ENOSPC, FILE,
	      "the file system has no space left for the file",
	      "free space, or use another file system"),
	ERRNO(ENOSPC, NONE,
	      "the write begins at or after the end of the file or device, or the drive "
	      "has no capacity left",
	      "check offset and length against the size; a transfer makes no file longer, so "
	      "create it with its final size (dmabuf_rw_file_create(), dmabuf-rw store)"),
	ERRNO(EOPNOTSUPP, BIND,
	      "the file's blocks cannot be used in place: it keeps data inside its inode or "
	      "the journal, is encrypted, compressed, sealed (verity), accessed by DAX, or the "
	      "like",
	      "write the file anew as a plain one, and bind that"),
	ERRNO(EOPNOTSUPP, NONE,
	      "polled transfers were asked for, and the drive's queues have no poll queue; or "
	      "the entry is behind a link on a kernel before 6.14",
	      "load the driver with nvme.poll_queues=N, or do not poll; add IOSQE_ASYNC to "
	      "entries behind links"),
	ERRNO(ENXIO, FILE,
	      "this part of the file cannot be reached any more",
	      "see the kernel log"),
	ERRNO(ENXIO, NONE,
	      "the file has no block here that has been written: a hole, or space that was "
	      "only allocated; or it is or was a clone (reflink) on XFS",
	      "make a plain copy, cp --reflink=never --sparse=never FILE COPY, and use that; or "
	      "allow bouncing (dmabuf-rw load and store: --allow-bounce)"),
	ERRNO(ENODATA, NONE,
	      "the drive reports a medium error that it could not recover from",
	      "the data in this range is lost; see nvme smart-log and the kernel log"),
	ERRNO(ENOLINK, NONE,
	      "no working path to the namespace is left",
	      "nvme list-subsys shows the paths and their states"),
	ERRNO(ETIMEDOUT, NONE,
	      "the drive did not answer in time",
	      "see the kernel log; the driver resets the drive by itself"),
	ERRNO(EIO, NONE,
	      "the drive reported an error",
	      "see the kernel log and nvme error-log"),
	ERRNO(EILSEQ, NONE,
	      "the drive reports a mismatch of protection information",
	      "see nvme error-log; the range must be written anew"),
	ERRNO(EBADE, NONE,
	      "the drive refused because of a reservation held by another host",
	      "nvme resv-report shows who holds it"),
	ERRNO(EBUSY, NONE,
	      "somebody holds the range in the page cache in a way that cannot be dropped, "
	      "such as the metadata of a mounted file system",
	      "unmount the file system, or write elsewhere"),
	ERRNO(EAGAIN, NONE,
	      "the queue is full",
	      "reap completions, then try again"),
	ERRNO(ECANCELED, NONE,
	      "the transfer was cancelled, or its ring was closed, before it was over",
	      "ask for the bytes that it had not moved, if they are still wanted"),
};

static const struct sentence *find_errno(uint32_t call, int err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errnos); i++)
		if (errnos[i].err == err && (errnos[i].call == call ||
					     errnos[i].call == DMABUF_RW_CALL_NONE))
			return &errnos[i].s;
	return NULL;
}

static const struct sentence *find_reason(uint32_t reason)
{
	if (reason < ARRAY_SIZE(reasons))
		return &reasons[reason];
	reason -= DMABUF_RW_REASON_NO_DEVICE;
	return reason < ARRAY_SIZE(library_reasons) ? &library_reasons[reason] : NULL;
}

static const struct sentence *find(const struct dmabuf_rw_error *error)
{
	const struct sentence *s = find_reason(error->reason);

	if (s && s->cause)
		return s;
	return find_errno(error->call, error->err);
}

DMABUF_RW_API const char *dmabuf_rw_error_cause(const struct dmabuf_rw_error *error)
{
	const struct sentence *s;

	if (!error->err)
		return "no error";
	s = find(error);
	if (s)
		return s->cause;
	return strerrordesc_np(error->err) ? strerrordesc_np(error->err) :
					     "an unknown error";
}

DMABUF_RW_API const char *dmabuf_rw_error_remedy(const struct dmabuf_rw_error *error)
{
	const struct sentence *s;
	size_t i;

	if (!error->err)
		return "nothing needs to be done";
	for (i = 0; i < ARRAY_SIZE(exporters); i++)
		if (exporters[i].reason == error->reason &&
		    exporters[i].detail == error->detail)
			return exporters[i].remedy;
	s = find(error);
	return s ? s->remedy : "see the kernel log";
}

DMABUF_RW_API size_t dmabuf_rw_error_format(const struct dmabuf_rw_error *error,
					    char *buf, size_t len)
{
	const char *cause = dmabuf_rw_error_cause(error);
	const char *remedy = dmabuf_rw_error_remedy(error);
	const char *name = dmabuf_rw_errno_name(error->err);
	char errno_text[32], detail[96] = "";
	int n;

	snprintf(errno_text, sizeof(errno_text), "errno %d", error->err);
	if (error->detail) {
		const char *d = dmabuf_rw_errno_name(error->detail);
		const char *who = dmabuf_rw_error_speaker(error);
		const char *text = error->detail == KERNEL_ENOTSUPP ? "not supported" :
				   strerrordesc_np(error->detail);

		if (d && text)
			snprintf(detail, sizeof(detail), "; the %s said %s, %s", who, d, text);
		else
			snprintf(detail, sizeof(detail), "; the %s said errno %d", who,
				 error->detail);
	}
	n = snprintf(buf, len, "%s (%s%s); %s", cause, name ? name : errno_text, detail,
		     remedy);
	return n < 0 ? 0 : n;
}

DMABUF_RW_API const char *dmabuf_rw_errno_name(int err)
{
	if (err == KERNEL_ENOTSUPP || err == -KERNEL_ENOTSUPP)
		return "ENOTSUPP";
	return strerrorname_np(err < 0 ? -err : err);
}

DMABUF_RW_API const char *dmabuf_rw_reason_name(unsigned int reason)
{
	const struct sentence *s = find_reason(reason);

	return s ? s->name : NULL;
}
