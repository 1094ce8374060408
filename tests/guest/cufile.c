// SPDX-License-Identifier: GPL-2.0
/*
 * cufile.c - libcufile on real kernels and drives, with device memory that is a udmabuf or a BAR.
 *
 * That the drive's own DMA has moved bytes is seen from three sides: bouncing is forbidden in the
 * process, the fake driver has made no copies, and the block layer's counters of the disk, which
 * see every read and write but the module's, have not moved. Where something must bounce, those
 * counters have.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fake_cuda.h"
#define CUFILE_HAS_CUDA_H
typedef int CUresult;
#include "cufile.h"

#include "buf.h"
#include "data.h"
#include "disk.h"
#include "fs.h"
#include "harness.h"
#include "require.h"

#define BYTES (4 * MiB)

static void start(bool direct_only)
{
	CUcontext context;

	require_path("/dev/udmabuf", "make device memory");
	if (direct_only)
		setenv("DMABUF_RW_CUFILE_DIRECT_ONLY", "1", 1);
	CHECK_EQ(cuInit(0), 0);
	CHECK_EQ(cuDevicePrimaryCtxRetain(&context, 0), 0);
	CHECK_EQ(cuCtxSetCurrent(context), 0);
}

static CUdeviceptr memory(u64 bytes)
{
	CUdeviceptr p;

	CHECK_EQ(cuMemAlloc_v2(&p, bytes), 0);
	return p;
}

static void *at(CUdeviceptr p)
{
	return (void *)(uintptr_t)p;
}

static void fill(CUdeviceptr p, u64 len, u64 tag, u64 pos)
{
	data_fill(fake_cuda_at(p), len, tag, pos);
}

static void check(CUdeviceptr p, u64 len, u64 tag, u64 pos)
{
	u8 *want = data_alloc(len);

	data_fill(want, len, tag, pos);
	data_check("device memory", fake_cuda_at(p), want, len, pos);
}

static CUfileHandle_t handle_of(int fd)
{
	CUfileDescr_t descr = { .type = CU_FILE_HANDLE_TYPE_OPAQUE_FD, .handle.fd = fd };
	CUfileHandle_t fh;

	CHECK_EQ(cuFileHandleRegister(&fh, &descr).err, 0);
	return fh;
}

/* Sectors that the block layer has read and written. */
struct block_stat {
	unsigned long long sectors[2];
};

static struct block_stat block_stat(const struct disk *disk)
{
	struct block_stat s;

	CHECK(sscanf(slurp("/sys/class/block/%s/stat", disk->name), "%*u %*u %llu %*u %*u %*u %llu",
		     &s.sectors[0], &s.sectors[1]) == 2);
	return s;
}

/* File systems write a little of their own. */
#define A_LITTLE (256 * KiB / 512)

#define MOVED(disk, before, op) (block_stat(disk).sectors[op] - (before).sectors[op])

