// SPDX-License-Identifier: MIT
/* fake_module.c - see fake_module.h. Counters are guarded by one lock, transfers by none. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/udmabuf.h>
#include <liburing.h>

#include <dmabuf_rw.h>

#include "fake_dmabuf.h"
#include "fake_module.h"

#define MAX_FDS 65536

enum kind { OTHER, NODE, BINDING, UDMABUF, HEAP };

struct bound {
	enum kind kind;
	int file;		/* another opening, without O_DIRECT */
	int mode;
	unsigned char *map;
	uint64_t bytes;
};

struct fake_module module;
__thread bool fake_module_maps;

static struct bound fds[MAX_FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int __wrap_open(const char *path, int flags, ...);
int __wrap_close(int fd);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_fallocate(int fd, int mode, off_t off, off_t len);
int __real_fallocate(int fd, int mode, off_t off, off_t len);
int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
int __real_ioctl(int fd, unsigned long request, ...);

unsigned int fake_module_bindings(void)
{
	unsigned int nr;

	pthread_mutex_lock(&lock);
	nr = module.bindings;
	pthread_mutex_unlock(&lock);
	return nr;
}

static int fail(int err)
{
	errno = err;
	return -1;
}

static int new_fd(struct bound b)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd >= MAX_FDS)
		abort();
	if (fd < 0)
		return fd;
	pthread_mutex_lock(&lock);
	fds[fd] = b;
	if (b.kind == BINDING) {
		module.binds++;
		if (++module.bindings > module.most_bindings)
			module.most_bindings = module.bindings;
	}
	pthread_mutex_unlock(&lock);
	return fd;
}

/* What is behind a descriptor; @forget: from now on nothing is. */
static struct bound find(int fd, bool forget)
{
	struct bound b = { .kind = OTHER };

	if (fd < 0 || fd >= MAX_FDS)
		return b;
	pthread_mutex_lock(&lock);
	b = fds[fd];
	if (forget) {
		fds[fd].kind = OTHER;
		module.bindings -= b.kind == BINDING;
	}
	pthread_mutex_unlock(&lock);
	return b;
}

int __wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, int) : 0;
	va_end(ap);
	if (!strcmp(path, DMABUF_RW_DEVICE))
		return module.absent ? fail(ENOENT) : new_fd((struct bound){ .kind = NODE });
	if (!strcmp(path, "/dev/udmabuf"))
		return module.exporters ? new_fd((struct bound){ .kind = UDMABUF }) : fail(ENOENT);
	if (!strcmp(path, "/dev/dma_heap/system"))
		return module.exporters ? new_fd((struct bound){ .kind = HEAP }) : fail(ENOENT);
	/* Not every tmpfs knows it. */
	return __real_open(path, module.tells_holes ? flags & ~O_DIRECT : flags, mode);
}

/* The extent that a position is in or before: what is no hole is written. */
static int tell_extent(int fd, struct fiemap *map)
{
	off_t data = lseek(fd, map->fm_start, SEEK_DATA), hole;

	map->fm_mapped_extents = 0;
	if (data < 0)
		return errno == ENXIO ? 0 : -1;
	hole = lseek(fd, data, SEEK_HOLE);
	map->fm_mapped_extents = 1;
	map->fm_extents[0] = (struct fiemap_extent){ .fe_logical = data,
						     .fe_length = hole - data };
	return 0;
}

#define WRITE_ZEROES 0x80	/* FALLOC_FL_WRITE_ZEROES, of Linux 6.17 */

int __wrap_fallocate(int fd, int mode, off_t off, off_t len)
{
	char *zeros;
	bool done;

	if (mode != WRITE_ZEROES)
		return __real_fallocate(fd, mode, off, len);
	if (!module.puts_zeros)
		return fail(EOPNOTSUPP);
	zeros = calloc(1, len);
	done = zeros && pwrite(fd, zeros, len, off) == len;
	free(zeros);
	pthread_mutex_lock(&lock);
	module.zeros += len;
	pthread_mutex_unlock(&lock);
	return done ? 0 : fail(EIO);
}

