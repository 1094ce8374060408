// SPDX-License-Identifier: MIT
/* fake_kernel.c - see fake_kernel.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/udmabuf.h>

#include "fake_dmabuf.h"
#include "fake_kernel.h"
#include "private.h"
#include "unit.h"

#define FIRST_FD	1000
#define MAX_FDS		512
#define DIRECT_ALIGN	512

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE	0x80
#endif
#ifndef SYS_cachestat
#define SYS_cachestat	451
#endif

enum fd_kind { FD_FREE, FD_NODE, FD_BINDING, FD_UDMABUF, FD_RING, FD_REGISTERED };

struct fake_fd {
	enum fd_kind kind;
	unsigned char *buffer;	/* of a binding, or registered: its own mapping, else null */
	uint64_t bytes;
};

struct fake_kernel fake;
static struct fake_fd fds[MAX_FDS];
static bool ours[FIRST_FD];	/* real descriptors that the library has */
static bool direct[FIRST_FD];	/* with O_DIRECT */
static bool duplicate[FIRST_FD];	/* of a descriptor of the caller's */
static bool paired;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread unsigned int depth;	/* how often this thread has locked it */

int __wrap_open(const char *path, int flags, ...);
int __wrap_close(int fd);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_fcntl(int fd, int cmd, ...);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int __wrap_munmap(void *addr, size_t len);
ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int nr, off_t off, int flags);
ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int nr, off_t off, int flags);
long __wrap_syscall(long number, ...);
long __real_syscall(long number, ...);
int __wrap_fdatasync(int fd);
int __wrap_nanosleep(const struct timespec *ts, struct timespec *left);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __real_nanosleep(const struct timespec *ts, struct timespec *left);
int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_posix_fadvise(int fd, off_t off, off_t len, int advice);
int __wrap_sync_file_range(int fd, off_t off, off_t len, unsigned int flags);
int __wrap_fstatfs(int fd, struct statfs *fs);
int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
int __real_fcntl(int fd, int cmd, ...);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int __real_munmap(void *addr, size_t len);

void fake_lock(void)
{
	if (!depth++)
		pthread_mutex_lock(&lock);
}

void fake_unlock(void)
{
	if (!--depth)
		pthread_mutex_unlock(&lock);
}

/* Tests that fork do so while threads of the library are in here. */
static void __attribute__((constructor)) keep_lock_whole(void)
{
	pthread_atfork(fake_lock, fake_unlock, fake_unlock);
}

static void drop_arrays(void)
{
	if (paired) {
		__real_munmap(fake.file, fake.file_bytes);
		__real_munmap(fake.buffer, fake.buf_bytes);
		__real_close(fake.file_fd);
		__real_close(fake.dmabuf_fd);
		paired = false;
	} else {
		free(fake.file);
		free(fake.buffer);
	}
	fake.file = fake.buffer = NULL;
}

void fake_reset(void)
{
	/* Its page stays; it is no mapping that a test could leak. */
	dmabuf_rw_process();
	drop_arrays();
	/* What a check that failed in here has left. */
	if (depth) {
		depth = 1;
		fake_unlock();
	}
	memset(&fake, 0, sizeof(fake));
	memset(fds, 0, sizeof(fds));
	memset(ours, 0, sizeof(ours));
	memset(direct, 0, sizeof(direct));
	memset(duplicate, 0, sizeof(duplicate));
	fake.abi_major = DMABUF_RW_ABI_MAJOR;
	fake.file_bytes = 1 << 20;
	fake.buf_bytes = 1 << 20;
	fake.max_move = DMABUF_RW_MAX_BYTES;
	fake.kernel_max = 1 << 30;
	fake.file_fd = fake.dmabuf_fd = -1;
}

/* 251 and 241 are prime: no two blocks of a power of two are equal. */
unsigned char fake_file_byte(uint64_t i)
{
	return i % 251;
}

unsigned char fake_buffer_byte(uint64_t i)
{
	return i % 241 ^ 0x80;
}

