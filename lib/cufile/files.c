// SPDX-License-Identifier: MIT
/*
 * files.c - handles, and reading and writing files from the host.
 *
 * A handle is a number that leads to a slot and has the slot's use count, which tells a handle that
 * is no longer registered. The descriptor is the program's, and not duplicated, since programs
 * register as many files as they may have descriptors; its device, inode and generation tell
 * whether the program has closed it too early.
 *
 * Slots stay until the process ends, so a slot may be read without a lock. The slot's word has the
 * use count, which is odd while a handle leads to the slot, and the references:
 *
 *   file_get()		adds a reference if the use count is the handle's, in one step
 *   file_put()		drops it. The last one of a retired file wakes retire()
 *   retire_locked()	makes the count even, so that no reference can be added any more
 *   retire()		waits until there is none
 *
 * While there are references, or a handle, only the atomic fields of a slot change.
 *
 * Locks: "lock" protects the list of free slots, the slots of descriptors, and "put". Registering
 * and retiring take it; transfers take it only to wake retire().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/fs.h>

#include "front.h"
#include "private.h"

/* Alignment of all O_DIRECT transfers. */
#define DIRECT_ALIGN	4096

/* Low bits: the slot in a handle, the references in the word. The others are the use count. */
#define SLOT_BITS	24
#define ONE_USE		(UINT64_C(1) << SLOT_BITS)
#define REFS		(ONE_USE - 1)

#define CHUNK_SLOTS	1024UL
#define MAX_CHUNKS	((1UL << SLOT_BITS) / CHUNK_SLOTS)

struct slot {
	struct front_file file;
	size_t number;
	struct slot *next_free;		/* protected by @lock */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t put = PTHREAD_COND_INITIALIZER;
static _Atomic(struct slot *) chunks[MAX_CHUNKS];	/* set once each, in order */
/* Protected by @lock. */
static size_t nr_slots;			/* used so far */
static struct slot *first_free;
static struct slot **slot_of_fd;	/* or null */
static int room_fds;
static uint64_t last_number;
/* Set under @lock. Read without it, as a child of fork(2) may find it locked for ever. */
static _Atomic bool has_stderr;

static uint64_t uses_of(uint64_t word)
{
	return word >> SLOT_BITS;
}

static CUfileHandle_t handle_of(struct slot *slot)
{
	return (CUfileHandle_t)(uintptr_t)(uses_of(slot->file.word) << SLOT_BITS | slot->number);
}

/* Null: it has never been used. */
static struct slot *find_slot(CUfileHandle_t fh)
{
	size_t number = (uintptr_t)fh & ((1UL << SLOT_BITS) - 1);
	struct slot *chunk = atomic_load_explicit(&chunks[number / CHUNK_SLOTS],
						  memory_order_acquire);

