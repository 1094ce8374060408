// SPDX-License-Identifier: MIT
/*
 * transfer.c - one read or write: of host memory, or of device memory segment by segment.
 */
#include <errno.h>

#include "front.h"

/* Longer transfers become users of their segment, see gpu_segment_touch(). */
#define SHORT	(16U << 20)

/* ---- reasons ----------------------------------------------------------------------------- */

static void explain_growth(struct front_reason *why)
{
	*why = (struct front_reason){
		.cause = "the write makes the file longer, which only the file system can",
		.remedy = "give the file its length and its contents first, and write to it again",
	};
}

static void explain_segment(const struct gpu_segment *segment, struct front_reason *why)
{
	*why = (struct front_reason){
		.cause = gpu_segment_cause(segment),
		.detail = gpu_segment_detail(segment),
		.remedy = gpu_segment_remedy(segment),
	};
}

bool transfer_is_aligned(const struct front_bond *bond, bool write, uint64_t off,
			 uint64_t buf_off, uint64_t len)
{
	uint32_t align = write ? bond->write_align : bond->read_align;

	return !(off % align || len % align || buf_off % bond->buf_align);
}

void transfer_explain(const struct front_bond *bond, bool write, uint64_t off, uint64_t buf_off,
		      uint64_t len, struct front_reason *why)
{
	if (bond->refusal.error.err) {
		*why = bond->refusal;
		return;
	}
	/* The range's state before the write is unknown: the write has just changed it. */
	*why = (struct front_reason){ .error = {
		.call = DMABUF_RW_CALL_IO,
		.err = transfer_is_aligned(bond, write, off, buf_off, len) ? ENXIO : EDOM,
	} };
}

/* Without bouncing: @err has ended a transfer before the byte at @off. */
static void say_refusal(const struct front_file *file, uint64_t off, int err)
{
	struct front_reason why = { .error = { .call = DMABUF_RW_CALL_IO, .err = err } };

	dmabuf_rw_error_explain(&why.error, file->fd, off);
	report_refused(file, &why);
}

/* ---- device memory ------------------------------------------------------------------------ */

/* Through host memory, or -EOPNOTSUPP if that is forbidden. */
static int64_t staged(struct front_file *file, const struct gpu_segment *segment, bool write,
		      uint64_t p, uint64_t len, uint64_t off, const struct front_reason *why)
{
	int64_t n;

	if (front.direct_only) {
		report_refused(file, why);
		return -EOPNOTSUPP;
	}
	n = stage_move(file, segment, write, p, len, off);
	if (n > 0)
		report_bounced(file, write, n, why);
	return n;
}

/* Returns bytes; *@error is the errno that ended it, positive, or 0. */
static uint64_t bonded(struct front_file *file, struct front_bond *bond, bool write,
		       uint64_t buf_off, uint64_t len, uint64_t off, int *error)
{
	uint64_t done = 0, flags = write ? file->write_flags : 0;
	struct dmabuf_rw_result result;
	struct front_reason why;
	ssize_t n;

	do {
		result = (struct dmabuf_rw_result){ .size = sizeof(result) };
		n = (write ? dmabuf_rw_write : dmabuf_rw_read)(bond->binding, off + done,
							       buf_off + done, len - done,
							       flags, &result);
		if (n > 0)
			done += n;
		report_direct(write, result.direct_bytes);
		report_zeros(file, &result);
		if (result.bounced_bytes) {
			transfer_explain(bond, write, off, buf_off, len, &why);
			report_bounced(file, write, result.bounced_bytes, &why);
		}
	} while (result.error == EINTR && done < len);
	*error = result.error;
	return done;
}

static int find_bond(struct front_file *file, struct gpu_segment *segment,
		     struct front_bond **bond)
{
	struct front_reason why = { 0 };
	int ret = bond_use(file, segment, bond, &why);

	if (ret && front.direct_only && why.error.err && dmabuf_rw_error_is_about_pair(&why.error))
		report_refused(file, &why);
	return ret;
}

