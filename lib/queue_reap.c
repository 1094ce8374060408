// SPDX-License-Identifier: MIT
/*
 * queue_reap.c - waits for transfers of a queue, and turns their results into completions.
 *
 * Results are in two places: the ring's completions, and the workers' done jobs. While the workers
 * have no jobs, the wait is in the ring, in the call that also submits. While they have, ppoll(2)
 * waits for both, for the ring by its wake_fd (queue.c).
 *
 * Thread-safety: as queue.c.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "queue.h"

#define NS_PER_S	INT64_C(1000000000)

/* Queues the rest of a transfer that came back short. 0 or -errno. */
static int queue_rest(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot, uint32_t moved)
{
	if (slot->pieces) {
		if (!slot->rest) {
			slot->rest = calloc(slot->nr_pieces, sizeof(*slot->rest));
			if (!slot->rest)
				return -ENOMEM;
		}
		slot->nr_pieces = dmabuf_rw_trim_pieces(slot->rest, slot->pieces,
							slot->nr_pieces, moved);
		slot->pieces = slot->rest;
	}
	return dmabuf_rw_queue_slot(q, slot);
}

/* slot_result() of a batch. The workers get the rest, cancelled or not. */
static int batch_result(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot, int refused,
			int *err)
{
	struct dmabuf_rw_job *job = &slot->job;

	job->transfer.asked = true;
	if (dmabuf_rw_many_take(job->binding, &job->transfer, &job->progress, refused) &&
	    !dmabuf_rw_queue_give(q, slot))
		return 0;
	*err = dmabuf_rw_many_finish(job->binding, &job->transfer, &job->progress);
	return 1;
}

/*
 * Takes an entry's result into its slot. Returns 0 if the rest was queued again or given
 * to the workers, else 1 with the errno that ended the transfer in @err.
 */
static int slot_result(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot, int32_t res,
		       int *err)
{
	struct dmabuf_rw_progress *p = &slot->job.progress;
	int ret;

	*err = slot->taken_back ? ECANCELED : 0;
	if (slot->job.transfer.ranges)
		return batch_result(q, slot, *err ? *err : res < 0 ? -res : EPROTO, err);
	if (*err)
		return 1;
	if (res <= 0) {
		*err = -res;
		if (!dmabuf_rw_is_for_worker(slot->job.binding, res))
			return 1;
		ret = slot->job.cancelled ? -ECANCELED : dmabuf_rw_queue_give(q, slot);
	} else if ((uint32_t)res > slot->left) {
		ret = -EPROTO;
	} else {
		dmabuf_rw_add_direct(slot->job.binding, p, res);
		slot->left -= res;
		if (!slot->left)
			return 1;
		ret = slot->job.cancelled ? -ECANCELED : queue_rest(q, slot, res);
	}
	*err = -ret;
	return !!ret;
}

/* The caller's array. The caller sets the size of its elements. */
struct array {
	struct dmabuf_rw_completion *first;
	size_t size;
	unsigned int nr, max;
};

/* Makes a completion of a slot and frees it. */
static void complete(struct dmabuf_rw_queue *q, struct dmabuf_rw_slot *slot, int err,
		     struct array *array)
{
	char *to = (char *)array->first + array->nr++ * array->size;
	const struct dmabuf_rw_transfer *t = &slot->job.transfer;
	const struct dmabuf_rw_progress *p = &slot->job.progress;
	int64_t bytes = dmabuf_rw_outcome(p, t->len, t->whole, &err);
	const struct dmabuf_rw_completion completion = {
		.size = array->size,
		.user_data = slot->user_data,
		.bytes = bytes,
		.error = err,
		.path = dmabuf_rw_path_of(p),
		.direct_bytes = p->direct,
		.bounced_bytes = p->bounced,
		.kernel_bytes = p->kernel,
	};

	memset(to, 0, array->size);
	memcpy(to, &completion, sizeof(completion));
	dmabuf_rw_count(slot->job.binding, p);
	dmabuf_rw_queue_free_slot(q, slot);
}

