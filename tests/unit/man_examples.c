// SPDX-License-Identifier: MIT
/*
 * man_examples.c - what the manual shows does what the manual says.
 *
 * The examples are taken out of the pages as they are (example.awk), compiled, and called here,
 * over the fake module and the fake CUDA driver. Queues do without io_uring, since what stands for
 * a binding is none to the kernel; in a ring of the program's own, entries are run when they are
 * submitted, and a no-operation takes the place of each.
 */
#include <liburing.h>

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cufile_fixture.h"
#include "libdmabuf_rw.h"

#define FILE_BYTES	3000001UL
#define BUF_BYTES	(4 * MIB)

/* ---- the examples --------------------------------------------------------------------------- */

struct dmabuf_rw_binding *bind_pair(int dmabuf_fd, int file_fd);
int load(const struct dmabuf_rw_binding *binding, int file_fd, uint64_t len);
int load_blocks(const struct dmabuf_rw_binding *binding);
int load_all(struct dmabuf_rw_queue *queue, const struct dmabuf_rw_binding *binding,
	     uint64_t bytes);
int load_ranges(struct dmabuf_rw_queue *queue, const struct dmabuf_rw_binding *binding,
		struct dmabuf_rw_range *range, unsigned int nr);
void wait_for_all(struct dmabuf_rw_queue *queue);
int load_then_ring(struct io_uring *ring, const struct dmabuf_rw_binding *data,
		   const struct dmabuf_rw_binding *doorbell, uint32_t len, uint64_t value_off,
		   uint64_t reg);
int say_how(const struct dmabuf_rw_binding *binding, int file_fd);
struct dmabuf_rw_binding *bind_or_bounce(const struct dmabuf_rw_device *device, int dmabuf_fd,
					 int file_fd);
int store(const struct dmabuf_rw_device *device, int dmabuf_fd, const char *path, uint64_t bytes);
int buffer_of_memfd(size_t bytes, void **mem);
int buffer_of_heap(size_t bytes);
int load_tensor(const struct dmabuf_rw_device *device, int file_fd, size_t bytes,
		CUdeviceptr *tensor);
ssize_t read_to_device(int file_fd, void *memory, size_t bytes);
/* The whole program of libdmabuf_rw(3). */
int libdmabuf_rw_main(int argc, char **argv);

/* ---- a file, a buffer, and what is said ----------------------------------------------------- */

static struct dmabuf_rw_device *device;
static unsigned char *content, *buffer;
static int file_fd, dmabuf_fd, heard_fd, was[2];
static char heard[4096];

static int set_up_pair(void **state)
{
	size_t i;

	if (setup(state) || dmabuf_rw_device_open(NULL, &device))
		return -1;
	content = malloc(FILE_BYTES);
	for (i = 0; i < FILE_BYTES; i++)
		content[i] = i * 7 + i / 4096;
	file_fd = open(name_of("file"), O_RDWR | O_CREAT, 0600);
	dmabuf_fd = memfd_create("buffer", MFD_CLOEXEC);
	if (write(file_fd, content, FILE_BYTES) != (ssize_t)FILE_BYTES ||
	    ftruncate(dmabuf_fd, BUF_BYTES))
		return -1;
	buffer = mmap(NULL, BUF_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf_fd, 0);
	return buffer == MAP_FAILED;
}

static int tear_down_pair(void **state)
{
	munmap(buffer, BUF_BYTES);
	close(dmabuf_fd);
	close(file_fd);
	free(content);
	dmabuf_rw_device_close(device);
	return teardown(state);
}

static void listen_to_it(void)
{
	char path[] = "/tmp/heard-XXXXXX";
	int i;

	fflush(stdout);
	heard_fd = mkstemp(path);
	assert_true(heard_fd >= 0);
	unlink(path);
	for (i = 0; i < 2; i++) {
		was[i] = dup(STDOUT_FILENO + i);
		dup2(heard_fd, STDOUT_FILENO + i);
	}
}

