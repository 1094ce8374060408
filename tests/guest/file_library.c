// SPDX-License-Identifier: GPL-2.0
/*
 * file_library.c - files through libdmabuf_rw, where some bytes go direct and others are
 * bounced: whatever way they take, they are those that pread() gives or pwrite() would have
 * put there, and each is counted for the way that it took.
 *
 * The disk is full of a pattern before the file system is made. Which bytes the drive can be
 * asked for is told by the file system (FIEMAP) and the alignment: blocks that were never
 * written, holes and parts of LBAs have to be bounced, and nothing else.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libdmabuf_rw.h>

#include "data.h"
#include "fs.h"
#include "vfio_bar.h"

#define ROLE		"priv512p2"
#define OLD		0xbd		/* what the disk held before */
#define GUARD		0x5a		/* what the buffer holds */
#define BUF_BYTES	(3 * MiB / 2)
#define FS_BYTES	(32 * MiB)
#define BYTES		(MiB + 777)
#define WHOLE_LBAS	(MiB + 3 * 512)
#define ROUNDS		12

#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES	0x80
#endif

enum how { CALL, VECTOR, QUEUE, QUEUE_VECTOR, BATCH, QUEUE_BATCH, NR_HOWS };
/* Those that have no gap in what they move. */
#define NR_GAPLESS BATCH

static const char *const how_names[] = { "call", "vector", "queue", "queued vector", "batch",
					 "queued batch" };

static struct fs fs;
static struct buf buf;
static struct dmabuf_rw_device *device;
static struct dmabuf_rw_queue *queue;
static struct dmabuf_rw_binding *binding;
static struct dmabuf_rw_info info;
static struct rng rng;
static u8 *mem, *should, *content;	/* scratch, the buffer, what the file must hold */
static int fd;
static u64 sum_direct, sum_bounced;	/* of the binding */

/* ---- set-up -------------------------------------------------------------------------- */

static void fill_disk(void)
{
	struct disk d;

	disk_open(&d, ROLE);
	memset(mem, OLD, MiB);
	for (u64 at = 0; at < FS_BYTES; at += MiB)
		disk_pwrite(&d, mem, MiB, at);
	close(d.fd);
}

static void open_all(const char *kind, const char *mount)
{
	struct dmabuf_rw_queue_opts opts = { .size = sizeof(opts), .depth = 4 };

	mem = data_alloc(BUF_BYTES);
	should = data_alloc(BUF_BYTES);
	content = data_alloc(BUF_BYTES);
	rng.s = harness_seed();
	fill_disk();
	fs_make(&fs, kind, ROLE, FS_BYTES, "", mount);
	buf_create(&buf, &exporter_udmabuf, BUF_BYTES);
	OK(dmabuf_rw_device_open(NULL, &device));
	OK(dmabuf_rw_queue_create(&opts, &queue));
}

static void finish(void)
{
	dmabuf_rw_queue_destroy(queue);
	dmabuf_rw_device_close(device);
	fs_finish(&fs);
}

/* Leaves @content as the file's. Clean cached pages would make unwritten blocks look written. */
static void take_content(u64 bytes)
{
	SYS(fsync(fd));
	CHECK_EQ(file_bytes(fd), bytes);
	file_get(fd, 0, content, bytes);
	OK(-posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
}

/* Ranges of all kinds; with @holes also such that have no blocks. */
static void make_layout(u64 bytes, bool holes)
{
	u64 len;

	fd = fs_open(&fs, "f", O_RDWR | O_CREAT | O_TRUNC);
	if (holes) {
		SYS(ftruncate(fd, bytes));
		SYS(fallocate(fd, 0, 500 * KiB, 100 * KiB));
		SYS(fallocate(fd, 0, bytes - 150 * KiB, 150 * KiB));
	} else {
		SYS(fallocate(fd, 0, 0, bytes));
	}
	file_fill(fd, 0, 100 * KiB + 13, 1);
	for (int i = 2; i < 8; i++) {
		len = 1 + rng_below(&rng, 60 * KiB);
		file_fill(fd, rng_below(&rng, bytes - len), len, i);
	}
	file_fill(fd, bytes - 5000, 5000, 10);
	take_content(bytes);
	CHECK(file_written(fd, 0, bytes) < bytes, "everything is written");
}

static void bind_file(int file, u32 allow_bounce)
{
	struct dmabuf_rw_error error;
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .error = &error,
					       .allow_bounce = allow_bounce };

	OK(dmabuf_rw_binding_create(device, buf.fd, file, &opts, &binding));
	info = (struct dmabuf_rw_info){ .size = sizeof(info) };
	OK(dmabuf_rw_binding_info(binding, &info));
	sum_direct = sum_bounced = 0;
}