int __wrap_close(int fd)
{
	struct bound b = find(fd, true);

	if (b.kind == BINDING) {
		munmap(b.map, b.bytes);
		__real_close(b.file);
	}
	return __real_close(fd);
}

static int do_bind(struct dmabuf_rw_bind *bind)
{
	char path[32];
	struct stat st;
	struct bound b;
	int fd;

	if (!fake_is_dmabuf(bind->dmabuf_fd))
		return fail(EBADFD);
	if (module.bind_signals && module.bind_signals--)
		return fail(EINTR);
	if (module.bind_errno) {
		bind->reason = module.bind_reason;
		bind->detail = module.bind_detail;
		return fail(module.bind_errno);
	}
	if (module.in_ram && bind->flags & DMABUF_RW_BIND_DEVICE_MEMORY) {
		bind->reason = DMABUF_RW_REASON_NOT_DEVICE_MEMORY;
		return fail(EXDEV);
	}
	b.kind = BINDING;
	b.mode = fcntl(bind->file_fd, F_GETFL) & O_ACCMODE;
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", bind->file_fd);
	b.file = __real_open(path, b.mode | O_CLOEXEC);
	if (b.file < 0 || fstat(bind->dmabuf_fd, &st))
		return -1;
	b.bytes = st.st_size;
	fake_module_maps = true;
	b.map = mmap(NULL, b.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bind->dmabuf_fd, 0);
	fake_module_maps = false;
	if (b.map == MAP_FAILED)
		abort();
	fd = new_fd(b);
	if (fd < 0) {
		munmap(b.map, b.bytes);
		__real_close(b.file);
		return fail(EMFILE);
	}
	return fd;
}

static uint64_t file_bytes(const struct bound *b)
{
	struct stat st;

	return fstat(b->file, &st) ? 0 : st.st_size;
}

static int do_info(const struct bound *b, struct dmabuf_rw_info *info)
{
	*info = module.info;
	info->size = sizeof(*info);
	info->buf_bytes = b->bytes;
	info->file_bytes = file_bytes(b);
	info->flags |= DMABUF_RW_INFO_REGULAR;
	info->read_align = info->write_align = module.align ? module.align : 1;
	info->buf_align = 1;
	return 0;
}

/* Bytes or -errno. */
static int64_t move(const struct bound *b, uint32_t op, uint64_t off, uint64_t buf_off,
		    uint64_t len, uint64_t flags)
{
	bool write = op == DMABUF_RW_OP_WRITE;
	uint64_t bytes = file_bytes(b);
	off_t data;
	int64_t n;

	usleep(module.delay_us);
	if (flags & DMABUF_RW_IO_FUA && !write)
		return -EINVAL;
	if (b->mode == (write ? O_RDONLY : O_WRONLY))
		return -EACCES;
	if (buf_off > b->bytes || len > b->bytes - buf_off)
		return -ERANGE;
	if (module.align && (off % module.align ||
			     (len % module.align && off + len < bytes)))
		return -EDOM;
	if (off >= bytes)
		return write ? -ENOSPC : 0;
	if (module.io_errno && off >= module.io_errno_from)
		return -module.io_errno;
	if (len > bytes - off)
		len = bytes - off;
	if (module.instead && module.instead(op, b->file, off, b->map, buf_off, len))
		return len;
	if (module.io_errno && off + len > module.io_errno_from)
		len = module.io_errno_from - off;
	/* Holes have no blocks. */
	data = lseek(b->file, off, SEEK_DATA);
	if (data < 0 || (uint64_t)data > off)
		return -ENXIO;
	data = lseek(b->file, off, SEEK_HOLE);
	if (data > 0 && off + len > (uint64_t)data)
		len = data - off;
	n = write ? pwrite(b->file, b->map + buf_off, len, off) :
		    pread(b->file, b->map + buf_off, len, off);
	if (n < 0)
		return -errno;
	pthread_mutex_lock(&lock);
	module.moved[op] += n;
	module.durable += flags & DMABUF_RW_IO_FUA ? n : 0;
	pthread_mutex_unlock(&lock);
	return n;
}