/* All that was said since; it can be heard once. */
static void expect_heard(const char *text)
{
	ssize_t n;
	int i;

	fflush(stdout);
	for (i = 0; i < 2; i++) {
		dup2(was[i], STDOUT_FILENO + i);
		close(was[i]);
	}
	n = pread(heard_fd, heard, sizeof(heard) - 1, 0);
	close(heard_fd);
	heard[n > 0 ? n : 0] = 0;
	if (text ? !strstr(heard, text) : heard[0])
		fail_msg("\"%s\" is not what was said: %s", text ? text : "", heard);
}

static void expect_loaded(size_t bytes)
{
	assert_memory_equal(buffer, content, bytes);
}

static struct dmabuf_rw_binding *bound(void)
{
	struct dmabuf_rw_binding *binding;

	assert_int_equal(dmabuf_rw_binding_create(device, dmabuf_fd, file_fd, NULL, &binding), 0);
	return binding;
}

/* ---- bind, transfer, tell ------------------------------------------------------------------- */

static void a_pair_is_bound_or_the_reason_is_said(void **state)
{
	struct dmabuf_rw_binding *binding;

	(void)state;
	binding = bind_pair(dmabuf_fd, file_fd);
	assert_non_null(binding);
	dmabuf_rw_binding_destroy(binding);
	module.bind_errno = ENOTBLK;
	module.bind_reason = DMABUF_RW_REASON_STACKED;
	listen_to_it();
	binding = bind_pair(dmabuf_fd, file_fd);
	expect_heard("device-mapper, md or loop");
	assert_null(binding);
	module.absent = true;
	listen_to_it();
	binding = bind_pair(dmabuf_fd, file_fd);
	expect_heard("module is not loaded");
	assert_null(binding);
}

static void a_file_is_loaded_and_its_way_is_said(void **state)
{
	struct dmabuf_rw_binding *binding = bound();
	int ret;

	(void)state;
	listen_to_it();
	ret = load(binding, file_fd, FILE_BYTES);
	expect_heard("direct: 3000001 bytes direct, 0 bounced\n");
	assert_int_equal(ret, 0);
	expect_loaded(FILE_BYTES);
	listen_to_it();
	ret = load(binding, file_fd, FILE_BYTES + 1);
	expect_heard("ESPIPE");
	assert_int_equal(ret, -1);
	dmabuf_rw_binding_destroy(binding);
}

static void of_two_blocks_the_one_that_failed_is_said(void **state)
{
	struct dmabuf_rw_binding *binding = bound();
	int ret;

	(void)state;
	listen_to_it();
	ret = load_blocks(binding);
	expect_heard(NULL);
	assert_int_equal(ret, 0);
	assert_memory_equal(buffer, content + 8192, 4096);
	assert_memory_equal(buffer + 4096, content + 65536, 4096);
	module.io_errno = ENODATA;
	module.io_errno_from = 65536;
	listen_to_it();
	ret = load_blocks(binding);
	expect_heard("block 1: the drive reports a medium error");
	assert_null(strstr(heard, "block 0"));
	assert_int_equal(ret, -1);
	dmabuf_rw_binding_destroy(binding);
}

static void the_route_of_a_pair_is_said(void **state)
{
	struct dmabuf_rw_binding *binding = bound();
	int ret;

	(void)state;
	module.info.mem_class = DMABUF_RW_CLASS_BAR;
	module.info.bar = 2;
	assert_int_equal(dmabuf_rw_read(binding, 0, 0, 4096, 0, NULL), 4096);
	listen_to_it();
	ret = say_how(binding, file_fd);
	expect_heard("reaches BAR 2");
	assert_non_null(strstr(heard, "so far 4096 bytes direct, 0 bounced\n"));
	assert_int_equal(ret, 0);
	dmabuf_rw_binding_destroy(binding);
}