static void unbind(void)
{
	struct dmabuf_rw_stats stats = { .size = sizeof(stats) };

	OK(dmabuf_rw_binding_stats(binding, &stats));
	CHECK_EQ(stats.direct_bytes, sum_direct);
	CHECK_EQ(stats.bounced_bytes, sum_bounced);
	dmabuf_rw_binding_destroy(binding);
}

/* ---- transfers ----------------------------------------------------------------------- */

/* A transfer and its pieces: one, or three of odd lengths, the last one first. */
struct transfer {
	enum how how;
	bool write;
	u64 pos, off, len;
	struct dmabuf_rw_piece pieces[3];
	u32 nr;
};

static void lay_out(struct transfer *t)
{
	u64 first = t->len / 3, last = t->len / 5, middle = t->len - first - last;

	t->pieces[0] = (struct dmabuf_rw_piece){ t->off, t->len };
	t->nr = 1;
	if (t->how == CALL || t->how == QUEUE)
		return;
	t->pieces[0] = (struct dmabuf_rw_piece){ t->off + last + middle, first };
	t->pieces[1] = (struct dmabuf_rw_piece){ t->off + last, middle };
	t->pieces[2] = (struct dmabuf_rw_piece){ t->off, last };
	t->nr = 3;
}

/* What the first @len bytes of a transfer do to the buffer's bytes or the file's. */
static void copy(const struct transfer *t, u8 *buffer, u8 *file, u64 len)
{
	u64 done = 0;

	for (u32 i = 0; i < t->nr && done < len; i++) {
		u64 n = MIN(t->pieces[i].len, len - done);

		if (t->write)
			memcpy(file + t->pos + done, buffer + t->pieces[i].buf_off, n);
		else
			memcpy(buffer + t->pieces[i].buf_off, file + t->pos + done, n);
		done += n;
	}
}

/* The pieces as transfers of their own. */
static void make_batch(const struct transfer *t, struct dmabuf_rw_range *ranges)
{
	u64 pos = t->pos;

	for (u32 i = 0; i < t->nr; i++) {
		ranges[i] = (struct dmabuf_rw_range){ .file_off = pos,
						      .buf_off = t->pieces[i].buf_off,
						      .len = t->pieces[i].len };
		pos += ranges[i].len;
	}
}

static void check_batch(const struct dmabuf_rw_range *ranges, u32 nr, s64 got)
{
	s64 sum = 0;

	for (u32 i = 0; i < nr; i++)
		sum += MAX(ranges[i].result, (s64)0);
	CHECK(got < 0 ? !sum : sum == got, "%lld, and the results give %lld", (long long)got,
	      (long long)sum);
}

static s64 ask(const struct transfer *t, struct dmabuf_rw_result *result)
{
	struct dmabuf_rw_completion done = { .size = sizeof(done) };
	struct dmabuf_rw_range ranges[3];
	s64 got;

	*result = (struct dmabuf_rw_result){ .size = sizeof(*result) };
	switch (t->how) {
	case CALL:
		return (t->write ? dmabuf_rw_write : dmabuf_rw_read)
			(binding, t->pos, t->off, t->len, 0, result);
	case VECTOR:
		return (t->write ? dmabuf_rw_writev : dmabuf_rw_readv)
			(binding, t->pos, t->pieces, t->nr, 0, result);
	case BATCH:
		make_batch(t, ranges);
		got = (t->write ? dmabuf_rw_write_many : dmabuf_rw_read_many)
			(binding, ranges, t->nr, 0, result);
		check_batch(ranges, t->nr, got);
		return got;
	case QUEUE_BATCH:
		make_batch(t, ranges);
		OK((t->write ? dmabuf_rw_queue_write_many : dmabuf_rw_queue_read_many)
			(queue, binding, ranges, t->nr, 0, 7));
		break;
	case QUEUE:
		OK((t->write ? dmabuf_rw_queue_write : dmabuf_rw_queue_read)
			(queue, binding, t->pos, t->off, t->len, 0, 7));
		break;
	default:
		OK((t->write ? dmabuf_rw_queue_writev : dmabuf_rw_queue_readv)
			(queue, binding, t->pos, t->pieces, t->nr, 0, 7));
	}
	CHECK_EQ(dmabuf_rw_queue_reap(queue, &done, 1, 1, NULL), 1);
	CHECK_EQ(done.user_data, 7);
	result->error = done.error;
	result->path = done.path;
	result->direct_bytes = done.direct_bytes;
	result->bounced_bytes = done.bounced_bytes;
	result->kernel_bytes = done.kernel_bytes;
	if (t->how == QUEUE_BATCH)
		check_batch(ranges, t->nr, done.bytes);
	return done.bytes;
}