static void fill_arrays(void)
{
	uint64_t i;

	for (i = 0; i < fake.file_bytes; i++)
		fake.file[i] = fake_file_byte(i);
	for (i = 0; i < fake.buf_bytes; i++)
		fake.buffer[i] = fake_buffer_byte(i);
}

void fake_fill(uint64_t file_bytes, uint64_t buf_bytes)
{
	drop_arrays();
	fake.file_bytes = file_bytes;
	fake.buf_bytes = buf_bytes;
	fake.file = malloc(file_bytes);
	fake.buffer = malloc(buf_bytes);
	assert_non_null(fake.file);
	assert_non_null(fake.buffer);
	fill_arrays();
}

/* As a device has it, whatever the descriptor was opened for. No cancellation point. */
static unsigned char *map_of(int fd, uint64_t bytes)
{
	char path[32];
	void *map;
	int own;

	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	own = __real_syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	assert_true(own >= 0);
	map = __real_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	__real_syscall(SYS_close, own);
	return map;
}

void fake_pair(uint64_t file_bytes, uint64_t buf_bytes)
{
	char path[] = "/tmp/fake-file-XXXXXX";

	drop_arrays();
	fake.file_fd = mkostemp(path, O_CLOEXEC);
	assert_true(fake.file_fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ftruncate(fake.file_fd, file_bytes), 0);
	fake.dmabuf_fd = memfd_create("fake dma-buf", MFD_CLOEXEC);
	assert_true(fake.dmabuf_fd >= 0);
	assert_int_equal(ftruncate(fake.dmabuf_fd, buf_bytes), 0);
	fake.file_bytes = file_bytes;
	fake.buf_bytes = buf_bytes;
	fake.file = map_of(fake.file_fd, file_bytes);
	fake.buffer = map_of(fake.dmabuf_fd, buf_bytes);
	fill_arrays();
	paired = true;
}

static int new_fd(enum fd_kind kind)
{
	int i;

	for (i = 0; i < MAX_FDS; i++) {
		if (fds[i].kind != FD_FREE)
			continue;
		fds[i] = (struct fake_fd){ .kind = kind };
		fake.fds++;
		return FIRST_FD + i;
	}
	errno = EMFILE;
	return -1;
}

static struct fake_fd *fake_fd_of(int fd)
{
	static struct fake_fd none;

	return fd >= FIRST_FD && fd < FIRST_FD + MAX_FDS ? &fds[fd - FIRST_FD] : &none;
}

static enum fd_kind kind_of(int fd)
{
	return fake_fd_of(fd)->kind;
}

unsigned char *fake_buffer_of(int fd, uint64_t *bytes)
{
	const struct fake_fd *f = fake_fd_of(fd);

	assert_true(f->kind == FD_BINDING || f->kind == FD_REGISTERED);
	*bytes = f->buffer ? f->bytes : fake.buf_bytes;
	return f->buffer ? f->buffer : fake.buffer;
}

bool fake_is_binding(int fd)
{
	return kind_of(fd) == FD_BINDING;
}

int fake_ring_fd(void)
{
	int fd;

	fake_lock();
	fd = new_fd(FD_RING);
	fake_unlock();
	return fd;
}

void fake_close(int fd)
{
	__wrap_close(fd);
}

static int fail_with(int err)
{
	errno = err;
	return -1;
}

/* A real descriptor that the library gets. */
static int give(int fd, bool is_direct)
{
	if (fd < 0)
		return fd;
	assert_in_range(fd, 0, FIRST_FD - 1);
	ours[fd] = true;
	direct[fd] = is_direct;
	duplicate[fd] = false;
	fake.real_fds++;
	return fd;
}

