// SPDX-License-Identifier: MIT
/*
 * lib_sqe.c - the entries that the helpers make, byte for byte, against the table in
 * dmabuf_rw.h. Offsets are written out as numbers on purpose: they are the ABI, and a
 * struct that both sides share would hide a mistake.
 */
#include <stdio.h>
#include <string.h>

#include <liburing/io_uring.h>

#include "private.h"
#include "unit.h"

#define FD 0x11223344

static const struct dmabuf_rw_binding binding = { .fd = FD };

static void put(unsigned char *sqe, size_t offset, uint64_t value, size_t len)
{
	memcpy(sqe + offset, &value, len);	/* little endian, as the tests' hosts */
}

static void expect(unsigned char *sqe, uint32_t op, uint64_t file_off, uint32_t len,
		   uint64_t addr3, uint64_t flags, uint64_t user_data)
{
	memset(sqe, 0, 64);
	put(sqe, 0, 46, 1);		/* opcode: IORING_OP_URING_CMD */
	put(sqe, 4, FD, 4);		/* fd */
	put(sqe, 8, op, 4);		/* cmd_op; 12..15 are padding, zero */
	put(sqe, 16, file_off, 8);	/* addr */
	put(sqe, 24, len, 4);		/* len; 28..31 are uring_cmd_flags, zero */
	put(sqe, 32, user_data, 8);
	put(sqe, 48, addr3, 8);		/* addr3 */
	put(sqe, 56, flags, 8);		/* cmd[8..15] */
}

#define FILE_OFF	UINT64_C(0x0102030405060708)
#define BUF_OFF		UINT64_C(0x1112131415161718)
#define LEN		0x21222324u
#define FLAGS		UINT64_C(0x3132333435363738)

static void entries_match_the_headers_table_over_any_old_contents(void **state)
{
	static struct dmabuf_rw_piece pieces[3];
	_Alignas(64) unsigned char sqe[64], want[64];
	int fill;

	(void)state;
	for (fill = 0; fill < 256; fill += 51) {
		uint64_t old;

		memset(sqe, fill, sizeof(sqe));
		memcpy(&old, sqe + 32, 8);

		dmabuf_rw_prep_read((void *)sqe, &binding, FILE_OFF, BUF_OFF, LEN, FLAGS);
		expect(want, 1, FILE_OFF, LEN, BUF_OFF, FLAGS, old);
		assert_memory_equal(sqe, want, 64);

		memset(sqe, fill, sizeof(sqe));
		dmabuf_rw_prep_write((void *)sqe, &binding, FILE_OFF, BUF_OFF, LEN, FLAGS);
		expect(want, 2, FILE_OFF, LEN, BUF_OFF, FLAGS, old);
		assert_memory_equal(sqe, want, 64);

		memset(sqe, fill, sizeof(sqe));
		dmabuf_rw_prep_readv((void *)sqe, &binding, FILE_OFF, pieces, 3, FLAGS);
		expect(want, 3, FILE_OFF, 3, (uintptr_t)pieces, FLAGS, old);
		assert_memory_equal(sqe, want, 64);

		memset(sqe, fill, sizeof(sqe));
		dmabuf_rw_prep_writev((void *)sqe, &binding, FILE_OFF, pieces, 3, FLAGS);
		expect(want, 4, FILE_OFF, 3, (uintptr_t)pieces, FLAGS, old);
		assert_memory_equal(sqe, want, 64);
	}
}

static void user_data_may_be_set_before_or_after(void **state)
{
	struct io_uring_sqe sqe = { .user_data = 77 };

	(void)state;
	dmabuf_rw_prep_read(&sqe, &binding, 0, 0, 512, 0);
	assert_int_equal(sqe.user_data, 77);
}

static void the_second_half_of_a_long_entry_is_left_alone(void **state)
{
	_Alignas(64) unsigned char sqe[128];
	int i;

	(void)state;
	memset(sqe, 0xee, sizeof(sqe));
	dmabuf_rw_prep_write((void *)sqe, &binding, FILE_OFF, BUF_OFF, LEN, FLAGS);
	for (i = 64; i < 128; i++)
		assert_int_equal(sqe[i], 0xee);
}

static void a_registered_file_replaces_the_descriptor_only(void **state)
{
	_Alignas(64) unsigned char sqe[64], want[64];

	(void)state;
	memset(sqe, 0, sizeof(sqe));
	dmabuf_rw_prep_read((void *)sqe, &binding, FILE_OFF, BUF_OFF, LEN, FLAGS);
	dmabuf_rw_sqe_set_fixed_file((void *)sqe, 5);
	expect(want, 1, FILE_OFF, LEN, BUF_OFF, FLAGS, 0);
	put(want, 1, 1, 1);		/* flags: IOSQE_FIXED_FILE */
	put(want, 4, 5, 4);
	assert_memory_equal(sqe, want, 64);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_match_the_headers_table_over_any_old_contents),
		cmocka_unit_test(user_data_may_be_set_before_or_after),
		cmocka_unit_test(the_second_half_of_a_long_entry_is_left_alone),
		cmocka_unit_test(a_registered_file_replaces_the_descriptor_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