static void collect_ring(struct dmabuf_rw_queue *q, struct array *array)
{
	unsigned int seen = 0, head;
	struct io_uring_cqe *cqe;
	int err;

	io_uring_for_each_cqe(&q->ring, head, cqe) {
		struct dmabuf_rw_slot *slot;

		if (array->nr == array->max)
			break;
		seen++;
		if (!dmabuf_rw_is_slot(q, cqe->user_data))
			continue;
		slot = &q->slots[cqe->user_data];
		if (slot_result(q, slot, cqe->res, &err))
			complete(q, slot, err, array);
	}
	io_uring_cq_advance(&q->ring, seen);
}

/* Turns the ring's completions and the workers' done jobs into the caller's completions. */
static void collect(struct dmabuf_rw_queue *q, struct array *array)
{
	struct dmabuf_rw_slot *slot;
	struct dmabuf_rw_job *job;

	while (array->nr < array->max && (slot = dmabuf_rw_queue_unhold_cancelled(q)))
		complete(q, slot, dmabuf_rw_job_cancel(&slot->job), array);
	if (!q->ring_err)
		collect_ring(q, array);
	while (array->nr < array->max && q->nr_working &&
	       (job = dmabuf_rw_workers_take(q->workers))) {
		q->nr_working--;
		complete(q, dmabuf_rw_slot_of(job), job->err, array);
	}
}