static int open_locked(const char *path, int flags)
{
	if (!strncmp(path, "/proc/thread-self/fd/", 21)) {
		bool is_direct = flags & O_DIRECT;

		if (fake.reopen_errno)
			return fail_with(fake.reopen_errno);
		if (is_direct && fake.direct_errno)
			return fail_with(fake.direct_errno);
		/* The file system below need not have it; the alignment is checked here. */
		return give(__real_open(path, flags & ~O_DIRECT), is_direct);
	}
	assert_int_equal(flags, O_RDWR | O_CLOEXEC);
	if (!strcmp(path, "/dev/udmabuf"))
		return fake.udmabuf_errno ? fail_with(fake.udmabuf_errno) :
					    new_fd(FD_UDMABUF);
	snprintf(fake.opened, sizeof(fake.opened), "%s", path);
	return fake.open_errno ? fail_with(fake.open_errno) : new_fd(FD_NODE);
}

int __wrap_open(const char *path, int flags, ...)
{
	int ret;

	fake_lock();
	ret = open_locked(path, flags);
	fake_unlock();
	return ret;
}

int __wrap_close(int fd)
{
	struct fake_fd *f = fake_fd_of(fd);

	fake_lock();
	if (fd < FIRST_FD) {
		if (ours[fd]) {
			ours[fd] = false;
			fake.real_fds--;
		}
		assert_int_equal(__real_close(fd), 0);
	} else {
		assert_int_not_equal(f->kind, FD_FREE);
		fake.registered -= f->kind == FD_REGISTERED;
		if (f->buffer)
			__real_munmap(f->buffer, f->bytes);
		*f = (struct fake_fd){ 0 };
		fake.fds--;
	}
	fake_unlock();
	return 0;
}

int __wrap_fcntl(int fd, int cmd, ...)
{
	va_list ap;
	long arg;
	int ret;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	if (cmd == F_DUPFD_CLOEXEC && fake.dup_errno)
		return fail_with(fake.dup_errno);
	if (fd < FIRST_FD) {
		ret = __real_fcntl(fd, cmd, arg);
		if (cmd == F_DUPFD_CLOEXEC) {
			fake_lock();
			give(ret, ret >= 0 && __real_fcntl(ret, F_GETFL, 0) & O_DIRECT);
			if (ret >= 0)
				duplicate[ret] = true;
			fake_unlock();
		}
		return ret;
	}
	assert_int_equal(cmd, F_DUPFD_CLOEXEC);
	fake_lock();
	ret = new_fd(kind_of(fd));
	fake_unlock();
	return ret;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	int err = fd < 0 ? fake.pool_errno : fake.mmap_errno;

	if (err) {
		errno = err;
		return MAP_FAILED;
	}
	fake_lock();
	fake.maps++;
	fake_unlock();
	return __real_mmap(addr, len, prot, flags, fd, off);
}

int __wrap_munmap(void *addr, size_t len)
{
	fake_lock();
	fake.maps--;
	fake_unlock();
	return __real_munmap(addr, len);
}

/* What a read or write through the page cache leaves there. */
static void fill_cache(bool write, uint64_t off, uint64_t len)
{
	uint64_t page;

	for (page = off / FAKE_PAGE; page <= (off + len - 1) / FAKE_PAGE; page++) {
		assert_in_range(page, 0, FAKE_PAGES - 1);
		if (write)
			fake.pages[page] = FAKE_DIRTY;
		else if (!fake.pages[page])
			fake.pages[page] = FAKE_CLEAN;
	}
}