/*
 * Moves the range by a bond, @bond if it is not null. Bytes that the library can neither move nor
 * bounce, for lack of scratch memory for parts of LBAs, go through our own.
 */
static int64_t by_bond(struct front_file *file, struct gpu_segment *segment,
		       struct front_bond *bond, bool write, uint64_t p, uint64_t len, uint64_t off)
{
	struct front_bond *own = NULL;
	struct front_reason why;
	int64_t done, more;
	int err, ret;

	if (!bond) {
		ret = find_bond(file, segment, &own);
		if (ret)
			return ret;
	}
	done = bonded(file, bond ? bond : own, write, gpu_segment_offset(segment, p), len, off,
		      &err);
	if (own)
		bond_done(own);
	if (done && !write) {
		ret = gpu_flush(segment);
		if (ret)
			return ret;
	}
	/* A binding of memory that may move does not bounce, and the memory may have moved. */
	if (err != EDOM && err != ENXIO && !(segment->may_move && err == EXDEV))
		return done ? done : -err;
	if (front.direct_only) {
		say_refusal(file, off + done, err);
		return done ? done : -err;
	}
	why = (struct front_reason){ .error = { .call = DMABUF_RW_CALL_IO, .err = err } };
	more = staged(file, segment, write, p + done, len - done, off + done, &why);
	return more > 0 ? done + more : done ? done : more;
}

bool transfer_grows(const struct front_file *file, uint64_t off, uint64_t len, uint64_t *inside)
{
	uint64_t bytes;

	if (!file->regular || !file_is_same(file, &bytes) || off + len <= bytes)
		return false;
	/* The next part begins at an offset that suits O_DIRECT. */
	bytes &= ~UINT64_C(4095);
	*inside = bytes > off ? bytes - off : 0;
	return true;
}

bool transfer_is_cached(struct front_file *file, bool write, uint64_t off, uint64_t len)
{
	return front.page_cache && !write && file_is_cached(file, off, len);
}

/* From the page cache. Returns the bytes still there; the caller moves the rest another way. */
static int64_t cached(struct front_file *file, const struct gpu_segment *segment, uint64_t p,
		      uint64_t len, uint64_t off)
{
	int64_t n = stage_read_cached(file, segment, p, len, off);

	if (n > 0)
		report_cached(file, n);
	return n > 0 ? n : 0;
}

/* Within one segment, past the page cache. @bond: their bond; null: look it up. */
static int64_t past_cache(struct front_file *file, struct gpu_segment *segment,
			  struct front_bond *bond, bool write, uint64_t p, uint64_t len,
			  uint64_t off)
{
	uint64_t inside = len;
	bool grows = write && transfer_grows(file, off, len, &inside);
	struct front_reason why;
	int64_t n = 0, more;

	if (segment->fd < 0) {
		explain_segment(segment, &why);
		return staged(file, segment, write, p, len, off, &why);
	}
	/* It will fail, so nothing is written. */
	if (grows && front.direct_only)
		inside = 0;
	if (inside) {
		n = by_bond(file, segment, bond, write, p, inside, off);
	/* The file has become shorter meanwhile. */
		if (n == -ENOSPC && write && transfer_grows(file, off, len, &inside)) {
			grows = true;
			n = inside = 0;
		}
	}
	if (!grows || n < (int64_t)inside)
		return n;
	explain_growth(&why);
	more = staged(file, segment, write, p + inside, len - inside, off + inside, &why);
	return more > 0 ? n + more : n ? n : more;
}

/* Within one segment. @bond: their bond, or null. */
static int64_t in_segment(struct front_file *file, struct gpu_segment *segment,
			  struct front_bond *bond, bool write, uint64_t p, uint64_t len,
			  uint64_t off)
{
	int64_t n = 0, more;

	if (transfer_is_cached(file, write, off, len))
		n = cached(file, segment, p, len, off);
	if (n == (int64_t)len)
		return n;
	/* The rest: behind the file's end, or no longer cached. */
	more = past_cache(file, segment, bond, write, p + n, len - n, off + n);
	return more > 0 ? n + more : n ? n : more;
}

