// SPDX-License-Identifier: MIT
/*
 * lib_kernel_queue.c - kernel bindings in queues, in rings of the caller's, in threads and in
 * child processes, against the fake of the interface.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <liburing.h>

#include "fixture_child.h"
#include "fixture_kernel.h"
#include "fixture_queue.h"
#include "private.h"

static void a_queue_serves_both_ways(void **state)
{
	const struct dmabuf_rw_piece pieces[] = { { 8192, LBA }, { 0, LBA } };
	struct dmabuf_rw_range ranges[] = { { 0, 65536, 4096, 0, 0 }, { 1, 0, LBA, 0, 0 } };
	struct dmabuf_rw_queue *queue = new_queue(8, 0);
	struct dmabuf_rw_completion c;

	(void)state;
	bind_way(false);
	assert_int_equal(dmabuf_rw_queue_read(queue, binding, 4096, 0, 65536, 0, 1), 0);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, 65536);
	assert_int_equal(c.path, path_direct());
	assert_int_equal(c.kernel_bytes, by_kernel ? 65536 : 0);
	assert_memory_equal(fake.buffer, fake.file + 4096, 65536);
	assert_int_equal(dmabuf_rw_queue_write(queue, binding, BYTES - LBA, 0, 2 * LBA, 0, 2), 0);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, LBA);
	assert_int_equal(dmabuf_rw_queue_readv(queue, binding, 0, pieces, 2, 0, 3), 0);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, 2 * LBA);
	assert_int_equal(dmabuf_rw_queue_read_many(queue, binding, ranges, 2, 0, 4), 0);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, 4096);
	assert_int_equal(c.error, EDOM);
	assert_int_equal(ranges[1].result, -EDOM);
	assert_int_equal(dmabuf_rw_queue_read(queue, binding, 0, 1, LBA, 0, 5), 0);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, -EDOM);
	assert_int_equal(dmabuf_rw_queue_write(queue, binding, 0, 0, LBA, DMABUF_RW_IO_FUA, 6), 0);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, LBA);
	fake.bad_from = 0;
	fake.bad_to = LBA;
	fake.bad_errno = ENODATA;
	assert_int_equal(dmabuf_rw_queue_read(queue, binding, 0, 0, LBA, 0, 7), 0);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, -ENODATA);
	dmabuf_rw_queue_destroy(queue);
}

static void a_queue_has_bindings_of_both_ways_at_once(void **state)
{
	struct dmabuf_rw_queue *queue = new_queue(8, 0);
	struct dmabuf_rw_binding *by_module;
	struct dmabuf_rw_completion c;
	unsigned int i;

	(void)state;
	assert_int_equal(bind_pair(device, fake.dmabuf_fd, fake.file_fd, NULL), 0);
	by_module = binding;
	binding = NULL;
	bind_way(false);
	assert_int_equal(dmabuf_rw_queue_attach(queue, by_module), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(dmabuf_rw_queue_read(queue, i & 1 ? binding : by_module,
						      i * LBA, i * LBA, LBA, 0, i), 0);
	for (i = 0; i < 4; i++) {
		reap_one(queue, &c);
		assert_int_equal(c.bytes, LBA);
		assert_int_equal(c.path, c.user_data & 1 ? DMABUF_RW_PATH_KERNEL :
							   DMABUF_RW_PATH_MODULE);
	}
	assert_int_equal(fake.by_table, 2);
	assert_memory_equal(fake.buffer, fake.file, 4 * LBA);
	dmabuf_rw_queue_detach(queue, by_module);
	dmabuf_rw_binding_destroy(by_module);
	dmabuf_rw_queue_destroy(queue);
}

static void a_queue_asks_again_and_bounces_what_it_must(void **state)
{
	struct dmabuf_rw_queue *queue = new_queue(8, DMABUF_RW_QUEUE_SINGLE_THREAD);
	struct dmabuf_rw_completion c;

	(void)state;
	bind_way(true);
	fake.kernel_again = 20;
	assert_int_equal(dmabuf_rw_queue_read(queue, binding, 0, 0, 1 << 20, 0, 1), 0);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, 1 << 20);
	assert_int_equal(c.path, DMABUF_RW_PATH_KERNEL);
	assert_memory_equal(fake.buffer, fake.file, 1 << 20);
	assert_int_equal(dmabuf_rw_queue_write(queue, binding, 3, 3, 8192, 0, 2), 0);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, 8192);
	assert_int_equal(c.path, DMABUF_RW_PATH_KERNEL | DMABUF_RW_PATH_BOUNCED);
	assert_int_equal(c.kernel_bytes + c.bounced_bytes, 8192);
	assert_memory_equal(fake.file + 3, fake.buffer + 3, 8192);
	fake.max_move = LBA;
	assert_int_equal(dmabuf_rw_queue_read(queue, binding, 0, 8192, 4096, DMABUF_RW_IO_WHOLE, 3),
			 0);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, 4096);
	assert_int_equal(dmabuf_rw_queue_read(queue, binding, 0, 0, 4096, 0, 4), 0);
	assert_int_equal(dmabuf_rw_queue_cancel(queue, 4), 1);
	reap_one(queue, &c);
	assert_int_equal(c.error, ECANCELED);
	/* What nobody reaps is brought to its end all the same. */
	fake.kernel_again = 1;
	assert_int_equal(dmabuf_rw_queue_read(queue, binding, 8192, 0, LBA, 0, 5), 0);
	assert_int_equal(dmabuf_rw_queue_submit(queue), 0);
	dmabuf_rw_queue_destroy(queue);
	assert_memory_equal(fake.buffer, fake.file + 8192, LBA);
}

