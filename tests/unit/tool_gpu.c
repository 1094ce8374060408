// SPDX-License-Identifier: MIT
/*
 * tool_gpu.c - memory of GPUs as a buffer of the command, with drivers that are fakes and a module
 * that is one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "buffer_kind.h"
#include "canary.h"
#include "fake_dmabuf.h"
#include "fake_module.h"
#include "gpu_vendor.h"
#include "gpu/gpu_memory.h"
#include "tool.h"

#define MIB		(1UL << 20)
#define FILE_BYTES	(1 << 20)

static const struct vendor *v;
static struct buffer buffer;
static struct dmabuf_rw_device *device;
static int file_fd;
static char contents[FILE_BYTES];

int __wrap_fstatfs(int fd, struct statfs *fs);
int __real_fstatfs(int fd, struct statfs *fs);

/* What stands for a dma-buf is one to the command, too. */
int __wrap_fstatfs(int fd, struct statfs *fs)
{
	int ret = __real_fstatfs(fd, fs);

	if (fake_is_dmabuf(fd))
		fs->f_type = DMA_BUF_MAGIC;
	return ret;
}

static int setup(void **state)
{
	char path[] = "/tmp/tool_gpu-XXXXXX";
	size_t i;

	v = *state;
	*v->fake = (struct fake_gpu){ .memfd = true, .writes_ordering = 200 };
	module = (struct fake_module){ 0 };
	buffer = BUFFER_NONE;
	for (i = 0; i < FILE_BYTES; i++)
		contents[i] = i * 7 + i / 4096;
	file_fd = mkostemp(path, O_CLOEXEC);
	if (file_fd < 0 || unlink(path) ||
	    pwrite(file_fd, contents, FILE_BYTES, 0) != FILE_BYTES)
		return -1;
	return dmabuf_rw_device_open(NULL, &device);
}

static int teardown(void **state)
{
	(void)state;
	buffer_close(&buffer);
	dmabuf_rw_device_close(device);
	close(file_fd);
	return module.bindings || v->fake->blocks || v->fake->forbidden ? -1 : 0;
}

/* "0:2M" of the vendor's; 0 or -errno. */
static int open_buffer(const char *rest, char **why)
{
	struct buffer_spec spec;
	char name[64];

	snprintf(name, sizeof(name), "%s%s", v == &cuda ? "cuda:" : "hip:", rest);
	assert_int_equal(buffer_parse(name, &spec, why), 0);
	return buffer_open(&buffer, &spec, why);
}

static void must_open(const char *rest)
{
	char *why = NULL;

	if (open_buffer(rest, &why))
		fail_msg("%s: %s", rest, why);
}

static void refused(const char *rest, int err, const char *const *words)
{
	char *why = NULL;

	assert_int_equal(open_buffer(rest, &why), -err);
	for (; *words; words++)
		if (!strstr(why, *words))
			fail_msg("no '%s' in '%s'", *words, why);
	free(why);
	assert_int_equal(buffer.fd, -1);
	assert_int_equal(v->fake->blocks, 0);
}

#define REFUSED(rest, err, ...) \
	refused(rest, err, (const char *const []){ __VA_ARGS__, NULL })

static void memory_is_allocated_exported_and_given_back(void **state)
{
	(void)state;
	must_open("0:3M");
	assert_true(buffer.fd > 2);
	assert_int_equal(buffer.size, 3 * MIB);
	assert_int_equal(v->fake->blocks, 1);
	assert_int_equal(v->fake->exports, 1);
	assert_int_equal(buffer.may_move, v->may_move);
	buffer_close(&buffer);
	assert_int_equal(v->fake->blocks, 0);
	buffer_close(&buffer);
	/* A little of it, too, has a dma-buf that begins with it. */
	must_open("0:512");
	assert_int_equal(buffer.size, 512);
	assert_int_equal(v->fake->exports, 2);
}

static void its_bytes_are_copied_where_the_cpu_has_no_view(void **state)
{
	char out[100], in[100];
	char *why;

	(void)state;
	must_open("0:2M");
	assert_int_equal(buffer_map(&buffer, &why), 0);
	assert_null(buffer.map);
	assert_true(buffer_is_writable(&buffer));
	memset(out, 0x5a, sizeof(out));
	assert_int_equal(buffer_write(&buffer, 4097, out, sizeof(out)), 0);
	assert_memory_equal(v->at(buffer.address + 4097), out, sizeof(out));
	assert_int_equal(buffer_read(&buffer, 4097, in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(out));
	v->fake->copy_error = 1;
	assert_int_equal(buffer_read(&buffer, 0, in, sizeof(in)), -EIO);
}

static void what_is_missing_is_named_with_what_to_do(void **state)
{
	(void)state;
	REFUSED("1:2M", ENODEV, "there is no such GPU", "counts 1",
		v == &cuda ? "nvidia-smi" : "rocminfo");
	v->fake->no_dma_buf = true;
	REFUSED("0:2M", EOPNOTSUPP, "dma-buf", v == &cuda ? "open kernel modules" : "amdgpu");
	v->fake->no_dma_buf = false;
	v->fake->export_error = v->lack;
	REFUSED("0:2M", EOPNOTSUPP, "make it smaller");
	v->fake->export_error = v == &cuda ? 801 : 0x1003;
	REFUSED("0:2M", EOPNOTSUPP, v == &cuda ? "CUDA_ERROR_NOT_SUPPORTED" :
		"HSA_STATUS_ERROR_INVALID_ALLOCATION", "kernel log");
	v->fake->export_error = 0;
	REFUSED("0:1024G", ENOMEM, "does not give this much memory", "make it smaller");
}

static struct dmabuf_rw_binding *bind(bool allow_bounce, struct dmabuf_rw_error *error)
{
	struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts), .allow_bounce = allow_bounce, .error = error,
	};
	struct dmabuf_rw_binding *binding;

	*error = (struct dmabuf_rw_error){ 0 };
	if (bind_buffer(device, &buffer, file_fd, &opts, &binding))
		return NULL;
	return binding;
}

