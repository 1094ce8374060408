// SPDX-License-Identifier: MIT
/*
 * examples_test.c - the examples do what they say, on a CUDA driver that is a fake; those that
 * need the module, on one that is a fake, too.
 */
#include <cuda.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_module.h"
#include "shell.h"
#include "unit.h"

#define FILE_BYTES	3000001

static unsigned char *content;
static bool was_right;

/* What the example has in its memory when it is over. */
static int look_and_free(CUdeviceptr p)
{
	was_right = !memcmp(fake_cuda_at(p), content, FILE_BYTES);
	return cuMemFree_v2(p);
}

#undef cuMemFree
#define cuMemFree look_and_free
#define main file_to_gpu
#include "../../examples/file_to_gpu.c"
#undef main

/* ---- C ------------------------------------------------------------------------------------ */

#define COMPILE CC " -std=gnu11 -O2 -Wall -Wextra -Werror -fsyntax-only -I" TOP "/lib " \
		"-I" TOP "/include/uapi "

static void examples_compile_as_their_first_lines_say(void **state)
{
	(void)state;
	assert_int_equal(run(COMPILE "-I" TOP "/tests/examples "
			     TOP "/examples/file_to_gpu.c 2>&1"), 0);
}

static void the_example_of_level_zero_compiles_with_its_header(void **state)
{
	(void)state;
	if (run("echo '#include <level_zero/ze_api.h>' | " CC " -fsyntax-only -x c - 2>&1")) {
		print_message("# there is no level_zero/ze_api.h (Debian: libze-dev)\n");
		skip();
	}
	assert_int_equal(run(COMPILE TOP "/examples/level_zero.c 2>&1"), 0);
}

static void make_file(char *path)
{
	int fd = mkstemp(path), i;

	content = malloc(FILE_BYTES);
	assert_true(fd >= 0 && content);
	for (i = 0; i < FILE_BYTES; i++)
		content[i] = i * 7 + i / 4096;
	assert_int_equal(write(fd, content, FILE_BYTES), FILE_BYTES);
	close(fd);
}

/* The example, with its standard output in "output". */
static int run_example(char *path)
{
	char *argv[] = { "file_to_gpu", path, NULL }, to[] = "/tmp/example-XXXXXX";
	int fd = mkstemp(to), old = dup(STDOUT_FILENO), status;
	ssize_t n;

	assert_true(fd >= 0 && old >= 0);
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	status = file_to_gpu(2, argv);
	fflush(stdout);
	dup2(old, STDOUT_FILENO);
	n = pread(fd, output, sizeof(output) - 1, 0);
	output[n > 0 ? n : 0] = 0;
	close(fd);
	close(old);
	unlink(to);
	return status;
}

static void a_file_goes_to_the_device_direct(void **state)
{
	char path[] = "/tmp/example-file-XXXXXX";

	(void)state;
	make_file(path);
	fake_cuda.memfd = true;
	assert_int_equal(run_example(path), 0);
	expect("3000001 bytes direct, 0 bounced\n");
	assert_true(was_right);
	assert_int_equal(module.moved[0], FILE_BYTES);
	assert_int_equal(fake_cuda.copies, 0);
	assert_int_equal(fake_cuda.flushes, 1);
	/* And not at all where it cannot. */
	fake_cuda.no_dma_buf = true;
	assert_int_equal(run_example(path), 1);
	assert_int_equal(module.moved[0], FILE_BYTES);
	unlink(path);
	free(content);
}

/* ---- Python, on the library as it is shipped ------------------------------------------------ */

#define SHIPPED "LD_LIBRARY_PATH=" OUT "/plain "
#define LIBRARY OUT "/shared/libcufile.so.0"
/* In a directory of its own, in which nothing may be left. */
#define PROOF(env) "d=$(mktemp -d); " env SHIPPED "python3 -B " TOP "/examples/gpu-proof.py $d " \
	LIBRARY " 2>&1; s=$?; rmdir $d || exit 9; exit $s"

static void the_proof_compares_both_ways_and_says_which_way(void **state)
{
	(void)state;
	assert_int_equal(run(PROOF("")), 0);
	expect("memory has the file's bytes: ok\n");
	expect("file has the memory's bytes: ok\n");
	expect("drive: ");
	expect("kernel: ");
	expect("read: 0 bytes direct, 16777216 bounced, 0 to host memory\n");
	expect("written: 0 bytes direct, 16777216 bounced, 0 from host memory\n");
}

static void the_proof_fails_where_bytes_would_bounce_and_may_not(void **state)
{
	(void)state;
	assert_int_equal(run(PROOF("DMABUF_RW_CUFILE_DIRECT_ONLY=1 ")), 1);
	expect("file read: FAILED, -1, Operation not supported\n");
	expect("cannot go direct: ");
}

/* The one of the README, with a torch that is a fake, under dmabuf-rw run. */
static void python_of_the_readme_reads_a_file_into_a_tensor(void **state)
{
	(void)state;
	assert_int_equal(run("d=$(mktemp -d) && cd $d && "
			     "sed -n '/^```python$/,/^```$/{/^```/d;p}' "
			     TOP "/README.md >load.py && "
			     "head -c 1000001 /dev/urandom >model.safetensors && "
			     "echo 'assert tensor.tobytes() == "
			     "open(\"model.safetensors\", \"rb\").read()' >>load.py && "
			     SHIPPED "PYTHONPATH=" TOP "/tests/examples "
			     OUT "/dmabuf-rw run --library " LIBRARY " -- python3 -B load.py 2>&1; "
			     "s=$?; rm -r $d; exit $s"), 0);
	expect("read: 0 bytes direct, 1000001 bounced, 0 to host memory\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_compile_as_their_first_lines_say),
		cmocka_unit_test(the_example_of_level_zero_compiles_with_its_header),
		cmocka_unit_test(a_file_goes_to_the_device_direct),
		cmocka_unit_test(the_proof_compares_both_ways_and_says_which_way),
		cmocka_unit_test(the_proof_fails_where_bytes_would_bounce_and_may_not),
		cmocka_unit_test(python_of_the_readme_reads_a_file_into_a_tensor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