static void drop_cache(int fd)
{
	SYS(fsync(fd));
	SYS(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
}

static void reads_and_writes_of_a_file_go_direct(const void *kind)
{
	struct block_stat before;
	CUfileHandle_t fh;
	CUdeviceptr p, small[2];
	struct fs fs;
	int fd, i;

	start(true);
	fs_make(&fs, kind, "priv512", 0, "", "");
	fd = file_make(&fs, "file", BYTES + 777, 1);
	drop_cache(fd);
	p = memory(BYTES + 4096);
	fh = handle_of(fd);
	before = block_stat(&fs.disk);
	CHECK_EQ(cuFileBufRegister(at(p), BYTES + 4096, 0).err, 0);
	CHECK_EQ(cuFileRead(fh, at(p), BYTES + 4096, 0, 0), BYTES + 777);
	check(p, BYTES + 777, 1, 0);
	CHECK_EQ(cuFileRead(fh, at(p), 4096, BYTES + 4096, 0), 0);
	/* From anywhere to anywhere. */
	CHECK_EQ(cuFileRead(fh, at(p + 4096), 100001, 4567, 33), 100001);
	check(p + 4096 + 33, 100001, 1, 4567);
	/* Memory that shares its page with other memory. */
	for (i = 0; i < 2; i++)
		small[i] = memory(5000);
	CHECK(small[1] % 4096);
	CHECK_EQ(cuFileRead(fh, at(small[1]), 4999, 8192, 1), 4999);
	check(small[1] + 1, 4999, 1, 8192);
	CHECK(MOVED(&fs.disk, before, 0) < A_LITTLE, "the block layer has read");

	before = block_stat(&fs.disk);
	fill(p, BYTES, 2, 0);
	CHECK_EQ(cuFileWrite(fh, at(p), BYTES - 8192, 4096, 0), BYTES - 8192);
	CHECK(MOVED(&fs.disk, before, 1) < A_LITTLE, "the block layer has written");
	CHECK_EQ(fake_cuda.copies, 0);
	file_check(fd, 0, 4096, 1);
	{
		u8 *got = data_alloc(BYTES - 8192), *want = data_alloc(BYTES - 8192);

		file_get(fd, 4096, got, BYTES - 8192);
		data_fill(want, BYTES - 8192, 2, 0);
		data_check("file", got, want, BYTES - 8192, 4096);
	}
	CHECK_EQ(cuFileBufDeregister(at(p)).err, 0);
	cuFileHandleDeregister(fh);
	close(fd);
	fs_finish(&fs);
}

static void files_grow_and_go_direct_from_then_on(const void *kind)
{
	struct block_stat before;
	CUfileHandle_t fh;
	struct stat st;
	CUdeviceptr p;
	struct fs fs;
	int fd;

	start(false);
	fs_make(&fs, kind, "priv512", 0, "", "");
	fd = fs_open(&fs, "new", O_RDWR | O_CREAT);
	fh = handle_of(fd);
	p = memory(BYTES);
	fill(p, BYTES, 3, 0);
	/* As programs that save do: a temporary name, pieces, a name, or none. */
	CHECK_EQ(cuFileWrite(fh, at(p), 1 * MiB, 0, 0), 1 * MiB);
	CHECK_EQ(cuFileWrite(fh, at(p), BYTES - MiB - 99, MiB, MiB), BYTES - MiB - 99);
	SYS(fstat(fd, &st));
	CHECK_EQ(st.st_size, BYTES - 99);
	CHECK(fake_cuda.copies > 0);
	SYS(unlink(fs_path(&fs, "new")));
	drop_cache(fd);
	before = block_stat(&fs.disk);
	fake_cuda.copies = 0;
	fill(p, BYTES, 4, 0);
	CHECK_EQ(cuFileRead(fh, at(p), BYTES, 0, 0), BYTES - 99);
	check(p, BYTES - 99, 3, 0);
	CHECK_EQ(fake_cuda.copies, 0);
	CHECK(MOVED(&fs.disk, before, 0) < A_LITTLE, "the block layer has read");
	cuFileHandleDeregister(fh);
	close(fd);
	fs_finish(&fs);
}

static void read_into_cache(int fd, u64 len)
{
	u8 *mem = data_alloc(len);

	SYS(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM));
	file_get(fd, 0, mem, len);
}

static void read_and_check(CUfileHandle_t fh, CUdeviceptr p, u64 tag, bool from_cache)
{
	unsigned int copies = fake_cuda.copies;

	fill(p, BYTES, 99, 0);
	CHECK_EQ(cuFileRead(fh, at(p), BYTES, 0, 0), BYTES);
	check(p, BYTES, tag, 0);
	CHECK_EQ(fake_cuda.copies > copies, from_cache);
}