/* Bytes of [@pos, @end) in blocks that have been written. */
static u64 written(u64 pos, u64 end)
{
	struct file_extent e;
	u64 sum = 0;

	for (; pos < end && file_extent(fd, pos, &e) && e.pos < end; pos = e.pos + e.len)
		if (!e.unwritten)
			sum += MIN(e.pos + e.len, end) - MAX(e.pos, pos);
	return sum;
}

/* How many bytes of a transfer that has one piece the drive can be asked for. */
static u64 direct_bytes(const struct transfer *t)
{
	u64 align = t->write ? info.write_align : info.read_align;
	u64 end = MIN(t->pos + t->len, info.file_bytes);
	u64 low = ROUND_UP(t->pos, align), high = ROUND_DOWN(end, align);

	/* One whole transfer, if it ends with the file. */
	if (low == t->pos && end == info.file_bytes && info.flags & DMABUF_RW_INFO_SGL)
		high = end;
	if (low >= high || (t->off + low - t->pos) % info.buf_align)
		return 0;
	return written(low, high);
}

/* What must be true of every result. */
static void check_result(const struct transfer *t, s64 got, s64 want,
			 const struct dmabuf_rw_result *r)
{
	u64 moved = MAX(got, 0);

	CHECK(got == want, "%s %s of %llu at %llu, buffer %llu, gave %lld (error %d)",
	      how_names[t->how], t->write ? "write" : "read", (unsigned long long)t->len,
	      (unsigned long long)t->pos, (unsigned long long)t->off, (long long)got,
	      r->error);
	CHECK_EQ(r->direct_bytes + r->bounced_bytes, moved);
	CHECK_EQ(r->path, (r->direct_bytes ? DMABUF_RW_PATH_MODULE : 0) |
			  (r->bounced_bytes ? DMABUF_RW_PATH_BOUNCED : 0));
	CHECK_EQ(r->kernel_bytes, 0);
	sum_direct += r->direct_bytes;
	sum_bounced += r->bounced_bytes;
}

static void guard_buffer(void)
{
	memset(should, GUARD, BUF_BYTES);
	buf_put(&buf, 0, should, BUF_BYTES);
}

static void check_buffer(void)
{
	static const u8 old[64] = { [0 ... 63] = OLD };

	buf_get(&buf, 0, mem, BUF_BYTES);
	CHECK(!memmem(mem, BUF_BYTES, old, sizeof(old)), "what the disk held came out");
	data_check("buffer", mem, should, BUF_BYTES, 0);
}

/* A read that must give all there is. @direct: bytes that go direct; -1: some. */
static void read_and_check(enum how how, u64 pos, u64 off, u64 len, s64 direct)
{
	struct transfer t = { .how = how, .pos = pos, .off = off, .len = len };
	u64 bytes = info.file_bytes, want = pos < bytes ? MIN(len, bytes - pos) : 0;
	struct dmabuf_rw_result r;
	s64 got;

	lay_out(&t);
	guard_buffer();
	got = ask(&t, &r);
	check_result(&t, got, want, &r);
	CHECK_EQ(r.error, 0);
	if (direct >= 0)
		CHECK(r.direct_bytes == (u64)direct,
		      "%s read of %llu at %llu: %llu bytes went direct, not %lld", how_names[how],
		      (unsigned long long)len, (unsigned long long)pos,
		      (unsigned long long)r.direct_bytes, (long long)direct);
	copy(&t, should, content, want);
	check_buffer();
}