static void a_place_that_the_drive_cannot_be_given_is_the_workers(void **state)
{
	struct dmabuf_rw_queue *queue = new_queue(8, 0);
	struct dmabuf_rw_completion c;

	(void)state;
	fake.buf_align = LBA;
	bind_way(false);
	assert_int_equal(dmabuf_rw_queue_read(queue, binding, 0, 4, 4096, 0, 1), 0);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, -EDOM);
	bind_way(true);
	assert_int_equal(dmabuf_rw_queue_read(queue, binding, 0, 4, 4096, 0, 1), 0);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, 4096);
	assert_int_equal(c.path, DMABUF_RW_PATH_BOUNCED);
	assert_memory_equal(fake.buffer + 4, fake.file, 4096);
	dmabuf_rw_queue_destroy(queue);
}

static void a_queue_lets_go_of_bindings_that_are_gone(void **state)
{
	struct dmabuf_rw_queue *queue = new_queue(4, 0);
	struct dmabuf_rw_completion c;
	unsigned int i;

	(void)state;
	for (i = 0; i < 2 * DMABUF_RW_QUEUE_MAX_ATTACHED; i++) {
		bind_way(false);
		assert_int_equal(dmabuf_rw_queue_read(queue, binding, 0, 0, LBA, 0, i), 0);
		reap_one(queue, &c);
		assert_int_equal(c.bytes, LBA);
		assert_int_equal(fake.registered, 2);
	}
	assert_int_equal(dmabuf_rw_queue_attach(queue, binding), -EEXIST);
	unbind();
	assert_int_equal(dmabuf_rw_queue_reap(queue, NULL, 0, 0, NULL), 0);
	assert_int_equal(fake.registered, 0);
	bind_way(false);
	assert_int_equal(dmabuf_rw_queue_attach(queue, binding), 0);
	assert_int_equal(fake.registered, 2);
	dmabuf_rw_queue_detach(queue, binding);
	assert_int_equal(fake.registered, 1);
	assert_int_equal(dmabuf_rw_queue_attach(queue, binding), 0);
	dmabuf_rw_queue_destroy(queue);
	assert_int_equal(fake.registered, 1);
}

/* Also where it has no ring, and so no table. */
static void attaching_finds_room_in_the_place_of_bindings_that_are_gone(void **state)
{
	struct dmabuf_rw_queue *queue;
	unsigned int i, round;

	(void)state;
	for (round = 0; round < 2; round++) {
		fake.ring_errno = round ? EPERM : 0;
		queue = new_queue(4, 0);
		fake.ring_errno = 0;
		for (i = 0; i < 2 * DMABUF_RW_QUEUE_MAX_ATTACHED; i++) {
			bind_way(false);
			assert_int_equal(dmabuf_rw_queue_attach(queue, binding), 0);
		}
		dmabuf_rw_queue_detach(queue, binding);
		dmabuf_rw_queue_destroy(queue);
	}
}