static void what_is_cached_whole_is_read_from_there_if_that_is_wanted(const void *kind)
{
	struct block_stat before;
	CUfileHandle_t fh;
	CUdeviceptr p;
	struct fs fs;
	int fd;

	setenv("DMABUF_RW_CUFILE_PAGE_CACHE", "1", 1);
	start(false);
	fs_make(&fs, kind, "priv512", 0, "", "");
	fd = file_make(&fs, "file", BYTES, 1);
	fh = handle_of(fd);
	p = memory(BYTES);
	drop_cache(fd);
	read_and_check(fh, p, 1, false);
	read_into_cache(fd, BYTES);
	before = block_stat(&fs.disk);
	read_and_check(fh, p, 1, true);
	CHECK(MOVED(&fs.disk, before, 0) < A_LITTLE, "the block layer has read");
	/* What is dirty is the file's content, too. */
	file_fill(fd, 0, BYTES, 2);
	read_and_check(fh, p, 2, true);
	/* A direct write leaves nothing stale there. */
	fill(p, BYTES, 3, 0);
	CHECK_EQ(cuFileWrite(fh, at(p), BYTES, 0, 0), BYTES);
	read_and_check(fh, p, 3, false);
	/* A part of it is not enough. */
	drop_cache(fd);
	read_into_cache(fd, BYTES - 4096);
	read_and_check(fh, p, 3, false);
	cuFileHandleDeregister(fh);
	close(fd);
	fs_finish(&fs);
}

static void what_is_cached_goes_direct_where_nothing_else_may(const void *kind)
{
	CUfileHandle_t fh;
	CUdeviceptr p;
	struct fs fs;
	int fd;

	setenv("DMABUF_RW_CUFILE_PAGE_CACHE", "1", 1);
	start(true);
	fs_make(&fs, kind, "priv512", 0, "", "");
	fd = file_make(&fs, "file", BYTES, 1);
	fh = handle_of(fd);
	p = memory(BYTES);
	read_into_cache(fd, BYTES);
	read_and_check(fh, p, 1, false);
	CHECK_EQ(fake_cuda.copies, 0);
	cuFileHandleDeregister(fh);
	close(fd);
	fs_finish(&fs);
}

/* As a cache of blocks in one file, whose space was reserved at the beginning. */
static void reserved_space_is_written_direct_from_the_first_byte_on(const void *kind)
{
	CUfileHandle_t fh;
	CUdeviceptr p;
	struct fs fs;
	int fd;

	start(true);
	fs_make(&fs, kind, "priv512", 0, "", "");
	fd = file_make_unwritten(&fs, "reserved", BYTES + 777);
	fh = handle_of(fd);
	p = memory(BYTES + 777);
	fill(p, BYTES + 777, 5, 0);
	CHECK_EQ(cuFileWrite(fh, at(p), 64 * KiB, MiB, MiB), 64 * KiB);
	file_check(fd, MiB, 64 * KiB, 5);
	CHECK_EQ(cuFileWrite(fh, at(p), BYTES + 777, 0, 0), BYTES + 777);
	file_check(fd, 0, BYTES + 777, 5);
	CHECK_EQ(fake_cuda.copies, 0);
	cuFileHandleDeregister(fh);
	close(fd);
	fs_finish(&fs);
}

static CUfileIOParams_t io(CUfileHandle_t fh, CUfileOpcode_t op, CUdeviceptr base, u64 buf_off,
			   u64 off, u64 len)
{
	CUfileIOParams_t p = { .mode = CUFILE_BATCH, .fh = fh, .opcode = op };

	p.u.batch.devPtr_base = at(base);
	p.u.batch.devPtr_offset = buf_off;
	p.u.batch.file_offset = off;
	p.u.batch.size = len;
	return p;
}

static void run_batch(const CUfileIOParams_t *ios, u32 nr, u64 each)
{
	static CUfileIOEvents_t events[128];
	CUfileBatchHandle_t batch;
	unsigned int n = 128;

	CHECK_EQ(cuFileBatchIOSetUp(&batch, 128).err, 0);
	CHECK_EQ(cuFileBatchIOSubmit(batch, nr, (CUfileIOParams_t *)ios, 0).err, 0);
	CHECK_EQ(cuFileBatchIOGetStatus(batch, nr, &n, events, NULL).err, 0);
	CHECK_EQ(n, nr);
	for (u32 i = 0; i < nr; i++) {
		CHECK_EQ(events[i].status, CUFILE_COMPLETE);
		CHECK_EQ(events[i].ret, each);
	}
	cuFileBatchIODestroy(batch);
}