/* The same, and as many go direct as can. */
static void read_by_layout(enum how how, u64 pos, u64 off, u64 len)
{
	struct transfer t = { .how = how, .pos = pos, .off = off, .len = len };
	bool simple = how == CALL || how == QUEUE || info.read_align == 1;

	read_and_check(how, pos, off, len, simple ? (s64)direct_bytes(&t) : -1);
}

static void read_here_and_there(u64 bytes)
{
	for (int how = 0; how < NR_HOWS; how++) {
		read_by_layout(how, 0, 0, bytes);
		read_by_layout(how, 1, 77, BUF_BYTES - 77);
		read_by_layout(how, bytes - 1, 5, 1);
		read_by_layout(how, bytes, 0, 4096);
	}
	for (int i = 0; i < ROUNDS; i++) {
		u64 pos = rng_below(&rng, bytes);

		read_by_layout(i % NR_HOWS, pos, rng_below(&rng, 10000),
			       1 + rng_below(&rng, i & 4 ? 9000 : 400000));
	}
}

/* ---- mixed files ---------------------------------------------------------------------- */

static void reads_are_what_pread_gives(const void *arg)
{
	int file;

	open_all(arg, "");
	for (int holes = 0; holes <= 1; holes++) {
		make_layout(BYTES, holes);
		file = fs_open(&fs, "f", O_RDONLY);
		bind_file(file, 1);
		CHECK_EQ(dmabuf_rw_binding_refusal(binding, NULL), 0);
		CHECK_EQ(info.read_align, 1);
		read_here_and_there(BYTES);
		CHECK(sum_direct && sum_bounced, "%llu direct, %llu bounced",
		      (unsigned long long)sum_direct, (unsigned long long)sum_bounced);
		unbind();
		close(file);
		close(fd);
	}
	finish();
}

/* Any bytes of a file that is not bound: what is around stays, holes are filled, it grows. */
static void write_here_and_there(u64 bytes)
{
	u64 end = bytes;

	for (int i = 0; i < ROUNDS; i++) {
		struct transfer t = {
			.how = i % NR_HOWS, .write = true, .pos = rng_below(&rng, bytes),
			.off = rng_below(&rng, 5000),
			.len = 1 + rng_below(&rng, i & 4 ? 5000 : 300000),
		};
		struct dmabuf_rw_result r;
		s64 got;

		lay_out(&t);
		data_fill(should, BUF_BYTES, 100 + i, 0);
		buf_put(&buf, 0, should, BUF_BYTES);
		copy(&t, should, content, t.len);
		got = ask(&t, &r);
		check_result(&t, got, t.len, &r);
		CHECK_EQ(r.direct_bytes, 0);
		end = MAX(end, t.pos + t.len);
		CHECK_EQ(file_bytes(fd), end);
		file_get(fd, 0, mem, end);
		data_check("file", mem, content, end, 0);
	}
	check_buffer();
}

static void refused_files_are_bounced(u32 reason)
{
	struct dmabuf_rw_error why;

	bind_file(fd, 1);
	CHECK_EQ(dmabuf_rw_binding_refusal(binding, &why), 1);
	CHECK_EQ(why.err, EOPNOTSUPP);
	CHECK_EQ(why.reason, reason);
	CHECK(info.flags & DMABUF_RW_INFO_BOUNCE_ONLY);
	for (int i = 0; i < 8; i++)
		read_and_check(i % NR_HOWS, i * 12345, i * 7, i < 4 ? BUF_BYTES - 64 : 4000, 0);
	write_here_and_there(BYTES);
	CHECK(!sum_direct && sum_bounced);
	unbind();
	/* And on the disk. */
	SYS(fsync(fd));
}