/* Reads all of the file into the buffer; which way it went. */
static uint32_t load(struct dmabuf_rw_binding *binding)
{
	struct dmabuf_rw_result result = { .size = sizeof(result) };

	memset(v->at(buffer.address), 0xee, FILE_BYTES);
	assert_int_equal(dmabuf_rw_read(binding, 0, 0, FILE_BYTES, 0, &result), FILE_BYTES);
	assert_memory_equal(v->at(buffer.address), contents, FILE_BYTES);
	return result.path;
}

static void a_file_goes_direct_into_it(void **state)
{
	struct dmabuf_rw_binding *binding;
	struct dmabuf_rw_error error;
	int bounce;

	(void)state;
	must_open("0:2M");
	for (bounce = 0; bounce < 2; bounce++) {
		binding = bind(bounce, &error);
		assert_non_null(binding);
		assert_int_equal(load(binding), DMABUF_RW_PATH_MODULE);
		dmabuf_rw_binding_destroy(binding);
	}
	assert_int_equal(v->fake->copies, 0);
}

static void a_pair_that_is_refused_bounces_if_it_may(void **state)
{
	struct dmabuf_rw_binding *binding;
	struct dmabuf_rw_error error;

	(void)state;
	must_open("0:2M");
	module.bind_errno = EOPNOTSUPP;
	module.bind_reason = DMABUF_RW_REASON_LAYOUT;
	assert_null(bind(false, &error));
	assert_int_equal(error.reason, DMABUF_RW_REASON_LAYOUT);
	binding = bind(true, &error);
	assert_non_null(binding);
	if (!error.err)
		dmabuf_rw_binding_refusal(binding, &error);
	assert_int_equal(error.reason, DMABUF_RW_REASON_LAYOUT);
	assert_int_equal(load(binding), DMABUF_RW_PATH_BOUNCED);
	assert_true(v->fake->copies > 0);
	dmabuf_rw_binding_destroy(binding);
}

static void what_was_moved_out_of_the_device_is_not_told_as_direct(void **state)
{
	struct dmabuf_rw_binding *binding;
	struct dmabuf_rw_error error;

	(void)state;
	must_open("0:2M");
	module.in_ram = true;
	assert_null(bind(false, &error));
	assert_int_equal(error.reason, DMABUF_RW_REASON_NOT_DEVICE_MEMORY);
	binding = bind(true, &error);
	assert_non_null(binding);
	assert_int_equal(error.reason, DMABUF_RW_REASON_NOT_DEVICE_MEMORY);
	assert_int_equal(load(binding), DMABUF_RW_PATH_BOUNCED);
	dmabuf_rw_binding_destroy(binding);
}

static void a_canary_is_seen_in_it(void **state)
{
	volatile sig_atomic_t stop = 0;
	struct dmabuf_rw_error error;
	struct canary c;

	(void)state;
	must_open("0:2M");
	c = (struct canary){
		.binding = bind(false, &error), .buffer = &buffer, .fd = file_fd, .stop = &stop,
		.file = { 0, 64 * 1024 }, .memory = { 4096, 64 * 1024 },
	};
	assert_non_null(c.binding);
	assert_int_equal(canary_run(&c), CANARY_PROVEN);
	assert_true(c.seen);
	assert_true(v->fake->copies > 0);
	canary_free(&c);
	dmabuf_rw_binding_destroy(c.binding);
}

static void its_device_is_named(void **state)
{
	char pci[BUFFER_PCI];

	(void)state;
	must_open("0:2M");
	assert_true(buffer_pci_name(&buffer, pci));
	assert_string_equal(pci, v == &cuda ? "0000:ff:1f.0" : "0000:fe:1f.0");
}

int main(void)
{
	static const struct vendor_test tests[] = {
		BOTH_TEST(memory_is_allocated_exported_and_given_back),
		BOTH_TEST(its_bytes_are_copied_where_the_cpu_has_no_view),
		BOTH_TEST(what_is_missing_is_named_with_what_to_do),
		BOTH_TEST(a_file_goes_direct_into_it),
		BOTH_TEST(a_pair_that_is_refused_bounces_if_it_may),
		ROCM_TEST(what_was_moved_out_of_the_device_is_not_told_as_direct),
		BOTH_TEST(a_canary_is_seen_in_it),
		BOTH_TEST(its_device_is_named),
	};

	return run_vendor_tests("tool_gpu", tests, COUNT(tests), setup, teardown);
}