static void what_cannot_go_direct_bounces_and_what_cannot_go_is_given_up(void **state)
{
	struct dmabuf_rw_binding *binding;

	(void)state;
	module.bind_errno = ENOTBLK;
	module.bind_reason = DMABUF_RW_REASON_STACKED;
	listen_to_it();
	binding = bind_or_bounce(device, dmabuf_fd, file_fd);
	expect_heard("not direct: ");
	assert_non_null(binding);
	assert_int_equal(dmabuf_rw_binding_path(binding), DMABUF_RW_PATH_BOUNCED);
	dmabuf_rw_binding_destroy(binding);
	module.bind_errno = 0;
	listen_to_it();
	binding = bind_or_bounce(device, file_fd, file_fd);
	expect_heard("not direct: ");
	assert_null(strstr(heard, "not at all"));
	assert_null(binding);
}

static void the_program_loads_a_file_or_says_why_not(void **state)
{
	char fd[16], path[128], *argv[] = { "load", path, fd, "3000001", NULL };
	int ret;

	(void)state;
	snprintf(path, sizeof(path), "%s", name_of("file"));
	snprintf(fd, sizeof(fd), "%d", dmabuf_fd);
	listen_to_it();
	ret = libdmabuf_rw_main(4, argv);
	expect_heard("3000001 bytes, all direct\n");
	assert_int_equal(ret, 0);
	expect_loaded(FILE_BYTES);
	argv[3] = "3000002";
	listen_to_it();
	ret = libdmabuf_rw_main(4, argv);
	expect_heard("ESPIPE");
	assert_int_equal(ret, 1);
}

/* ---- queues and rings ----------------------------------------------------------------------- */

int __wrap_io_uring_submit(struct io_uring *ring);
int __real_io_uring_submit(struct io_uring *ring);

/* As the module runs an entry: bytes or -errno. */
static int run_entry(const struct io_uring_sqe *sqe)
{
	struct dmabuf_rw_io io = {
		.size = sizeof(io),
		.op = DMABUF_RW_OP_READ,
		.file_off = sqe->addr,
		.buf_off = sqe->addr3,
		.len = sqe->len,
	};
	uint64_t flags;

	memcpy(&flags, (const char *)sqe + 56, sizeof(flags));
	assert_int_equal(sqe->opcode, IORING_OP_URING_CMD);
	assert_int_equal(sqe->cmd_op, DMABUF_RW_URING_READ);
	if (ioctl(sqe->fd, DMABUF_RW_IOC_IO, &io))
		return -errno;
	return flags & DMABUF_RW_IO_WHOLE && io.done < io.len ? -ESPIPE : (int)io.done;
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
	unsigned int i, nr = io_uring_sq_ready(ring), head = *ring->cq.khead;
	struct io_uring_sq *sq = &ring->sq;
	bool broken = false;
	int res[8], ret;

	assert_in_range(nr, 1, COUNT(res));
	for (i = 0; i < nr; i++) {
		struct io_uring_sqe *sqe = &sq->sqes[(sq->sqe_tail - nr + i) & sq->ring_mask];
		bool linked = sqe->flags & IOSQE_IO_LINK;

		res[i] = broken ? -ECANCELED : run_entry(sqe);
		broken = linked && res[i] < 0;
		io_uring_prep_nop(sqe);
	}
	ret = __real_io_uring_submit(ring);
	for (i = 0; i < nr; i++)
		ring->cq.cqes[(head + i) & ring->cq.ring_mask].res = res[i];
	return ret;
}

static struct dmabuf_rw_queue *queue(uint32_t depth)
{
	struct dmabuf_rw_queue_opts opts = { .size = sizeof(opts), .depth = depth };
	struct dmabuf_rw_queue *q;

	assert_int_equal(dmabuf_rw_queue_create(&opts, &q), 0);
	assert_int_equal(dmabuf_rw_queue_ring_error(q), EPERM);
	return q;
}