int fake_rw(bool write, int fd, void *mem, uint32_t len, uint64_t off, int rw_flags)
{
	int ret;

	fake_lock();
	assert_true(fd >= 0 && fd < FIRST_FD && ours[fd]);
	assert_true(len > 0);
	if (rw_flags & RWF_DONTCACHE) {
		assert_false(write || direct[fd]);
		/* Flags are looked at before anything else. */
		if (!fake.dontcache || off >= fake.file_bytes) {
			fake_unlock();
			return fake.dontcache ? 0 : -EOPNOTSUPP;
		}
	}
	fake.last_rw_flags = rw_flags;
	if (direct[fd]) {
		fake.direct_ios++;
		assert_int_equal(len % DIRECT_ALIGN, 0);
		assert_int_equal(off % DIRECT_ALIGN, 0);
		assert_int_equal((uintptr_t)mem % DIRECT_ALIGN, 0);
	} else {
		fake.plain_ios++;
	}
	if (fake.io_interrupts) {
		fake.io_interrupts--;
		ret = -EINTR;
	} else if (direct[fd] && fake.io_direct_errno) {
		ret = -fake.io_direct_errno;
	} else if (!write && fake.io_end && off >= fake.io_end && off < fake.io_end_to) {
		ret = 0;
	} else if (fake.io_bad_errno && off < fake.io_bad_to &&
		   off + len > fake.io_bad_from && off >= fake.io_bad_from) {
		ret = -fake.io_bad_errno;
	} else {
		if (fake.io_bad_errno && off < fake.io_bad_from &&
		    off + len > fake.io_bad_from)
			len = fake.io_bad_from - off;
		if (fake.io_max && len > fake.io_max)
			len = fake.io_max;
		ret = write ? pwrite(fd, mem, len, off) : pread(fd, mem, len, off);
		if (ret < 0)
			ret = -errno;
		else if (ret && !direct[fd] && !(rw_flags & RWF_DONTCACHE))
			fill_cache(write, off, ret);
	}
	fake_unlock();
	return ret;
}

static int cachestat(int fd, void *of, void *state)
{
	struct { uint64_t off, len; } *range = of;
	uint64_t *cached = state, page;

	assert_true(ours[fd]);
	assert_true(range->len > 0);
	if (fake.cachestat_errno)
		return fail_with(fake.cachestat_errno);
	fake_lock();
	memset(cached, 0, 5 * sizeof(*cached));
	for (page = range->off / FAKE_PAGE;
	     page <= (range->off + range->len - 1) / FAKE_PAGE && page < FAKE_PAGES; page++)
		*cached += fake.pages[page] != FAKE_ABSENT;
	fake_unlock();
	return 0;
}

/* Those that have no functions of their own. */
long __wrap_syscall(long number, ...)
{
	long args[4];
	va_list ap;
	int i;

	va_start(ap, number);
	for (i = 0; i < 4; i++)
		args[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_cachestat)
		return cachestat(args[0], (void *)args[1], (void *)args[2]);
	assert_int_equal(number, SYS_io_uring_register);
	if (fake_ring_register)
		return fake_ring_register(args[0], args[1], (void *)args[2], args[3]);
	return __real_syscall(number, args[0], args[1], args[2], args[3]);
}

int __wrap_fdatasync(int fd)
{
	/* What it tells one opening of, it tells the others of as well; but a duplicate is none. */
	assert_true(ours[fd] && !duplicate[fd]);
	if (fake.lost_errno)
		return fail_with(fake.lost_errno);
	fake.flushes++;
	return 0;
}

int __wrap_nanosleep(const struct timespec *ts, struct timespec *left)
{
	bool interrupted;

	fake_lock();
	interrupted = fake.sleep_interrupts;
	fake.sleep_interrupts -= interrupted;
	fake_unlock();
	return interrupted ? fail_with(EINTR) : __real_nanosleep(ts, left);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	int ret = __real_clock_gettime(clock, ts);

	fake_lock();
	fake.clock += fake.clock_step;
	ts->tv_sec += fake.clock;
	fake_unlock();
	return ret;
}

int __wrap_posix_fadvise(int fd, off_t off, off_t len, int advice)
{
	off_t at;

	assert_true(ours[fd]);
	fake_lock();
	if (advice == POSIX_FADV_RANDOM) {
		fake.random_fds++;
	} else {
		assert_int_equal(advice, POSIX_FADV_DONTNEED);
		assert_int_equal(off % FAKE_PAGE | len % FAKE_PAGE, 0);
		assert_true(len > 0);
		fake.drops++;
		for (at = off / FAKE_PAGE; at < (off + len) / FAKE_PAGE; at++)
			if (fake.pages[at] == FAKE_CLEAN)
				fake.pages[at] = FAKE_ABSENT;
	}
	fake_unlock();
	return 0;
}