	return chunk ? &chunk[number % CHUNK_SLOTS] : NULL;
}

static bool is_of(uint64_t word, CUfileHandle_t fh)
{
	return uses_of(word) == (uintptr_t)fh >> SLOT_BITS && uses_of(word) % 2;
}

static int grow_locked(int fd)
{
	struct slot **grown;
	struct slot *chunk;

	if (!first_free && !(nr_slots % CHUNK_SLOTS)) {
		chunk = nr_slots < MAX_CHUNKS * CHUNK_SLOTS ?
			calloc(CHUNK_SLOTS, sizeof(*chunk)) : NULL;
		if (!chunk)
			return -ENOMEM;
		atomic_store(&chunks[nr_slots / CHUNK_SLOTS], chunk);
	}
	if (fd >= room_fds) {
		grown = realloc(slot_of_fd, (fd + 256) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		memset(grown + room_fds, 0, (fd + 256 - room_fds) * sizeof(*grown));
		slot_of_fd = grown;
		room_fds = fd + 256;
	}
	return 0;
}

/* After grow_locked(). */
static struct slot *take_slot_locked(void)
{
	struct slot *slot = first_free;

	if (slot) {
		first_free = slot->next_free;
		return slot;
	}
	slot = &chunks[nr_slots / CHUNK_SLOTS][nr_slots % CHUNK_SLOTS];
	slot->number = nr_slots++;
	return slot;
}

/* Ends the handle. The caller then calls retire(). */
static void retire_locked(struct slot *slot)
{
	atomic_fetch_add(&slot->file.word, ONE_USE);
	slot_of_fd[slot->file.fd] = NULL;
	if (slot->file.fd == STDERR_FILENO)
		atomic_store(&has_stderr, false);
}

/* Waits for transfers, since the program may close the descriptor next. */
static void retire(struct slot *slot)
{
	struct front_file *file = &slot->file;

	batches_end_file(file);
	pthread_mutex_lock(&lock);
	while (atomic_load(&file->word) & REFS)
		pthread_cond_wait(&put, &lock);
	pthread_mutex_unlock(&lock);
	bonds_forget_file(file);
	if (file->plain_fd >= 0)
		close(file->plain_fd);
	if (file->direct_fd >= 0)
		close(file->direct_fd);
	pthread_mutex_lock(&lock);
	slot->next_free = first_free;
	first_free = slot;
	pthread_mutex_unlock(&lock);
}

/* File systems reuse inode numbers of deleted files. 0: no generation. */
static unsigned int generation_of(int fd, const struct stat *st)
{
	unsigned long generation = 0;

	/* A block device would pass the ioctl to the drive. */
	if (S_ISREG(st->st_mode) && ioctl(fd, FS_IOC_GETVERSION, &generation))
		return 0;
	return generation;
}

static bool is_file(int fd, const struct stat *st, const struct front_file *file)
{
	return st->st_dev == file->dev && st->st_ino == file->ino &&
	       generation_of(fd, st) == file->generation;
}

/* 0 or a CUfileOpError. */
static int judge(int fd, struct stat *st, int *mode)
{
	*mode = fcntl(fd, F_GETFL);
	if (*mode < 0 || fstat(fd, st))
		return CU_FILE_INVALID_VALUE;
	if (*mode & (O_APPEND | O_PATH))
		return CU_FILE_INVALID_FILE_OPEN_FLAG;
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return CU_FILE_INVALID_FILE_TYPE;
	return 0;
}

/* The slot is complete before the handle leads to it. */
static void fill(struct slot *slot, int fd, const struct stat *st, int mode)
{
	struct front_file *file = &slot->file;

	file->number = ++last_number;
	file->fd = fd;
	file->dev = st->st_dev;
	file->ino = st->st_ino;
	file->generation = generation_of(fd, st);
	file->regular = S_ISREG(st->st_mode);
	file->direct = mode & O_DIRECT;
	file->may[0] = (mode & O_ACCMODE) != O_WRONLY;
	file->may[1] = (mode & O_ACCMODE) != O_RDONLY;
	/* O_SYNC includes the bit of O_DSYNC. */
	file->write_flags = mode & O_DSYNC ? DMABUF_RW_IO_FUA : 0;
	file->plain_fd = file->direct_fd = -1;
	file->last_bond = NULL;
	atomic_fetch_add(&file->word, ONE_USE);
}

int file_register(int fd, CUfileHandle_t *fh)
{
	struct slot *slot, *stale = NULL;
	struct stat st;
	int mode, ret;

	ret = judge(fd, &st, &mode);
	if (ret)
		return ret;
	pthread_mutex_lock(&lock);
	if (fd < room_fds && slot_of_fd[fd]) {
		if (is_file(fd, &st, &slot_of_fd[fd]->file)) {
			ret = CU_FILE_HANDLE_ALREADY_REGISTERED;
		} else {
			/* The program has closed the old descriptor; this is another file. */
			stale = slot_of_fd[fd];
			retire_locked(stale);
		}
	}
	if (!ret && grow_locked(fd))
		ret = CU_FILE_INTERNAL_ERROR;
	if (!ret) {
		slot = take_slot_locked();
		fill(slot, fd, &st, mode);
		slot_of_fd[fd] = slot;
		if (fd == STDERR_FILENO)
			atomic_store(&has_stderr, true);
		*fh = handle_of(slot);
	}
	pthread_mutex_unlock(&lock);
	if (stale)
		retire(stale);
	return ret;
}

void file_deregister(CUfileHandle_t fh)
{
	struct slot *slot = find_slot(fh);
	bool is_there;

	if (!slot)
		return;
	pthread_mutex_lock(&lock);
	is_there = is_of(atomic_load(&slot->file.word), fh);
	if (is_there)
		retire_locked(slot);
	pthread_mutex_unlock(&lock);
	if (is_there)
		retire(slot);
}

struct front_file *file_get(CUfileHandle_t fh)
{
	struct slot *slot = find_slot(fh);
	uint64_t word;

	if (!slot)
		return NULL;
	word = atomic_load_explicit(&slot->file.word, memory_order_relaxed);
	do {
		if (!is_of(word, fh))
			return NULL;
	} while (!atomic_compare_exchange_weak(&slot->file.word, &word, word + 1));
	return &slot->file;
}

void file_put(struct front_file *file)
{
	uint64_t left = atomic_fetch_sub(&file->word, 1) - 1;

	if (left & REFS || uses_of(left) % 2)
		return;
	/* retire() waits already, or will find no references. */
	pthread_mutex_lock(&lock);
	pthread_cond_broadcast(&put);
	pthread_mutex_unlock(&lock);
}

bool file_is_retired(const struct front_file *file)
{
	return !(uses_of(atomic_load(&file->word)) % 2);
}

bool file_is_stderr(void)
{
	return atomic_load(&has_stderr);
}

bool file_is_same(const struct front_file *file, uint64_t *bytes)
{
	struct stat st;

	if (fstat(file->fd, &st) || !is_file(file->fd, &st, file))
		return false;
	if (!bytes)
		return true;
	*bytes = st.st_size;
	return file->regular || !ioctl(file->fd, BLKGETSIZE64, bytes);
}

/* ---- reading and writing ---------------------------------------------------------------- */

static bool is_lack(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOMEM;
}

/*
 * A descriptor with or without O_DIRECT: the program's own, or one of ours with its other modes. A
 * failed open is not tried again. Or -errno.
 */
static int opening(struct front_file *file, bool direct)
{
	_Atomic int *at = direct ? &file->direct_fd : &file->plain_fd;
	int fd = atomic_load(at), mode, none = -1;

	if (file->direct == direct)
		return file->fd;
	if (fd == -1) {
		mode = fcntl(file->fd, F_GETFL);
		if (mode < 0)
			return -errno;
		mode &= O_ACCMODE | O_SYNC | O_DSYNC;
		fd = dmabuf_rw_reopen(file->fd, mode | (direct ? O_DIRECT : 0));
		if (fd < 0 && is_lack(errno))
			return -errno;
		/* The descriptor was closed and reused before we opened it anew. */
		if (fd >= 0 && !file_is_same(file, NULL)) {
			close(fd);
			return -EBADF;
		}
		fd = fd < 0 ? -2 : fd;
		if (!atomic_compare_exchange_strong(at, &none, fd)) {
			/* Another thread was first. */
			if (fd >= 0)
				close(fd);
			fd = none;
		}
	}
	return fd >= 0 ? fd : direct ? -EINVAL : file->fd;
}

static ssize_t once(int fd, bool write, void *mem, size_t len, uint64_t off)
{
	ssize_t n;

	do {
		n = write ? pwrite(fd, mem, len, off) : pread(fd, mem, len, off);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t file_transfer(struct front_file *file, bool write, void *mem, size_t len, uint64_t off)
{
	size_t done = 0;
	ssize_t n = 0;

	if (!file_is_same(file, NULL))
		return -EBADF;
	while (done < len) {
		char *at = (char *)mem + done;
		size_t left = len - done, whole = left & ~(size_t)(DIRECT_ALIGN - 1);
		bool direct = whole && !((off + done) % DIRECT_ALIGN) &&
			      !((uintptr_t)at % DIRECT_ALIGN);
		int fd = direct ? opening(file, true) : -EINVAL;

		n = fd >= 0 ? once(fd, write, at, whole, off + done) : fd;
		if (n == -EINVAL) {
	/* The file, or the range, does not support O_DIRECT. */
			fd = opening(file, false);
			n = fd >= 0 ? once(fd, write, at, left, off + done) : fd;
		}
		if (n <= 0)
			break;
		done += n;
	}
	return done ? (ssize_t)done : n;
}

bool file_is_cached(struct front_file *file, uint64_t off, uint64_t len)
{
	struct dmabuf_rw_cached pages;
	int fd = opening(file, false);
	int64_t nr = 0;
	uint64_t bytes;
	uint32_t n;

	if (fd < 0 || !file_is_same(file, &bytes) || off >= bytes)
		return false;
	/* Only an O_DIRECT descriptor: it would read from the drive. */
	if (fd == file->fd && file->direct)
		return false;
	for (len = MIN(len, bytes - off); len && nr >= 0; off += n, len -= n) {
		n = MIN(len, UINT32_MAX / DMABUF_RW_CACHE_PAGE * DMABUF_RW_CACHE_PAGE);
		nr = dmabuf_rw_cache_ask(fd, DMABUF_RW_OP_READ, off, n, &pages);
		if (nr < 0 || (uint64_t)nr < (pages.high - pages.low) / DMABUF_RW_CACHE_PAGE)
			return false;
	}
	return true;
}

ssize_t file_read_cached(struct front_file *file, void *mem, size_t len, uint64_t off)
{
	struct iovec iov = { .iov_base = mem, .iov_len = len };
	int fd = opening(file, false);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = preadv2(fd, &iov, 1, off, RWF_NOWAIT);
	/* Bytes just seen in the cache are mostly still there. */
	if (n < 0 && errno == EOPNOTSUPP)
		return once(fd, false, mem, len, off);
	return n < 0 ? -errno : n;
}