/* A write within the file; @direct: bytes that go direct, -1: some. What is around stays. */
static void write_and_check(enum how how, u64 pos, u64 off, u64 len, u64 tag, s64 direct)
{
	struct transfer t = { .how = how, .write = true, .pos = pos, .off = off, .len = len };
	struct dmabuf_rw_result r;
	s64 got;

	lay_out(&t);
	data_fill(should, BUF_BYTES, tag, 0);
	buf_put(&buf, 0, should, BUF_BYTES);
	copy(&t, should, content, len);
	got = ask(&t, &r);
	check_result(&t, got, len, &r);
	CHECK_EQ(r.error, 0);
	if (direct >= 0)
		CHECK_EQ(r.direct_bytes, direct, "%s at %llu, buffer %llu, of %llu",
			 how_names[how], (unsigned long long)pos, (unsigned long long)off,
			 (unsigned long long)len);
	CHECK_EQ(file_bytes(fd), info.file_bytes);
	file_get(fd, 0, mem, info.file_bytes);
	data_check("file", mem, content, info.file_bytes, 0);
	check_buffer();
}

/* The same of a file that has been written, where all that is aligned goes direct. */
static void write_by_layout(enum how how, u64 pos, u64 off, u64 len, u64 tag)
{
	struct transfer t = { .how = how, .write = true, .pos = pos, .off = off, .len = len };
	bool simple = how == CALL || how == QUEUE ||
		      (how < NR_GAPLESS && info.flags & DMABUF_RW_INFO_SGL);

	write_and_check(how, pos, off, len, tag, simple ? (s64)direct_bytes(&t) : -1);
}