int __wrap_sync_file_range(int fd, off_t off, off_t len, unsigned int flags)
{
	bool wait = flags & SYNC_FILE_RANGE_WAIT_AFTER;
	bool lost = wait && fake.lost_errno && off < (off_t)fake.lost_to &&
		    off + len > (off_t)fake.lost_from;
	off_t at;

	assert_true(ours[fd]);
	assert_true(flags & SYNC_FILE_RANGE_WRITE);
	assert_true(len > 0);
	if (fake.sync_range_errno)
		return fail_with(fake.sync_range_errno);
	fake_lock();
	for (at = off / FAKE_PAGE; at <= (off + len - 1) / FAKE_PAGE; at++)
		if (fake.pages[at] >= FAKE_WRITEBACK)
			fake.pages[at] = wait ? FAKE_CLEAN : FAKE_WRITEBACK;
	fake_unlock();
	return lost ? fail_with(fake.lost_errno) : 0;
}

ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int nr, off_t off, int flags)
{
	int ret = fake_rw(false, fd, iov->iov_base, iov->iov_len, off, flags);

	assert_int_equal(nr, 1);
	return ret < 0 ? fail_with(-ret) : ret;
}

ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int nr, off_t off, int flags)
{
	int ret = fake_rw(true, fd, iov->iov_base, iov->iov_len, off, flags);

	assert_int_equal(nr, 1);
	return ret < 0 ? fail_with(-ret) : ret;
}

int fake_register(int dmabuf_fd, int file_fd)
{
	struct fake_fd *f;
	struct stat st;
	int fd;

	/* In the order of the kernel's. */
	if (!fake.kernel_way)
		return -EINVAL;
	if (file_fd < 0 || __real_fcntl(file_fd, F_GETFD) < 0)
		return -EBADF;
	if (dmabuf_fd < 0 || __real_fcntl(dmabuf_fd, F_GETFD) < 0)
		return -EBADF;
	if (!fake_is_dmabuf(dmabuf_fd) || fstat(dmabuf_fd, &st) ||
	    (uint64_t)st.st_size > fake.kernel_max)
		return -EINVAL;
	assert_true(ours[file_fd] && direct[file_fd]);
	if (fake.kernel_errno)
		return -fake.kernel_errno;
	fake_lock();
	fd = new_fd(FD_REGISTERED);
	assert_true(fd >= 0);
	f = fake_fd_of(fd);
	f->bytes = st.st_size;
	f->buffer = map_of(dmabuf_fd, f->bytes);
	fake.registered_file = file_fd;
	fake.registered++;
	if (fake.registered > fake.most_registered)
		fake.most_registered = fake.registered;
	fake_unlock();
	return fd;
}

static int do_query(struct dmabuf_rw_query *query)
{
	assert_int_equal(query->size, sizeof(*query));
	if (fake.query_errno) {
		errno = fake.query_errno;
		return -1;
	}
	query->abi_major = fake.abi_major;
	query->abi_minor = 7;
	query->max_pieces = DMABUF_RW_MAX_PIECES;
	query->max_batch = DMABUF_RW_MAX_BATCH;
	query->max_bytes = DMABUF_RW_MAX_BYTES;
	return 0;
}

static int do_bind(struct dmabuf_rw_bind *bind)
{
	struct fake_fd *f;
	struct stat st;
	int fd;

	assert_int_equal(bind->size, sizeof(*bind));
	fake.bind = *bind;
	if (fake.bind_errno) {
		bind->reason = fake.bind_reason;
		bind->detail = fake.bind_detail;
		errno = fake.bind_errno;
		return -1;
	}
	fd = new_fd(FD_BINDING);
	if (fd >= 0 && paired) {
		assert_int_equal(fstat(bind->dmabuf_fd, &st), 0);
		f = fake_fd_of(fd);
		f->bytes = st.st_size;
		f->buffer = map_of(bind->dmabuf_fd, f->bytes);
	}
	return fd;
}