/* A whole disk, by batches and in a stream, with memory of several physical segments. */
static void disks_go_direct_by_batches_and_streams(const void *arg)
{
	static CUfileIOParams_t ios[128];
	const u64 block = 16 * KiB;
	struct block_stat before;
	CUfileHandle_t fh;
	struct disk disk;
	CUstream stream;
	CUdeviceptr p;
	ssize_t bytes[2];
	size_t size;
	off_t off, buf_off = 0;
	u64 first;
	u32 i;

	start(true);
	disk_open(&disk, "priv4k");
	first = ROUND_UP(disk.first, MiB);
	disk_fill(&disk, first, 128 * block, 1, 0);
	CHECK_EQ(fake_cuda_alloc_segments(&p, 2, 2 * MiB), 0);
	fh = handle_of(disk.fd);
	before = block_stat(&disk);
	for (i = 0; i < 128; i++)
		ios[i] = io(fh, CUFILE_READ, p, MiB + (127 - i) * block, first + i * block, block);
	run_batch(ios, 128, block);
	for (i = 0; i < 128; i++)
		check(p + MiB + (127 - i) * block, block, 1, i * block);
	for (i = 0; i < 128; i++) {
		ios[i].opcode = CUFILE_WRITE;
		ios[i].u.batch.file_offset = first + 4 * MiB + (127 - i) * block;
	}
	run_batch(ios, 128, block);
	/* Over the border of the segments, in a stream. */
	CHECK_EQ(cuStreamCreate(&stream, 0), 0);
	size = 2 * MiB;
	off = first;
	buf_off = MiB;
	CHECK_EQ(cuFileReadAsync(fh, at(p), &size, &off, &buf_off, &bytes[0], stream).err, 0);
	CHECK_EQ(cuFileWriteAsync(fh, at(p), &size, &off, &buf_off, &bytes[1], stream).err, 0);
	CHECK_EQ(cuStreamSynchronize(stream), 0);
	CHECK_EQ(bytes[0], size);
	CHECK_EQ(bytes[1], size);
	check(p + MiB, MiB, 1, 0);
	check(p + 2 * MiB, MiB, 1, MiB);
	CHECK_EQ(fake_cuda.copies, 0);
	CHECK_EQ(MOVED(&disk, before, 0), 0);
	CHECK_EQ(MOVED(&disk, before, 1), 0);
	for (i = 0; i < 128; i++)
		disk_check(&disk, first + 4 * MiB + (127 - i) * block, block, 1, i * block);
	cuFileHandleDeregister(fh);
}

struct submission {
	CUfileBatchHandle_t batch;
	CUfileIOParams_t ios[128];
	pid_t thread;		/* that has submitted */
};

static void *submit_and_end(void *arg)
{
	struct submission *s = arg;

	s->thread = gettid();
	CHECK_EQ(cuFileBatchIOSubmit(s->batch, 128, s->ios, 0).err, 0);
	return NULL;
}