static void a_full_table_leaves_transfers_to_workers(void **state)
{
	enum { NR = DMABUF_RW_QUEUE_MAX_ATTACHED + 1 };
	struct dmabuf_rw_queue *queue = new_queue(NR, 0);
	struct dmabuf_rw_binding *many[NR];
	struct dmabuf_rw_completion c;
	unsigned int i;

	(void)state;
	for (i = 0; i < NR; i++) {
		bind_way(false);
		many[i] = binding;
		binding = NULL;
		assert_int_equal(dmabuf_rw_queue_read(queue, many[i], i * LBA, i * LBA, LBA, 0, i),
				 0);
	}
	/* Each has a lane, and all but the last a slot. */
	assert_int_equal(fake.registered, NR + NR - 1);
	for (i = 0; i < NR; i++) {
		reap_one(queue, &c);
		assert_int_equal(c.bytes, LBA);
		assert_int_equal(c.path, DMABUF_RW_PATH_KERNEL);
	}
	assert_memory_equal(fake.buffer, fake.file, NR * LBA);
	assert_int_equal(dmabuf_rw_queue_attach(queue, many[0]), -EEXIST);
	assert_int_equal(dmabuf_rw_queue_attach(queue, many[NR - 1]), -ENOSPC);
	dmabuf_rw_binding_destroy(many[7]);
	assert_int_equal(dmabuf_rw_queue_attach(queue, many[NR - 1]), 0);
	many[7] = NULL;
	for (i = 0; i < NR; i++)
		dmabuf_rw_binding_destroy(many[i]);
	assert_int_equal(fake.registered, NR - 1);
	dmabuf_rw_queue_destroy(queue);
	assert_int_equal(fake.registered, 0);
}

/* Until a queue looks it has the buffer in its table, and nothing else. */
static void a_destroyed_binding_keeps_no_ring_and_no_descriptor(void **state)
{
	struct dmabuf_rw_queue *queue = new_queue(4, 0);
	unsigned int real_fds = fake.real_fds, rings = fake.rings;

	(void)state;
	bind_way(false);
	assert_int_equal(dmabuf_rw_queue_attach(queue, binding), 0);
	unbind();
	assert_int_equal(fake.registered, 1);
	assert_int_equal(fake.real_fds, real_fds);
	assert_int_equal(fake.rings, rings);
	dmabuf_rw_queue_destroy(queue);
}

/* Only close() could be one, which is not called any more. */
static void *sweep_while_cancelled(void *queue)
{
	pthread_cancel(pthread_self());
	dmabuf_rw_queue_read(queue, binding, 0, 0, LBA, 0, 1);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return queue;
}

static void queueing_where_a_binding_is_gone_is_no_cancellation_point(void **state)
{
	struct dmabuf_rw_queue *queue = new_queue(4, 0);
	struct dmabuf_rw_completion c;
	pthread_t thread;
	void *ret;

	(void)state;
	bind_way(false);
	assert_int_equal(dmabuf_rw_queue_attach(queue, binding), 0);
	bind_way(false);
	assert_int_equal(pthread_create(&thread, NULL, sweep_while_cancelled, queue), 0);
	assert_int_equal(pthread_join(thread, &ret), 0);
	assert_ptr_equal(ret, queue);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, LBA);
	dmabuf_rw_queue_destroy(queue);
}

static void without_room_in_the_table_workers_do_it(void **state)
{
	struct dmabuf_rw_queue *queue = new_queue(4, 0);
	struct dmabuf_rw_completion c;

	(void)state;
	bind_way(false);
	fake.register_errno = ENOMEM;
	assert_int_equal(dmabuf_rw_queue_read(queue, binding, 0, 0, 4096, 0, 1), 0);
	reap_one(queue, &c);
	assert_int_equal(c.bytes, 4096);
	assert_int_equal(c.path, DMABUF_RW_PATH_KERNEL);
	dmabuf_rw_queue_destroy(queue);
}

static int ring_read(struct io_uring *ring, uint64_t file_off, uint64_t buf_off, uint32_t len)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int res;

	dmabuf_rw_prep_read(sqe, binding, file_off, buf_off, len, 0);
	dmabuf_rw_sqe_set_slot(sqe, 2);
	io_uring_sqe_set_data64(sqe, 7);
	assert_int_equal(io_uring_submit_and_wait(ring, 1), 1);
	assert_int_equal(io_uring_peek_cqe(ring, &cqe), 0);
	assert_int_equal(cqe->user_data, 7);
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