static int do_io(const struct bound *b, struct dmabuf_rw_io *io)
{
	int64_t n = move(b, io->op, io->file_off, io->buf_off, io->len, io->flags);

	pthread_mutex_lock(&lock);
	module.ios++;
	pthread_mutex_unlock(&lock);
	if (n < 0)
		return fail(-n);
	io->done = n;
	return 0;
}

static int do_batch(const struct bound *b, struct dmabuf_rw_batch *batch)
{
	struct dmabuf_rw_range *r = (void *)(uintptr_t)batch->ranges;
	uint32_t i;

	pthread_mutex_lock(&lock);
	module.batches++;
	module.ranges += batch->nr;
	pthread_mutex_unlock(&lock);
	for (i = 0; i < batch->nr; i++) {
		r[i].result = move(b, batch->op, r[i].file_off, r[i].buf_off, r[i].len,
				   batch->flags | r[i].flags);
		if (r[i].result > 0)
			batch->done += r[i].result;
		else if (r[i].result < 0 && !batch->error)
			batch->error = -r[i].result;
	}
	if (batch->error && !batch->done)
		return fail(batch->error);
	return 0;
}

/* What is made of a memfd is the memfd, as long as it may not shrink. */
static int do_udmabuf(const struct udmabuf_create *create)
{
	if (create->size % 4096 || !(fcntl(create->memfd, F_GET_SEALS) & F_SEAL_SHRINK))
		return fail(EINVAL);
	return fcntl(create->memfd, F_DUPFD_CLOEXEC, 3);
}

static int do_heap(struct dma_heap_allocation_data *request)
{
	int fd = memfd_create("heap", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, request->len))
		return -1;
	request->fd = fd;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct bound bound = find(fd, false), *b = &bound;
	struct dmabuf_rw_query *query;
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == DMA_BUF_IOCTL_SYNC && fake_is_dmabuf(fd))
		return ((const struct dma_buf_sync *)arg)->flags & ~DMA_BUF_SYNC_VALID_FLAGS_MASK ?
		       fail(EINVAL) : 0;
	switch (b->kind) {
	case NODE:
		if (request == DMABUF_RW_IOC_BIND)
			return do_bind(arg);
		if (request != DMABUF_RW_IOC_QUERY)
			return fail(ENOTTY);
		query = arg;
		query->abi_major = DMABUF_RW_ABI_MAJOR + module.abi_ahead;
		query->max_pieces = DMABUF_RW_MAX_PIECES;
		query->max_batch = DMABUF_RW_MAX_BATCH;
		query->max_bytes = DMABUF_RW_MAX_BYTES;
		return 0;
	case BINDING:
		if (request == DMABUF_RW_IOC_INFO)
			return do_info(b, arg);
		if (request == DMABUF_RW_IOC_IO)
			return do_io(b, arg);
		if (request == DMABUF_RW_IOC_BATCH)
			return do_batch(b, arg);
		return fail(ENOTTY);
	case UDMABUF:
		return request == UDMABUF_CREATE ? do_udmabuf(arg) : fail(ENOTTY);
	case HEAP:
		return request == DMA_HEAP_IOCTL_ALLOC ? do_heap(arg) : fail(ENOTTY);
	case OTHER:
		break;
	}
	if (request == FS_IOC_FIEMAP && module.tells_holes)
		return tell_extent(fd, arg);
	return __real_ioctl(fd, request, arg);
}

/* ---- rings --------------------------------------------------------------------------------- */

/* A batch under way, until its completion is taken. When it ends, the ring reads from @event. */
struct command {
	struct command *next;	/* by @lock, as the next */
	bool busy;
	uint64_t user_data;
	struct bound binding;
	struct dmabuf_rw_batch batch;
	bool lost;
	int event;
	eventfd_t value;
};

static struct command *commands;	/* by @lock; they are used again */

int __wrap_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *p);
unsigned int __wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
					    unsigned int nr);
int __real_io_uring_submit(struct io_uring *ring);
unsigned int __real_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
					    unsigned int nr);