/* The kernel does them, and needs no thread for it, nor the one that has submitted. */
static void batches_go_on_by_themselves(const void *kind)
{
	static CUfileIOEvents_t events[128];
	const u64 block = BYTES / 128;
	static struct submission s;
	struct block_stat before;
	CUfileError_t status;
	unsigned int n, i, round;
	CUfileHandle_t fh;
	pthread_t thread;
	CUdeviceptr p;
	struct fs fs;
	int fd;

	start(true);
	fs_make(&fs, kind, "priv512", 0, "", "");
	fd = file_make(&fs, "file", BYTES - 777, 1);
	drop_cache(fd);
	fh = handle_of(fd);
	p = memory(BYTES);
	before = block_stat(&fs.disk);
	/* From now on the two are bound. */
	CHECK_EQ(cuFileRead(fh, at(p), 4096, 0, 0), 4096);
	CHECK_EQ(cuFileBatchIOSetUp(&s.batch, 128).err, 0);
	for (i = 0; i < 128; i++)
		s.ios[i] = io(fh, CUFILE_READ, p, i * block, i * block, block);
	for (round = 0; round < 20; round++) {
		data_fill(fake_cuda_at(p), BYTES, 7, round);
		CHECK_EQ(pthread_create(&thread, NULL, submit_and_end, &s), 0);
		/* Before the thread has ended, after it, and by who lets go of the file. */
		if (round % 2)
			CHECK_EQ(pthread_join(thread, NULL), 0);
		n = 128;
		if (round % 2 == 0) {
			do {
				n = 1;
				status = cuFileBatchIOGetStatus(s.batch, 1, &n, events, NULL);
				CHECK_EQ(status.err, 0);
			} while (!n);
			CHECK_EQ(pthread_join(thread, NULL), 0);
			n = 127;
			CHECK_EQ(cuFileBatchIOGetStatus(s.batch, 127, &n, events + 1, NULL).err, 0);
			n++;
		} else if (round < 19) {
			CHECK_EQ(cuFileBatchIOGetStatus(s.batch, 128, &n, events, NULL).err, 0);
		} else {
			cuFileHandleDeregister(fh);
			check(p, BYTES - 777, 1, 0);
			CHECK_EQ(cuFileBatchIOGetStatus(s.batch, 128, &n, events, NULL).err, 0);
		}
		CHECK_EQ(n, 128);
		for (i = 0; i < 128; i++) {
			CHECK_EQ(events[i].status, CUFILE_COMPLETE);
			CHECK(events[i].ret == block || events[i].ret == block - 777);
		}
		check(p, BYTES - 777, 1, 0);
	}
	CHECK_EQ(fake_cuda.copies, 0);
	CHECK(MOVED(&fs.disk, before, 0) < A_LITTLE, "the block layer has read");
	cuFileBatchIODestroy(s.batch);
	close(fd);
	fs_finish(&fs);
}

/* Submits in a thread that is no more when this returns. How many entries were not over then. */
static u32 submit_and_be_gone(struct submission *s, CUfileIOEvents_t *events)
{
	unsigned int n = 128;
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, submit_and_end, s), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	while (!syscall(SYS_tgkill, getpid(), s->thread, 0))
		usleep(100);
	CHECK_EQ(cuFileBatchIOGetStatus(s->batch, 0, &n, events, NULL).err, 0);
	return 128 - n;
}

static void expect_events(const CUfileIOEvents_t *events, u64 each)
{
	u64 seen[2] = { 0 };

	for (u32 i = 0; i < 128; i++) {
		u64 e = (uintptr_t)events[i].cookie;

		CHECK_EQ(events[i].status, CUFILE_COMPLETE, "entry %llu", (unsigned long long)e);
		CHECK_EQ(events[i].ret, each, "entry %llu", (unsigned long long)e);
		seen[e / 64] |= 1ULL << e % 64;
	}
	CHECK(!~seen[0] && !~seen[1], "an entry was reported twice");
}

static const struct mock_create gone_args = {
	.flags = MOCK_DYNAMIC, .bytes = 32 * MiB, .nr_pattern = 2,
	.pattern = { 64 * KiB, 8 * KiB }, .gap = 4096,
};

/*
 * What ends later finds no task in whose memory it could store results. @moves: the buffer moves
 * meanwhile, and what has to wait for its content is with workers of the kernel, which are the
 * thread's own.
 */