/* With the kernel's errnos. */
static void entries_are_the_kernels(struct io_uring *ring)
{
	struct dmabuf_rw_piece piece = { 0, LBA };
	struct dmabuf_rw_range range = { 0, 0, LBA, 0, 0 };
	struct io_uring_sqe sqe;

	assert_int_equal(ring_read(ring, 4096, 8192, 4096), 4096);
	assert_memory_equal(fake.buffer + 8192, fake.file + 4096, 4096);
	assert_int_equal(ring_read(ring, 1, 0, LBA), -EINVAL);
	assert_int_equal(ring_read(ring, 0, BYTES, LBA), -EFAULT);
	assert_int_equal(ring_read(ring, BYTES - LBA, 0, 2 * LBA), LBA);
	fake.kernel_again = 1;
	assert_int_equal(ring_read(ring, 0, 0, LBA), -EAGAIN);
	assert_int_equal(ring_read(ring, 0, 0, LBA), LBA);
	/* What it cannot do leads nowhere. */
	dmabuf_rw_prep_readv(&sqe, binding, 0, &piece, 1, 0);
	assert_int_equal(sqe.fd, -1);
	dmabuf_rw_prep_read_many(&sqe, binding, &range, 1, 0);
	assert_int_equal(sqe.fd, -1);
	dmabuf_rw_prep_write(&sqe, binding, 0, 0, LBA, DMABUF_RW_IO_FUA);
	assert_int_equal(sqe.fd, -1);
}

static void a_ring_of_the_callers_takes_entries_at_a_slot(void **state)
{
	struct io_uring_params params = { 0 };
	struct io_uring_sqe sqe;
	struct io_uring ring;

	(void)state;
	bind_way(false);
	assert_int_equal(io_uring_queue_init_params(4, &ring, &params), 0);
	assert_int_equal(io_uring_register_buffers_sparse(&ring, 4), 0);
	assert_int_equal(dmabuf_rw_binding_register(binding, ring.ring_fd, 2), 0);
	if (by_kernel) {
		entries_are_the_kernels(&ring);
		fake.kernel_errno = ENOMEM;
		assert_int_equal(dmabuf_rw_binding_register(binding, ring.ring_fd, 3), -ENOMEM);
		fake.kernel_errno = 0;
	} else {
		dmabuf_rw_prep_read(&sqe, binding, 0, 0, 4096, 0);
		dmabuf_rw_sqe_set_slot(&sqe, 2);
		assert_int_equal(sqe.opcode, IORING_OP_URING_CMD);
		assert_int_equal(sqe.buf_index, 0);
		assert_int_equal(fake.registered, 0);
	}
	fake.kernel_way = false;
	assert_int_equal(bind_pair(NULL, fake.dmabuf_fd, fake.file_fd, NULL), 0);
	assert_int_equal(dmabuf_rw_binding_register(binding, ring.ring_fd, 3), -EOPNOTSUPP);
	io_uring_unregister_buffers(&ring);
	io_uring_queue_exit(&ring);
}

/* ---- threads and children ------------------------------------------------------------- */

#define NR_THREADS	20
#define MAX_RINGS	8

static pthread_t threads[NR_THREADS];

static void *read_once(void *arg)
{
	uint64_t off = (uintptr_t)arg * 4096;

	return dmabuf_rw_read(binding, off, off, 4096, 0, NULL) == 4096 ? NULL : "a read failed";
}

static void *read_often(void *arg)
{
	int i;

	for (i = 0; i < 50; i++)
		if (read_once(arg))
			return "a read failed";
	return NULL;
}

static void start_threads(unsigned int nr, void *(*run)(void *arg))
{
	uintptr_t i;

	for (i = 0; i < nr; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, (void *)i), 0);
}

static void end_threads(unsigned int nr)
{
	unsigned int i;
	void *why;

	for (i = 0; i < nr; i++) {
		assert_int_equal(pthread_join(threads[i], &why), 0);
		assert_null(why);
	}
	assert_memory_equal(fake.buffer, fake.file, nr * 4096);
}

/* While it is true, no entry gets on. */
static void make_the_kernel_busy(bool busy)
{
	fake_lock();
	fake.kernel_again = busy ? UINT32_MAX : 0;
	fake_unlock();
}

/* Until all rings are in use. Where that does not come, the test ends here. */
static void wait_for_rings(unsigned int nr_threads)
{
	unsigned int rings = 0, tries;

	for (tries = 0; tries < 5000 && rings < MAX_RINGS; tries++) {
		usleep(1000);
		fake_lock();
		rings = fake.registered;
		fake_unlock();
	}
	if (rings >= MAX_RINGS)
		return;
	make_the_kernel_busy(false);
	end_threads(nr_threads);
	fail_msg("%u rings", rings);
}