static void *run_command(void *arg)
{
	struct command *c = arg;
	struct dmabuf_rw_range *own = NULL, *theirs = (void *)(uintptr_t)c->batch.ranges;

	if (c->lost) {
		own = malloc(c->batch.nr * sizeof(*own));
		if (!own)
			abort();
		memcpy(own, theirs, c->batch.nr * sizeof(*own));
		c->batch.ranges = (uintptr_t)own;
	}
	do_batch(&c->binding, &c->batch);
	free(own);
	/* What was done here is seen by who takes the completion. */
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
	eventfd_write(c->event, 1);
	return NULL;
}

static struct command *new_command(uint64_t user_data)
{
	struct command *c;

	pthread_mutex_lock(&lock);
	for (c = commands; c && c->busy; c = c->next)
		;
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			abort();
		c->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		c->next = commands;
		commands = c;
	}
	c->busy = true;
	c->user_data = user_data;
	c->lost = module.lose;
	module.lose -= c->lost;
	module.entries++;
	pthread_mutex_unlock(&lock);
	return c;
}

/* In place of the command, one that ends when a thread has done it. */
static void begin_command(struct io_uring_sqe *sqe)
{
	uint64_t user_data = sqe->user_data, flags;
	struct command *c = new_command(user_data);
	pthread_t thread;

	memcpy(&flags, (const char *)sqe + 56, sizeof(flags));
	c->binding = find(sqe->fd, false);
	if (c->binding.kind != BINDING || !(flags & DMABUF_RW_IO_RESULTS) ||
	    (sqe->cmd_op != DMABUF_RW_URING_READ_MANY && sqe->cmd_op != DMABUF_RW_URING_WRITE_MANY))
		abort();
	c->batch = (struct dmabuf_rw_batch){
		.op = sqe->cmd_op == DMABUF_RW_URING_WRITE_MANY ? DMABUF_RW_OP_WRITE :
								  DMABUF_RW_OP_READ,
		.flags = flags & ~DMABUF_RW_IO_RESULTS,
		.ranges = sqe->addr3,
		.nr = sqe->len,
	};
	memset(sqe, 0, sizeof(*sqe));
	io_uring_prep_read(sqe, c->event, &c->value, sizeof(c->value), 0);
	sqe->user_data = user_data;
	if (c->event < 0 || pthread_create(&thread, NULL, run_command, c))
		abort();
	pthread_detach(thread);
}

/* For programs that wrap it: queues do without, as the kernel knows no such binding. */
int __wrap_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *p)
{
	(void)entries;
	(void)ring;
	(void)p;
	return -EPERM;
}

/* Weak: programs that have rings of their own only bring their own. */
__attribute__((weak)) int __wrap_io_uring_submit(struct io_uring *ring)
{
	struct io_uring_sq *sq = &ring->sq;
	unsigned int i, nr = io_uring_sq_ready(ring);
	struct io_uring_sqe *sqe;

	for (i = 0; i < nr; i++) {
		sqe = &sq->sqes[(sq->sqe_tail - nr + i) & sq->ring_mask];
		if (sqe->opcode != IORING_OP_URING_CMD)
			continue;
		if (module.refuse) {
			module.refuse--;
			return -EAGAIN;
		}
		begin_command(sqe);
	}
	return __real_io_uring_submit(ring);
}

static struct command *find_command(uint64_t user_data)
{
	struct command *c;

	pthread_mutex_lock(&lock);
	for (c = commands; c && !(c->busy && c->user_data == user_data); c = c->next)
		;
	pthread_mutex_unlock(&lock);
	return c;
}

unsigned int __wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
					    unsigned int nr)
{
	unsigned int found = __real_io_uring_peek_batch_cqe(ring, cqes, nr), i;
	struct command *c;

	for (i = 0; i < found; i++) {
		c = find_command(cqes[i]->user_data);
		if (!c)
			continue;
		/* With its thread a read ends, but no command of a drive. */
		while (cqes[i]->res < 0 && eventfd_read(c->event, &c->value))
			usleep(1000);
		pthread_mutex_lock(&lock);
		c->busy = false;
		pthread_mutex_unlock(&lock);
	}
	return found;
}