static void run_rounds_of_the_gone(struct submission *s, const struct buf *buf, int fd, bool moves)
{
	static CUfileIOEvents_t events[128];
	const u64 block = gone_args.bytes / 128;
	u32 round, left, all_left = 0;
	unsigned int n;

	for (round = 0; round < 6; round++) {
		bool write = round % 3 == 2;

		buf_fill(buf, 0, buf->bytes, 100 + round, 0);
		for (u32 i = 0; i < 128; i++) {
			s->ios[i].opcode = write ? CUFILE_WRITE : CUFILE_READ;
			s->ios[i].cookie = (void *)(uintptr_t)i;
		}
		if (moves)
			OK(mock_invalidate(buf, MOCK_INV_MOVE | MOCK_INV_FORCE,
					   &(struct mock_invalidate){ .fence_ms = 50 }));
		left = submit_and_be_gone(s, events);
		all_left += left;
		n = left;
		CHECK_EQ(cuFileBatchIOGetStatus(s->batch, left, &n, events + 128 - left,
						NULL).err, 0);
		CHECK_EQ(n, left);
		expect_events(events, block);
		if (write) {
			drop_cache(fd);
			file_check(fd, 0, buf->bytes, 100 + round);
			file_fill(fd, 0, buf->bytes, 1);
			drop_cache(fd);
		} else {
			buf_check(buf, 0, buf->bytes, 1, 0);
		}
	}
	note("%u entries ended after their thread", all_left);
	CHECK(all_left || moves, "no entry has outlived its thread");
}

static void batches_of_threads_that_are_gone_end_well(const char *kind, bool moves)
{
	const u64 block = gone_args.bytes / 128;
	static struct submission s;
	CUfileHandle_t fh;
	CUdeviceptr p;
	struct buf buf;
	struct fs fs;
	int fd;

	start(true);
	buf_create_mock(&buf, &gone_args);
	CHECK_EQ(fake_cuda_alloc_of(&p, buf.fd, NULL, buf.bytes), 0);
	fs_make(&fs, kind, "priv512", 0, "", "");
	fd = file_make(&fs, "file", buf.bytes, 1);
	drop_cache(fd);
	fh = handle_of(fd);
	/* From now on the two are bound. */
	CHECK_EQ(cuFileRead(fh, at(p), 4096, 0, 0), 4096);
	CHECK_EQ(cuFileBatchIOSetUp(&s.batch, 128).err, 0);
	for (u32 i = 0; i < 128; i++)
		s.ios[i] = io(fh, CUFILE_READ, p, i * block, i * block, block);
	run_rounds_of_the_gone(&s, &buf, fd, moves);
	cuFileBatchIODestroy(s.batch);
	cuFileHandleDeregister(fh);
	CHECK_EQ(cuMemFree_v2(p), 0);
	/* Nothing is kept by what has ended so: neither the buffer nor the file. */
	mock_wait_clean(&buf);
	close(fd);
	fs_finish(&fs);
}

static void batches_outlive_their_threads(const void *kind)
{
	batches_of_threads_that_are_gone_end_well(kind, false);
}

static void batches_that_wait_for_their_buffer_outlive_their_threads(const void *kind)
{
	batches_of_threads_that_are_gone_end_well(kind, true);
}

/* Device memory that is a PCI BAR: what a GPU's is. */
static void a_bar_is_filled_and_emptied_peer_to_peer(const void *kind)
{
	struct block_stat before;
	CUfileHandle_t fh;
	CUdeviceptr p;
	struct buf buf;
	struct fs fs;
	int fd;

	start(true);
	buf_create(&buf, &exporter_vfio, BYTES);
	CHECK_EQ(fake_cuda_alloc_of(&p, buf.fd, buf.map, BYTES), 0);
	fs_make(&fs, kind, "priv512", 0, "", "");
	fd = file_make(&fs, "file", BYTES, 1);
	drop_cache(fd);
	fh = handle_of(fd);
	before = block_stat(&fs.disk);
	CHECK_EQ(cuFileRead(fh, at(p), BYTES, 0, 0), BYTES);
	buf_check(&buf, 0, BYTES, 1, 0);
	buf_fill(&buf, 0, BYTES, 2, 0);
	CHECK_EQ(cuFileWrite(fh, at(p), BYTES, 0, 0), BYTES);
	CHECK_EQ(fake_cuda.copies, 0);
	CHECK(MOVED(&fs.disk, before, 0) < A_LITTLE && MOVED(&fs.disk, before, 1) < A_LITTLE);
	file_check(fd, 0, BYTES, 2);
	cuFileHandleDeregister(fh);
	close(fd);
	fs_finish(&fs);
}