/* Enters the kernel so that finished transfers appear, without waiting. */
static int poke(struct dmabuf_rw_queue *q)
{
	int ret = 0;

	if (q->ring_err)
		return 0;
	if (io_uring_sq_ready(&q->ring))
		ret = io_uring_submit(&q->ring);
	if (ret >= 0 && dmabuf_rw_has_deferred(q))
		ret = io_uring_get_events(&q->ring);
	return ret;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static unsigned int unsubmitted(const struct dmabuf_rw_queue *q)
{
	return q->ring_err ? 0 : io_uring_sq_ready(&q->ring);
}

/*
 * Submits, and waits in the ring for @nr completions or until @ts has passed; null: for ever.
 *
 * A call that has submitted something returns that number, and does not report a signal that has
 * ended its wait.
 */
static int wait_in_ring(struct dmabuf_rw_queue *q, unsigned int nr, const struct timespec *ts)
{
	struct __kernel_timespec kts;
	struct io_uring_cqe *cqe;
	int ret;

	if (!ts) {
		ret = io_uring_submit_and_wait(&q->ring, nr);
		if (ret >= 0 && !unsubmitted(q) && io_uring_cq_ready(&q->ring) < nr)
			return -EINTR;
		return ret;
	}
	/* With a timeout liburing waits again by itself, unless there is nothing to submit. */
	if (unsubmitted(q)) {
		ret = io_uring_submit(&q->ring);
		if (ret < 0)
			return ret;
	}
	kts.tv_sec = ts->tv_sec;
	kts.tv_nsec = ts->tv_nsec;
	return io_uring_submit_and_wait_timeout(&q->ring, &cqe, nr, &kts, NULL);
}

static void reset_wake(struct dmabuf_rw_queue *q)
{
	eventfd_t value;

	if (q->wake_fd >= 0)
		eventfd_read(q->wake_fd, &value);
}

/* Submits, and waits for any result, from the ring or from the workers. */
static int wait_for_either(struct dmabuf_rw_queue *q, const struct timespec *ts)
{
	struct pollfd fds[] = {
		{ .fd = dmabuf_rw_workers_fd(q->workers), .events = POLLIN },
		{ .fd = -1, .events = POLLIN },
	};
	int ret = q->ring_err ? 0 : dmabuf_rw_queue_need_wake(q);

	if (!ret)
		ret = poke(q);
	if (ret < 0)
		return ret;
	/* Submitting may already have brought results. */
	if (!q->ring_err && io_uring_cq_ready(&q->ring))
		return 0;
	fds[1].fd = q->wake_fd;
	ret = ppoll(fds, ARRAY_SIZE(fds), ts, NULL);
	if (ret < 0)
		return -errno;
	if (!ret)
		return -ETIME;
	if (!fds[1].revents)
		return 0;
	reset_wake(q);
	return poke(q);
}

/* One more wait, until @deadline at most; negative: for ever. -ETIME: the deadline has passed. */
static int wait_for(struct dmabuf_rw_queue *q, unsigned int nr, int64_t deadline)
{
	int64_t left = deadline < 0 ? 0 : deadline - now_ns();
	struct timespec ts = { .tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S };
	int ret;

	if (deadline >= 0 && left <= 0) {
		/* Finished transfers must still appear. */
		ret = poke(q);
		return ret < 0 ? ret : -ETIME;
	}
	if (q->nr_working)
		ret = wait_for_either(q, deadline < 0 ? NULL : &ts);
	else
		ret = wait_in_ring(q, nr, deadline < 0 ? NULL : &ts);
	/* Woken before the deadline: not over yet. */
	return ret == -ETIME && now_ns() < deadline ? 0 : ret;
}

static int reap(struct dmabuf_rw_queue *q, struct array *array, unsigned int min,
		int64_t deadline)
{
	int ret = 0, held;

	collect(q, array);
	held = dmabuf_rw_queue_submit_held(q);
	if (held || (!array->nr && !min)) {
		ret = poke(q);
		collect(q, array);
	}
	/* Held transfers that cannot start must not delay the others. */
	if (held)
		return held;
	while (array->nr < min && q->pending) {
		ret = wait_for(q, MIN(min - array->nr, q->pending), deadline);
		collect(q, array);
		if (ret < 0)
			break;
	}
	return ret == -ETIME ? 0 : ret;
}

/*
 * Submits entries that are still queued: the caller's, and rests of transfers that came back short.
 * The latter have been submitted once, so no error of the call may leave them behind. The wake_fd
 * requests another call for any that remain.
 */
static int leave(struct dmabuf_rw_queue *q)
{
	int ret = dmabuf_rw_queue_submit_ring(q);

	dmabuf_rw_queue_sweep(q);
	/* Results after the reset signal it again; earlier ones are seen here. */
	reset_wake(q);
	if (q->wake_fd >= 0 &&
	    (unsubmitted(q) || io_uring_cq_ready(&q->ring) || dmabuf_rw_has_deferred(q)))
		eventfd_write(q->wake_fd, 1);
	return ret;
}

/* The time when @timeout ends; -1: never. False: malformed. */
static bool deadline_of(const struct timespec *timeout, int64_t *deadline)
{
	*deadline = -1;
	if (!timeout)
		return true;
	if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= NS_PER_S)
		return false;
	if (timeout->tv_sec <= INT32_MAX)
		*deadline = now_ns() + timeout->tv_sec * NS_PER_S + timeout->tv_nsec;
	return true;
}

DMABUF_RW_API int dmabuf_rw_queue_reap(struct dmabuf_rw_queue *queue,
				       struct dmabuf_rw_completion *completions,
				       unsigned int max, unsigned int min,
				       const struct timespec *timeout)
{
	struct array array = { .first = completions, .max = max };
	int ret = dmabuf_rw_queue_check_caller(queue);
	DMABUF_RW_NO_CANCEL;
	int64_t deadline;
	int left;

	if (ret)
		return ret;
	if (!deadline_of(timeout, &deadline) || (max && !completions))
		return -EINVAL;
	if (max)
		array.size = completions->size;
	if (max && (array.size < sizeof(*completions) || array.size > DMABUF_RW_MAX_STRUCT))
		return -EINVAL;
	ret = reap(queue, &array, MIN(min, max), deadline);
	left = leave(queue);
	if (array.nr)
		return array.nr;
	if (ret >= 0)
		ret = left;
	return ret < 0 ? dmabuf_rw_kernel_errno(ret) : 0;
}