static void a_file_with_holes_is_written_direct_and_through_memory(const void *arg)
{
	u64 pos, len;

	open_all(arg, "");
	make_layout(BYTES, true);
	bind_file(fd, 1);
	CHECK_EQ(dmabuf_rw_binding_refusal(binding, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		len = 1 + rng_below(&rng, i & 4 ? 5000 : 300000);
		pos = rng_below(&rng, BYTES - len);
		write_and_check(i % NR_HOWS, pos, rng_below(&rng, 5000), len, 100 + i, -1);
	}
	write_and_check(CALL, 0, 0, BYTES, 200, -1);
	CHECK(sum_direct && sum_bounced);
	unbind();
	SYS(fsync(fd));
	close(fd);
	fs_remount(&fs);
	fd = fs_open(&fs, "f", O_RDONLY);
	file_get(fd, 0, mem, BYTES);
	data_check("file", mem, content, BYTES, 0);
	close(fd);
	finish();
}

/* ---- unaligned writes -------------------------------------------------------------------- */

static void unaligned_writes(u64 bytes)
{
	u64 pos, len;

	for (int i = 0; i < ROUNDS; i++) {
		len = 1 + rng_below(&rng, i & 4 ? 1500 : 200000);
		pos = rng_below(&rng, bytes - len);
		write_by_layout(i % NR_HOWS, pos, rng_below(&rng, 5000), len, 30 + i);
	}
	/* Whole LBAs, and others whose middle lies right in the buffer. */
	write_by_layout(CALL, 4096, 8192, 64 * KiB, 60);
	write_by_layout(QUEUE, 512 * 3 - 100, 4096 - 100, 100 + 512 * 20 + 3, 61);
	/* Up to the file's end, from anywhere. */
	write_by_layout(CALL, 8192, 4096, bytes - 8192, 62);
	write_by_layout(CALL, bytes - 1, 7, 1, 63);
	write_by_layout(QUEUE, bytes - 700, 9, 700, 64);
}

static void unaligned_writes_change_their_bytes_only(const void *arg)
{
	open_all(arg, "");
	fd = file_make(&fs, "f", BYTES, 20);
	take_content(BYTES);
	bind_file(fd, 1);
	CHECK(info.flags & DMABUF_RW_INFO_SGL);
	unaligned_writes(BYTES);
	CHECK(sum_direct && sum_bounced);
	unbind();
	file_check_on_disk(&fs, fd, content, BYTES);
	close(fd);
	finish();
}

/* Each thread has every fourth of a row of pieces, which share LBAs. */
#define WRITERS	4
#define PIECE	37

static void *write_every_fourth(void *arg)
{
	u64 nr = (BYTES - PIECE) / PIECE;

	for (u64 i = (uintptr_t)arg; i < MIN(nr, 400); i += WRITERS)
		CHECK_EQ(dmabuf_rw_write(binding, i * PIECE, i * PIECE, PIECE, 0, NULL), PIECE);
	return NULL;
}

static void unaligned_writes_of_threads_do_not_undo_each_other(const void *arg)
{
	pthread_t threads[WRITERS];

	open_all(arg, "");
	fd = file_make(&fs, "f", BYTES, 20);
	take_content(BYTES);
	bind_file(fd, 1);
	data_fill(should, BUF_BYTES, 21, 0);
	buf_put(&buf, 0, should, BUF_BYTES);
	for (uintptr_t i = 0; i < WRITERS; i++)
		OK(-pthread_create(&threads[i], NULL, write_every_fourth, (void *)i));
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	memcpy(content, should, 400 * PIECE);
	file_get(fd, 0, mem, BYTES);
	data_check("file", mem, content, BYTES, 0);
	dmabuf_rw_binding_destroy(binding);
	close(fd);
	finish();
}

struct journal {
	const char *name, *mount;
	int flag;
};

/* Its data goes into the journal, so the file system refuses O_DIRECT. */
static void a_file_with_data_in_the_journal_is_bounced(const void *arg)
{
	const struct journal *j = arg;
	u64 bytes;

	open_all("ext4", j->mount);
	make_layout(BYTES, false);
	if (j->flag) {
		int flags;

		SYS(ioctl(fd, FS_IOC_GETFLAGS, &flags));
		flags |= j->flag;
		SYS(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	}
	refused_files_are_bounced(DMABUF_RW_REASON_NO_DIRECT);
	bytes = file_bytes(fd);
	close(fd);
	fs_unmount(&fs);
	CHECK_EQ(fs_mount(&fs, j->mount), 0);
	fd = fs_open(&fs, "f", O_RDONLY);
	file_get(fd, 0, mem, bytes);
	data_check("file", mem, content, bytes, 0);
	close(fd);
	finish();
}

/* ---- drives that move whole LBAs only --------------------------------------------------- */

/* Without permission each of them is refused as a whole. */
static void unaligned_bytes_without_permission(void)
{
	bind_file(fd, 0);
	guard_buffer();
	for (int i = 0; i < 2 * NR_HOWS; i++) {
		struct transfer t = { .how = i % NR_HOWS, .write = i >= NR_HOWS,
				      .pos = 512 * i + 1, .off = 4096, .len = 9000 + i };
		struct dmabuf_rw_result r;
		s64 got;

		lay_out(&t);
		got = ask(&t, &r);
		check_result(&t, got, -EDOM, &r);
	}
	check_buffer();
	unbind();
}

static void unaligned_bytes_without_SGLs(const void *arg)
{
	open_all(arg, "");
	make_layout(WHOLE_LBAS, false);
	bind_file(fd, 1);
	CHECK_EQ(info.flags & DMABUF_RW_INFO_SGL, 0);
	CHECK_EQ(info.read_align, 512);
	CHECK_EQ(info.write_align, 512);
	read_here_and_there(WHOLE_LBAS);
	CHECK(sum_direct && sum_bounced);
	unbind();
	unaligned_bytes_without_permission();
	close(fd);

	/* One that ends with an LBA, and one that does not. */
	for (u64 bytes = WHOLE_LBAS; bytes <= WHOLE_LBAS + 77; bytes += 77) {
		fd = file_make(&fs, "g", bytes, 20);
		take_content(bytes);
		bind_file(fd, 1);
		unaligned_writes(bytes);
		CHECK(sum_direct && sum_bounced);
		unbind();
		SYS(fsync(fd));
		file_check_on_disk(&fs, fd, content, bytes);
		close(fd);
	}
	finish();
}

static void unaligned_bytes_bounce_where_there_are_no_SGLs(const void *arg)
{
	drw_with_parameters("use_sgl=0", unaligned_bytes_without_SGLs, arg);
}

/* ---- refusals --------------------------------------------------------------------------- */

/* Bytes up to the first block that was never written, and why there are no more. */
static void without_permission_nothing_bounces(const void *arg)
{
	struct dmabuf_rw_error error;

	open_all(arg, "");
	for (int i = 0; i < 2 * ROUNDS; i++) {
		struct transfer t = { .how = i % NR_GAPLESS, .pos = rng_below(&rng, BYTES),
				      .off = i, .len = 1 + rng_below(&rng, 500000) };
		u64 all = MIN(t.len, BYTES - t.pos), there;
		struct dmabuf_rw_result r;
		s64 got;

		if (i % ROUNDS == 0) {
			make_layout(BYTES, i);
			bind_file(fd, 0);
		}
		there = file_written(fd, t.pos, all);
		lay_out(&t);
		guard_buffer();
		got = ask(&t, &r);
		check_result(&t, got, there ? (s64)there : -ENXIO, &r);
		CHECK_EQ(r.error, there < all ? ENXIO : 0);
		CHECK_EQ(r.bounced_bytes, 0);
		copy(&t, should, content, there);
		check_buffer();
		error = (struct dmabuf_rw_error){ .call = DMABUF_RW_CALL_IO, .err = r.error };
		dmabuf_rw_error_explain(&error, fd, t.pos + there);
		CHECK_EQ(error.reason, r.error ? DMABUF_RW_REASON_NEVER_WRITTEN : 0);
		if (i % ROUNDS == ROUNDS - 1) {
			unbind();
			close(fd);
		}
	}
	finish();
}

/* Stands for the runtime of a device: it can copy to and from what the CPU cannot map. */
static int runtime_copy(void *arg, enum dmabuf_rw_copy direction, uint64_t buf_off, void *host,
			size_t len)
{
	if (direction == DMABUF_RW_COPY_TO_BUFFER)
		buf_put(arg, buf_off, host, len);
	else
		buf_get(arg, buf_off, host, len);
	return 0;
}

static void a_buffer_without_cpu_mapping_needs_a_copy_function(const void *arg)
{
	const struct exporter *exporter = arg;
	struct dmabuf_rw_error error;
	struct dmabuf_rw_binding_opts opts = { .size = sizeof(opts), .error = &error,
					       .allow_bounce = 1 };
	const u64 len = MiB + 99;
	char text[800];
	int how;

	buf_create(&buf, exporter, BUF_BYTES);
	OK(dmabuf_rw_device_open(NULL, &device));
	mem = data_alloc(BUF_BYTES);
	should = data_alloc(BUF_BYTES);
	/* No file system of those that go direct. */
	fd = SYS(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	file_fill(fd, 0, len, 1);
	for (how = 0; how <= 1; how++) {
		FAILS(dmabuf_rw_binding_create(how ? NULL : device, buf.fd, fd, &opts,
					       &binding), EOPNOTSUPP);
		CHECK_EQ(error.reason, DMABUF_RW_REASON_NO_CPU_ACCESS);
		CHECK_EQ(error.detail, exporter->mock ? EOPNOTSUPP : EINVAL);
		dmabuf_rw_error_format(&error, text, sizeof(text));
		CHECK(strstr(text, "copy function"), "%s", text);
	}
	opts.copy = runtime_copy;
	opts.copy_arg = &buf;
	OK(dmabuf_rw_binding_create(device, buf.fd, fd, &opts, &binding));
	CHECK_EQ(dmabuf_rw_binding_refusal(binding, &error), 1);
	CHECK_EQ(error.reason, DMABUF_RW_REASON_FILESYSTEM);
	guard_buffer();
	data_fill(should + 1234, len - 77, 1, 77);
	CHECK_EQ(dmabuf_rw_read(binding, 77, 1234, len, 0, NULL), len - 77);
	buf_get(&buf, 0, mem, BUF_BYTES);
	data_check("buffer", mem, should, BUF_BYTES, 0);
	CHECK_EQ(dmabuf_rw_write(binding, 5, 1234, 1000, 0, NULL), 1000);
	file_get(fd, 0, mem, len);
	data_fill(should, len, 1, 0);
	data_fill(should + 5, 1000, 1, 77);
	data_check("file", mem, should, len, 0);
	dmabuf_rw_binding_destroy(binding);
	dmabuf_rw_device_close(device);
	buf_destroy(&buf);
	close(fd);
}

/* ---- new files -------------------------------------------------------------------------- */

static int count_calls(void *arg)
{
	++*(unsigned int *)arg;
	return 0;
}

/* Of the whole disk on which the file system is: how much the drive is asked to zero at once. */
#define WRITE_ZEROES "/sys/class/block/%s/../queue/write_zeroes_unmap_max_bytes", fs.disk.name

/* A new file must be there as a whole, whoever has written its zeros. */
static void make_new_file(bool can)
{
	const u64 bytes = 5 * MiB + 777;
	unsigned int calls = 0;
	struct dmabuf_rw_file_opts opts = { .size = sizeof(opts), .interrupted = count_calls,
					    .arg = &calls };
	struct dmabuf_rw_file *file;
	struct file_extent e;

	OK(dmabuf_rw_file_create(fs_path(&fs, "new"), bytes, &opts, &file));
	/* It is asked before each few MiB that the library writes itself. */
	CHECK_EQ(calls == 0, can, "%u pieces of zeros were written", calls);
	fd = dmabuf_rw_file_fd(file);
	CHECK_EQ(file_bytes(fd), bytes);
	for (u64 pos = 0; pos < bytes; pos = e.pos + e.len)
		CHECK(file_extent(fd, pos, &e) && e.pos <= pos && !e.unwritten,
		      "no written block at %llu", (unsigned long long)pos);
	bind_file(fd, 0);
	memset(content, 0, BUF_BYTES);
	for (u64 pos = 0; pos < bytes; pos += MiB) {
		struct transfer t = { .pos = pos, .off = 3, .len = MIN(MiB, bytes - pos) };
		struct dmabuf_rw_result r;
		s64 got;

		lay_out(&t);
		guard_buffer();
		got = ask(&t, &r);
		check_result(&t, got, t.len, &r);
		memset(should + t.off, 0, t.len);
		check_buffer();
		buf_fill(&buf, t.off, t.len, 5, pos);
		t.write = true;
		got = ask(&t, &r);
		check_result(&t, got, t.len, &r);
		CHECK_EQ(r.path, DMABUF_RW_PATH_MODULE);
	}
	unbind();
	OK(dmabuf_rw_file_commit(file));
	dmabuf_rw_file_close(file);
	fd = fs_open(&fs, "new", O_RDONLY);
	CHECK_EQ(file_bytes(fd), bytes);
	file_check(fd, 0, bytes, 5);
	close(fd);
	unlink(fs_path(&fs, "new"));
}

static void new_files_have_zeros_whoever_writes_them(const void *arg)
{
	char most[32];
	bool can;

	open_all(arg, "");
	fd = fs_open(&fs, "probe", O_RDWR | O_CREAT);
	can = !fallocate(fd, FALLOC_FL_WRITE_ZEROES, 0, MiB);
	note(can ? "the drive writes zeros by itself" : "no zeros without writing: %s",
	     strerror(errno));
	close(fd);
	make_new_file(can);
	/* What the drive can do, nobody may know. */
	if (can) {
		snprintf(most, sizeof(most), "%s", slurp(WRITE_ZEROES));
		OK(spit("0", WRITE_ZEROES));
		make_new_file(false);
		OK(spit(most, WRITE_ZEROES));
	}
	finish();
}

static void add(void)
{
	static const struct journal journals[] = {
		{ "mount", "data=journal", 0 }, { "flag", "nodelalloc", FS_JOURNAL_DATA_FL },
	};

	fs_program();
	test_limit(60);
	for (size_t i = 0; i < FS_KINDS; i++) {
		TEST_OF_KIND(i, reads_are_what_pread_gives);
		TEST_OF_KIND(i, a_file_with_holes_is_written_direct_and_through_memory);
		TEST_OF_KIND(i, unaligned_writes_change_their_bytes_only);
		TEST_OF_KIND(i, unaligned_writes_of_threads_do_not_undo_each_other);
		TEST_OF_KIND(i, unaligned_bytes_bounce_where_there_are_no_SGLs);
		TEST_OF_KIND(i, without_permission_nothing_bounces);
		TEST_OF_KIND(i, new_files_have_zeros_whoever_writes_them);
	}
	for (size_t i = 0; i < ARRAY_SIZE(journals); i++)
		test_add(a_file_with_data_in_the_journal_is_bounced, &journals[i],
			 "a_file_with_data_in_the_journal_is_bounced.%s", journals[i].name);
	/* VFIO maps no dma-buf, and nobody can map parts of pages. */
	for (size_t i = 0; i < nr_exporters; i++)
		if (exporters[i] == &exporter_vfio || exporters[i]->odd)
			test_add(a_buffer_without_cpu_mapping_needs_a_copy_function,
				 exporters[i],
				 "a_buffer_without_cpu_mapping_needs_a_copy_function.%s",
				 exporters[i]->name);
}

const struct program program = { "file_library", add };