static void a_file_is_loaded_by_a_queue_of_any_depth(void **state)
{
	static const uint32_t depths[] = { 1, 2, 128 };
	struct dmabuf_rw_binding *binding = bound();
	struct dmabuf_rw_queue *q;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(depths); i++) {
		memset(buffer, 0, BUF_BYTES);
		q = queue(depths[i]);
		assert_int_equal(load_all(q, binding, FILE_BYTES), 0);
		expect_loaded(FILE_BYTES);
		assert_int_equal(load_all(q, binding, FILE_BYTES + 1), ESPIPE);
		assert_int_equal(dmabuf_rw_queue_pending(q), 0);
		dmabuf_rw_queue_destroy(q);
	}
	dmabuf_rw_binding_destroy(binding);
}

static void any_number_of_ranges_is_loaded(void **state)
{
	static struct dmabuf_rw_range range[700];
	struct dmabuf_rw_binding *binding = bound();
	struct dmabuf_rw_queue *q = queue(2);
	unsigned int i;

	(void)state;
	for (i = 0; i < COUNT(range); i++)
		range[i] = (struct dmabuf_rw_range){
			.file_off = i * 4096, .buf_off = i * 4096, .len = 4096,
		};
	assert_int_equal(load_ranges(q, binding, range, COUNT(range)), 0);
	expect_loaded(COUNT(range) * 4096);
	assert_int_equal(load_ranges(q, binding, range, 0), 0);
	range[699].file_off = FILE_BYTES - 1;
	assert_int_equal(load_ranges(q, binding, range, COUNT(range)), -ESPIPE);
	dmabuf_rw_queue_destroy(q);
	dmabuf_rw_binding_destroy(binding);
}

static void an_event_loop_waits_for_all(void **state)
{
	struct dmabuf_rw_binding *binding = bound();
	struct dmabuf_rw_queue *q = queue(4);
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(dmabuf_rw_queue_read(q, binding, i * 4096, i * 4096, 4096, 0, i),
				 0);
	wait_for_all(q);
	expect_loaded(4 * 4096);
	dmabuf_rw_queue_destroy(q);
	dmabuf_rw_binding_destroy(binding);
}

static void nothing_rings_unless_all_is_there(void **state)
{
	struct dmabuf_rw_binding *data, *doorbell;
	static const unsigned char silent[4];
	struct io_uring ring;
	int bell, ret;
	unsigned char *reg;

	(void)state;
	ret = io_uring_queue_init(4, &ring, 0);
	if (ret) {
		print_message("# there is no io_uring here: %s\n", strerror(-ret));
		skip();
	}
	bell = memfd_create("doorbell", MFD_CLOEXEC);
	assert_int_equal(ftruncate(bell, 4096), 0);
	reg = mmap(NULL, 4096, PROT_READ, MAP_SHARED, bell, 0);
	data = bound();
	assert_int_equal(dmabuf_rw_binding_create(device, bell, file_fd, NULL, &doorbell), 0);
	assert_int_equal(load_then_ring(&ring, data, doorbell, FILE_BYTES + 1, 12, 8), -ESPIPE);
	assert_memory_equal(reg + 8, silent, 4);
	assert_int_equal(load_then_ring(&ring, data, doorbell, FILE_BYTES, 12, 8), 0);
	expect_loaded(FILE_BYTES);
	assert_memory_equal(reg + 8, content + 12, 4);
	dmabuf_rw_binding_destroy(doorbell);
	dmabuf_rw_binding_destroy(data);
	io_uring_queue_exit(&ring);
	munmap(reg, 4096);
	close(bell);
}

/* ---- files, buffers, GPUs ------------------------------------------------------------------- */

static void expect_stored(const char *path, size_t bytes)
{
	unsigned char *got = malloc(bytes + 1);
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, bytes + 1), bytes);
	assert_memory_equal(got, buffer, bytes);
	close(fd);
	free(got);
}