/* One buffer and more files than there are bindings kept. */
static void hundreds_of_files_fill_one_buffer(const void *kind)
{
	enum { NR = 300 };
	static CUfileHandle_t handles[NR];
	static int fds[NR];
	char name[16];
	CUdeviceptr p;
	struct fs fs;
	int i, round;

	start(true);
	fs_make(&fs, kind, "priv512", 0, "", "");
	p = memory(BYTES);
	CHECK_EQ(cuFileBufRegister(at(p), BYTES, 0).err, 0);
	for (i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		fds[i] = file_make(&fs, name, 8192, i);
		handles[i] = handle_of(fds[i]);
	}
	for (round = 0; round < 2; round++)
		for (i = 0; i < NR; i++) {
			CHECK_EQ(cuFileRead(handles[i], at(p), 8192, 0, i * 8192), 8192);
			check(p + i * 8192, 8192, i, 0);
		}
	CHECK_EQ(fake_cuda.exports, 1);
	CHECK_EQ(fake_cuda.copies, 0);
	for (i = 0; i < NR; i++) {
		cuFileHandleDeregister(handles[i]);
		close(fds[i]);
	}
	CHECK_EQ(cuFileBufDeregister(at(p)).err, 0);
	fs_finish(&fs);
}

/* File systems give the number of a file that is gone to the next one. */
static void a_file_that_has_the_number_of_another_is_not_taken_for_it(const void *kind)
{
	struct stat first, second;
	CUfileHandle_t fh, fresh;
	int fd, other;
	CUdeviceptr p;
	struct fs fs;

	start(true);
	fs_make(&fs, kind, "priv512", 0, "", "");
	p = memory(64 * KiB);
	fd = file_make(&fs, "first", 64 * KiB, 1);
	fh = handle_of(fd);
	SYS(fstat(fd, &first));
	close(fd);
	SYS(unlink(fs_path(&fs, "first")));
	other = file_make(&fs, "second", 64 * KiB, 2);
	SYS(fstat(other, &second));
	if (other != fd || first.st_ino != second.st_ino)
		skip("the file has got another number");
	CHECK_EQ(cuFileRead(fh, at(p), 64 * KiB, 0, 0), -1);
	CHECK_EQ(errno, EBADF);
	fresh = handle_of(other);
	CHECK_EQ(cuFileRead(fresh, at(p), 64 * KiB, 0, 0), 64 * KiB);
	check(p, 64 * KiB, 2, 0);
	cuFileHandleDeregister(fresh);
	close(other);
	fs_finish(&fs);
}

static void add(void)
{
	fs_program();
	for (int i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, reads_and_writes_of_a_file_go_direct);
		TEST_OF_KIND(i, files_grow_and_go_direct_from_then_on);
		TEST_OF_KIND(i, reserved_space_is_written_direct_from_the_first_byte_on);
		TEST_OF_KIND(i, what_is_cached_whole_is_read_from_there_if_that_is_wanted);
		TEST_OF_KIND(i, what_is_cached_goes_direct_where_nothing_else_may);
		TEST_OF_KIND(i, a_bar_is_filled_and_emptied_peer_to_peer);
		TEST_OF_KIND(i, hundreds_of_files_fill_one_buffer);
		TEST_OF_KIND(i, batches_go_on_by_themselves);
		TEST_OF_KIND(i, a_file_that_has_the_number_of_another_is_not_taken_for_it);
		TEST_OF_KIND(i, batches_outlive_their_threads);
		TEST_OF_KIND(i, batches_that_wait_for_their_buffer_outlive_their_threads);
	}
	TEST(disks_go_direct_by_batches_and_streams);
}

const struct program program = { "cufile", add };