static void more_threads_than_rings_wait_for_each_other(void **state)
{
	(void)state;
	bind_way(false);
	start_threads(NR_THREADS, read_often);
	end_threads(NR_THREADS);
	assert_in_range(fake.registered, 1, MAX_RINGS);
}

static void a_binding_has_at_most_eight_rings(void **state)
{
	(void)state;
	bind_way(false);
	make_the_kernel_busy(true);
	start_threads(NR_THREADS, read_once);
	wait_for_rings(NR_THREADS);
	/* Those that wait would be there by now. */
	usleep(20000);
	make_the_kernel_busy(false);
	end_threads(NR_THREADS);
	assert_int_equal(fake.most_registered, MAX_RINGS);
	assert_in_range(fake.registered, 1, MAX_RINGS);
}

static void on_signal(int sig)
{
	(void)sig;
}

struct interrupter {
	pthread_t thread, whom;
	_Atomic bool stop;
};

static void *interrupt(void *arg)
{
	struct interrupter *i = arg;

	while (!i->stop) {
		usleep(5000);
		pthread_kill(i->whom, SIGUSR1);
	}
	return NULL;
}

static void a_signal_ends_the_wait_for_a_ring(void **state)
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct dmabuf_rw_range ranges[] = { { 0, 0, 4096, 0, 1 }, { 4096, 4096, 4096, 0, 1 } };
	struct interrupter i = { .whom = pthread_self() };
	struct sigaction old;

	(void)state;
	bind_way(false);
	make_the_kernel_busy(true);
	start_threads(MAX_RINGS, read_once);
	wait_for_rings(MAX_RINGS);
	assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
	assert_int_equal(pthread_create(&i.thread, NULL, interrupt, &i), 0);
	assert_int_equal(move(false, 0, 0, 4096), -EINTR);
	assert_int_equal(dmabuf_rw_read_many(binding, ranges, 2, 0, NULL), -EINTR);
	assert_int_equal(ranges[1].result, -EINTR);
	i.stop = true;
	assert_int_equal(pthread_join(i.thread, NULL), 0);
	assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
	make_the_kernel_busy(false);
	end_threads(MAX_RINGS);
}

static bool reads_by_a_ring_of_its_own(void *arg)
{
	(void)arg;
	return move(false, 4096, 4096, 4096) == 4096 && fake.rings == 2;
}

static void a_child_has_rings_of_its_own(void **state)
{
	(void)state;
	bind_way(false);
	assert_int_equal(move(false, 0, 0, 4096), 4096);
	assert_true(in_child(reads_by_a_ring_of_its_own, NULL));
	assert_int_equal(move(false, 8192, 8192, 4096), 4096);
	assert_memory_equal(fake.buffer, fake.file, 12288);
}

static bool reads_at_once(void *arg)
{
	make_the_kernel_busy(false);
	return !read_once(arg);
}

/* Its parent's threads, which have them all, are not there. */
static void a_child_has_rings_while_its_parent_has_none_left(void **state)
{
	(void)state;
	bind_way(false);
	make_the_kernel_busy(true);
	start_threads(MAX_RINGS, read_once);
	wait_for_rings(MAX_RINGS);
	assert_true(in_child(reads_at_once, NULL));
	make_the_kernel_busy(false);
	end_threads(MAX_RINGS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_queue_serves_both_ways),
		BOTH(a_ring_of_the_callers_takes_entries_at_a_slot),
		KERNEL_TEST(a_queue_has_bindings_of_both_ways_at_once),
		KERNEL_TEST(a_queue_asks_again_and_bounces_what_it_must),
		KERNEL_TEST(a_place_that_the_drive_cannot_be_given_is_the_workers),
		KERNEL_TEST(a_queue_lets_go_of_bindings_that_are_gone),
		KERNEL_TEST(attaching_finds_room_in_the_place_of_bindings_that_are_gone),
		KERNEL_TEST(a_destroyed_binding_keeps_no_ring_and_no_descriptor),
		KERNEL_TEST(queueing_where_a_binding_is_gone_is_no_cancellation_point),
		KERNEL_TEST(without_room_in_the_table_workers_do_it),
		KERNEL_TEST(a_full_table_leaves_transfers_to_workers),
		KERNEL_TEST(a_binding_has_at_most_eight_rings),
		KERNEL_TEST(a_signal_ends_the_wait_for_a_ring),
		KERNEL_TEST(more_threads_than_rings_wait_for_each_other),
		KERNEL_TEST(a_child_has_rings_of_its_own),
		KERNEL_TEST(a_child_has_rings_while_its_parent_has_none_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