static void a_file_is_replaced_by_a_buffer_direct_or_not(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s", name_of("stored"));
	memset(buffer, 'a', BUF_BYTES);
	assert_int_equal(store(device, dmabuf_fd, path, 100001), 0);
	assert_true(module.moved[DMABUF_RW_OP_WRITE] >= 100001);
	expect_stored(path, 100001);
	memset(buffer, 'b', BUF_BYTES);
	module.moved[DMABUF_RW_OP_WRITE] = 0;
	module.bind_errno = EADDRNOTAVAIL;
	module.bind_reason = DMABUF_RW_REASON_NOT_TRANSLATED;
	assert_int_equal(store(device, dmabuf_fd, path, 200001), 0);
	assert_int_equal(module.moved[DMABUF_RW_OP_WRITE], 0);
	expect_stored(path, 200001);
	/* The old one stays where the new one comes to nothing. */
	assert_int_equal(store(device, dmabuf_fd, path, BUF_BYTES + 1), -ERANGE);
	expect_stored(path, 200001);
}

static void buffers_are_made_of_memfds_and_heaps(void **state)
{
	void *mem;
	int fd;

	(void)state;
	assert_int_equal(buffer_of_memfd(MIB, &mem), -ENOENT);
	assert_int_equal(buffer_of_heap(MIB), -ENOENT);
	module.exporters = true;
	fd = buffer_of_memfd(MIB, &mem);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "seen", 5, 4096), 5);
	assert_string_equal((char *)mem + 4096, "seen");
	munmap(mem, MIB);
	close(fd);
	assert_int_equal(buffer_of_memfd(MIB + 1, &mem), -EINVAL);
	fd = buffer_of_heap(MIB);
	assert_true(fd >= 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), MIB);
	close(fd);
}

static void a_tensor_is_loaded_direct_or_not_at_all(void **state)
{
	CUdeviceptr tensor;

	(void)state;
	assert_int_equal(load_tensor(device, file_fd, 2 * MIB, &tensor), 0);
	assert_memory_equal(fake_cuda_at(tensor), content, 2 * MIB);
	assert_int_equal(fake_cuda.copies, 0);
	assert_int_equal(fake_cuda.flushes, 1);
	cuMemFree_v2(tensor);
	module.bind_errno = EADDRNOTAVAIL;
	assert_int_equal(load_tensor(device, file_fd, 2 * MIB, &tensor), -EADDRNOTAVAIL);
	fake_cuda.no_dma_buf = true;
	assert_int_equal(load_tensor(device, file_fd, 2 * MIB, &tensor), -EIO);
	assert_int_equal(fake_cuda.copies, 0);
}

static void cufile_reads_into_device_memory(void **state)
{
	CUdeviceptr memory;
	ssize_t n;

	(void)state;
	assert_int_equal(cuMemAlloc_v2(&memory, 2 * MIB), 0);
	assert_int_equal(read_to_device(file_fd, (void *)memory, 2 * MIB), 2 * MIB);
	assert_memory_equal(fake_cuda_at(memory), content, 2 * MIB);
	listen_to_it();
	n = read_to_device(-1, (void *)memory, 2 * MIB);
	expect_heard("invalid argument\n");
	assert_int_equal(n, -1);
	cuMemFree_v2(memory);
}

#define WITH_PAIR(name) cmocka_unit_test_setup_teardown(name, set_up_pair, tear_down_pair)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_PAIR(a_pair_is_bound_or_the_reason_is_said),
		WITH_PAIR(a_file_is_loaded_and_its_way_is_said),
		WITH_PAIR(of_two_blocks_the_one_that_failed_is_said),
		WITH_PAIR(the_route_of_a_pair_is_said),
		WITH_PAIR(what_cannot_go_direct_bounces_and_what_cannot_go_is_given_up),
		WITH_PAIR(the_program_loads_a_file_or_says_why_not),
		WITH_PAIR(a_file_is_loaded_by_a_queue_of_any_depth),
		WITH_PAIR(any_number_of_ranges_is_loaded),
		WITH_PAIR(an_event_loop_waits_for_all),
		WITH_PAIR(nothing_rings_unless_all_is_there),
		WITH_PAIR(a_file_is_replaced_by_a_buffer_direct_or_not),
		WITH_PAIR(buffers_are_made_of_memfds_and_heaps),
		WITH_PAIR(a_tensor_is_loaded_direct_or_not_at_all),
		WITH_PAIR(cufile_reads_into_device_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