/*
 * Finds the memory of a range of several segments. A read may ask for more than the file has; only
 * the part that the file has must be memory, and *@len becomes that. Null: nothing to read.
 */
static int find_memory(const struct front_file *file, bool write, uint64_t p, uint64_t *len,
		       uint64_t off, struct gpu_memory **memory)
{
	int ret = gpu_memory_create(p, *len, memory);
	uint64_t bytes, left;

	if (ret != -ERANGE || write || !file_is_same(file, &bytes))
		return ret;
	left = off < bytes ? bytes - off : 0;
	if (left >= *len)
		return ret;
	*len = left;
	*memory = NULL;
	return *len ? gpu_memory_create(p, *len, memory) : 0;
}

static int64_t in_segments(struct front_file *file, bool write, uint64_t p, uint64_t len,
			   uint64_t off)
{
	struct gpu_memory *memory;
	struct gpu_place at;
	uint64_t done = 0;
	int64_t n = 0;
	int ret = find_memory(file, write, p, &len, off, &memory);

	if (ret)
		return ret == -ERANGE ? -CU_FILE_CUDA_POINTER_RANGE_ERROR : ret;
	while (done < len) {
		gpu_memory_find(memory, done, &at);
		n = in_segment(file, at.segment, NULL, write, p + done, at.len, off + done);
		if (n > 0)
			done += n;
		if (n < (int64_t)at.len)
			break;
	}
	gpu_memory_destroy(memory);
	return done ? (int64_t)done : n;
}

static int64_t to_host(struct front_file *file, bool write, uint64_t p, uint64_t len, uint64_t off)
{
	ssize_t n = file_transfer(file, write, (void *)(uintptr_t)p, len, off);

	if (n > 0)
		report_host(write, n);
	return n;
}

static int64_t move(struct front_file *file, bool write, uint64_t p, uint64_t len, uint64_t off)
{
	struct gpu_segment *segment;
	struct front_bond *bond;
	struct gpu_owner owner;
	int ret = gpu_owner_of(p, &owner);
	int64_t n;

	/* The fast path, without a lock. */
	bond = !ret && len <= SHORT ? bond_use_last(file, p, len, &owner) : NULL;
	if (bond) {
		n = in_segment(file, bond->segment, bond, write, p, len, off);
		bond_done(bond);
		return n;
	}
	if (!ret)
		ret = gpu_segment_use_of(p, &owner, &segment);
	if (ret == -ENXIO)
		return to_host(file, write, p, len, off);
	if (ret)
		return ret == -EFAULT ? -CU_FILE_CUDA_POINTER_INVALID : ret;
	n = len <= gpu_segment_end(segment) - p ?
		in_segment(file, segment, NULL, write, p, len, off) :
		in_segments(file, write, p, len, off);
	gpu_segment_done(segment);
	return n;
}

bool transfer_range(const void *base, off_t buf_off, size_t len, off_t off, uint64_t *p)
{
	uint64_t end;

	return base && buf_off >= 0 && off >= 0 && len <= (uint64_t)(INT64_MAX - off) &&
	       !__builtin_add_overflow((uintptr_t)base, buf_off, p) &&
	       !__builtin_add_overflow(*p, len, &end);
}

int64_t transfer(struct front_file *file, bool write, uint64_t p, uint64_t len, uint64_t off)
{
	bool last = false;
	int64_t n = 0;

	if (!file->may[write])
		return -EBADF;
	if (len) {
		do {
			n = move(file, write, p, len, off);
		} while (bonds_make_room(n, &last));
	}
	return n;
}

int64_t transfer_by_handle(CUfileHandle_t fh, bool write, const void *base, off_t buf_off,
			   size_t len, off_t off)
{
	struct front_file *file = file_get(fh);
	uint64_t p;
	int64_t n;

	if (!file)
		return -CU_FILE_HANDLE_NOT_REGISTERED;
	n = transfer_range(base, buf_off, len, off, &p) ?
		transfer(file, write, p, len, off) : -CU_FILE_INVALID_VALUE;
	file_put(file);
	return n;
}
