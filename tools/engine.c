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
/* A multiple of the blocks of every file system and drive. */
#define FILE_BLOCK	4096

static void note_block(struct engine *e, const struct dmabuf_rw_completion *c, uint64_t want)
{
	uint64_t off = c->user_data, got = c->bytes > 0 ? c->bytes : 0;
	int err = c->error;

	e->completions++;
	e->moved += got;
	e->direct_bytes += c->direct_bytes;
	e->bounced_bytes += c->bounced_bytes;
	e->kernel_bytes += c->kernel_bytes;
	e->path |= c->path;
	if (got == want)
		return;
	if (off + got < e->gapless)
		e->gapless = off + got;
	/* Short without an error: the file has become shorter. */
	if (!err)
		e->ended = true;
	/* A cancellation by the user is not an error. */
	else if (!e->error.err && !(err == ECANCELED && *e->stop))
		e->error = (struct dmabuf_rw_error){ .call = DMABUF_RW_CALL_IO, .err = err };
}

/*
 * The first block ends at a multiple of the block size in the file, so that all others begin and
 * end aligned for any offset of the transfer.
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
	return *e->stop || e->ended || e->error.err;
}

/* Keeps the queue full until all blocks are submitted and completed. */
static int run_queue(struct engine *e, uint64_t *next)
{
	const struct timespec tick = { .tv_nsec = TICK_MS * 1000000L };
	struct dmabuf_rw_completion done[REAP_MAX] = { { .size = sizeof(done[0]) } };
	bool cancelled = false;
	int ret, i;

	for (;;) {
		while (*next < e->len && !stopped(e)) {
			uint64_t len = block_len(e, *next);

			ret = (e->write ? dmabuf_rw_queue_write : dmabuf_rw_queue_read)(
					e->queue, e->binding, e->file_off + *next,
					e->buf_off + *next, len, e->io_flags, *next);
			if (ret == -EAGAIN)
				break;
			if (ret)
				return ret;
			*next += len;
		}
		if (!dmabuf_rw_queue_pending(e->queue))
			return 0;
		/* Copies through memory from a slow disk may take long. */
		if (*e->stop && !cancelled) {
			dmabuf_rw_queue_cancel_all(e->queue);
			cancelled = true;
		}

		ret = dmabuf_rw_queue_reap(e->queue, done, REAP_MAX, 1, &tick);
		if (ret == -EINTR)
			continue;
		if (ret < 0)
			return ret;
		for (i = 0; i < ret; i++)
			note_block(e, &done[i], block_len(e, done[i].user_data));
		if (e->progress)
			e->progress(e->progress_arg, e->moved, e->path);
	}
}

int engine_run(struct engine *e)
{
	uint64_t next = 0;
	int ret;

	e->moved = 0;
	e->gapless = e->len;
	e->direct_bytes = 0;
	e->bounced_bytes = 0;
	e->kernel_bytes = 0;
	e->completions = 0;
	e->path = DMABUF_RW_PATH_NONE;
	e->ended = false;
	e->error = (struct dmabuf_rw_error){ 0 };

	/* Attaching only saves time. */
	dmabuf_rw_queue_attach(e->queue, e->binding);
	ret = run_queue(e, &next);
	if (ret && !e->error.err) {
		e->error.call = DMABUF_RW_CALL_QUEUE;
		e->error.err = -ret;
	}
	/* The queue failed: the state of the blocks in flight is unknown. */
	if (dmabuf_rw_queue_pending(e->queue))
		e->gapless = 0;
	else
		dmabuf_rw_queue_detach(e->queue, e->binding);
	if (next < e->gapless)
		e->gapless = next;
	if (e->error.err)
		return -e->error.err;
	if (e->ended)
		return -ENODATA;
	return e->gapless < e->len ? -EINTR : 0;
}