static bool is_zero(const void *mem, size_t len)
{
	const char *p = mem;

	while (len && !*p) {
		p++;
		len--;
	}
	return !len;
}

static int do_info(struct dmabuf_rw_info *info)
{
	assert_true(is_zero((char *)info + 4, info->size - 4));
	if (fake.info_errno) {
		errno = fake.info_errno;
		return -1;
	}
	info->buf_bytes = fake.buf_bytes;
	info->file_bytes = fake.file_bytes;
	info->read_align = fake.read_align ? fake.read_align : 1;
	info->write_align = fake.write_align ? fake.write_align : 1;
	info->buf_align = fake.buf_align ? fake.buf_align : 1;
	info->flags = fake.info_flags;
	return 0;
}

static int do_sync(int fd, const struct dma_buf_sync *sync)
{
	if (!fake_is_dmabuf(fd))
		return fail_with(ENOTTY);
	if (sync->flags & ~(uint64_t)DMA_BUF_SYNC_VALID_FLAGS_MASK)
		return fail_with(EINVAL);
	fake.syncs++;
	if (fake.sync_interrupts) {
		fake.sync_interrupts--;
		return fail_with(EINTR);
	}
	if (fake.sync_errno)
		return fail_with(fake.sync_errno);
	fake.open_syncs += sync->flags & DMA_BUF_SYNC_END ? -1 : 1;
	assert_true(fake.open_syncs >= 0);
	return 0;
}

static int do_fiemap(struct fiemap *map)
{
	assert_int_equal(map->fm_extent_count, 1);
	map->fm_mapped_extents = map->fm_start < fake.written_to;
	if (map->fm_mapped_extents)
		map->fm_extents[0] = (struct fiemap_extent){
			.fe_logical = fake.written_from,
			.fe_length = fake.written_to - fake.written_from,
			.fe_flags = fake.extent_flags,
		};
	return 0;
}

int __wrap_fstatfs(int fd, struct statfs *fs)
{
	(void)fd;
	*fs = (struct statfs){ .f_bsize = 4096, .f_type = fake.xfs ? XFS_SUPER_MAGIC :
								     EXT4_SUPER_MAGIC };
	return 0;
}

static int ioctl_locked(int fd, unsigned long request, void *arg)
{
	enum fd_kind kind = kind_of(fd);

	if (request == DMA_BUF_IOCTL_SYNC)
		return do_sync(fd, arg);
	if (request == FS_IOC_FIEMAP && fd >= 0)
		return do_fiemap(arg);
	if (request == BLKSSZGET && fake.lba) {
		*(int *)arg = fake.lba;
		return 0;
	}
	if (request == BLKGETSIZE64 && fake.lba) {
		*(uint64_t *)arg = fake.gone ? 0 : fake.file_bytes;
		return 0;
	}
	if (kind == FD_UDMABUF && request == UDMABUF_CREATE)
		return give(dup(((struct udmabuf_create *)arg)->memfd), false);
	if (kind == FD_NODE && request == DMABUF_RW_IOC_QUERY)
		return do_query(arg);
	if (kind == FD_NODE && request == DMABUF_RW_IOC_BIND)
		return do_bind(arg);
	if (kind == FD_BINDING && request == DMABUF_RW_IOC_INFO)
		return do_info(arg);
	if (kind == FD_BINDING && request == DMABUF_RW_IOC_IO)
		return fake_do_io(fd, arg);
	if (kind == FD_BINDING && request == DMABUF_RW_IOC_BATCH)
		return fake_do_batch(fd, arg);
	return fail_with(kind == FD_FREE ? EBADF : ENOTTY);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);

	fake_lock();
	ret = ioctl_locked(fd, request, arg);
	fake_unlock();
	return ret;
}
