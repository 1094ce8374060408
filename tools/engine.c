// SPDX-License-Identifier: MIT
/*
 * engine.c - one long transfer in blocks, several in flight.
 *
 * A block's user_data is its offset within the transfer. Blocks may finish in any
 * order; "gapless" is the largest count for which every byte before it was moved,
 * which is what a user can rely on after an error or an interruption.
 */
#include <errno.h>

#include "tool.h"

#define REAP_MAX	64
#define TICK_MS		100
/* Blocks of every file system and drive. */
#define FILE_BLOCK	4096

static void note_block(struct engine *e, uint64_t off, uint64_t want, int64_t bytes,
		       int err, uint64_t direct, uint64_t bounced)
{
	uint64_t got = bytes > 0 ? bytes : 0;

	e->completions++;
	e->moved += got;
	e->direct_bytes += direct;
	e->bounced_bytes += bounced;
	if (e->direct_bytes)
		e->path = e->bounced_bytes ? DMABUF_RW_PATH_MIXED : DMABUF_RW_PATH_DIRECT;
	else if (e->bounced_bytes)
		e->path = DMABUF_RW_PATH_BOUNCED;
	if (got == want)
		return;
	if (off + got < e->gapless)
		e->gapless = off + got;
	if (!e->error.err) {
		/* Short without an error: the device became smaller under us. */
		e->error.call = DMABUF_RW_CALL_IO;
		e->error.err = err ? err : ENOSPC;
	}
}

/*
 * The first block ends where a block of the file does, so that all others begin and end
 * there, whatever the transfer's offset is.
 */
static uint64_t block_len(const struct engine *e, uint64_t off)
{
	uint64_t odd = (e->file_off + off) % FILE_BLOCK, len = e->block;

	if (len > FILE_BLOCK && len % FILE_BLOCK == 0)
		len -= odd;
	return e->len - off < len ? e->len - off : len;
}

static bool stopped(const struct engine *e)
{
	return (e->stop && *e->stop) || e->error.err;
}

static void run_synchronously(struct engine *e, uint64_t *next)
{
	struct dmabuf_rw_result result = { .size = sizeof(result) };
	uint64_t len;
	ssize_t ret;

	while (*next < e->len && !stopped(e)) {
		len = block_len(e, *next);
		ret = (e->write ? dmabuf_rw_write : dmabuf_rw_read)(e->binding,
				e->file_off + *next, e->buf_off + *next, len,
				e->io_flags, &result);
		if (ret == -EINTR)
			continue;
		/* A signal that does not stop us, or does: then that is not an error. */
		if (ret > 0 && result.error == EINTR)
			len = ret;
		note_block(e, *next, len, ret, result.error, result.direct_bytes,
			   result.bounced_bytes);
		*next += len;
		if (e->progress)
			e->progress(e->progress_arg, e->moved, e->path);
	}
}

/* Keeps the queue full until everything was submitted and has come back. */
static int run_queued(struct engine *e, struct dmabuf_rw_queue *queue, uint64_t *next)
{
	const struct timespec tick = { .tv_nsec = TICK_MS * 1000000L };
	struct dmabuf_rw_completion done[REAP_MAX] = { { .size = sizeof(done[0]) } };
	int ret, i;

	for (;;) {
		while (*next < e->len && !stopped(e)) {
			uint64_t len = block_len(e, *next);

			ret = (e->write ? dmabuf_rw_queue_write : dmabuf_rw_queue_read)(
					queue, e->binding, e->file_off + *next,
					e->buf_off + *next, len, e->io_flags, *next);
			if (ret == -EAGAIN)
				break;
			if (ret)
				return ret;
			*next += len;
		}
		if (!dmabuf_rw_queue_pending(queue))
			return 0;

		ret = dmabuf_rw_queue_reap(queue, done, REAP_MAX, 1, &tick);
		if (ret == -EINTR)
			continue;
		if (ret < 0)
			return ret;
		for (i = 0; i < ret; i++)
			note_block(e, done[i].user_data,
				   block_len(e, done[i].user_data), done[i].bytes,
				   done[i].error, done[i].direct_bytes,
				   done[i].bounced_bytes);
		if (e->progress)
			e->progress(e->progress_arg, e->moved, e->path);
	}
}

int engine_run(struct engine *e)
{
	struct dmabuf_rw_queue_opts opts = {
		.size = sizeof(opts),
		.flags = DMABUF_RW_QUEUE_SINGLE_THREAD,
		.depth = e->depth,
		.error = &e->error,
	};
	struct dmabuf_rw_queue *queue;
	uint64_t next = 0;
	int ret;

	e->moved = 0;
	e->gapless = e->len;
	e->direct_bytes = 0;
	e->bounced_bytes = 0;
	e->completions = 0;
	e->path = DMABUF_RW_PATH_NONE;
	e->error = (struct dmabuf_rw_error){ 0 };

	if (e->depth == 1) {
		run_synchronously(e, &next);
	} else {
		ret = dmabuf_rw_queue_create(&opts, &queue);
		if (ret) {
			e->gapless = 0;
			return ret;
		}
		/* Without it all works, at a little more cost. */
		dmabuf_rw_queue_attach(queue, e->binding);
		ret = run_queued(e, queue, &next);
		dmabuf_rw_queue_destroy(queue);
		if (ret && !e->error.err) {
			e->error.call = DMABUF_RW_CALL_QUEUE;
			e->error.err = -ret;
			/* What became of the blocks in flight is not known. */
			e->gapless = 0;
		}
	}
	if (next < e->gapless)
		e->gapless = next;
	if (e->error.err)
		return -e->error.err;
	return next < e->len ? -EINTR : 0;
}
