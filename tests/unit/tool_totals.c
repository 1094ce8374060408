// SPDX-License-Identifier: MIT
/* tool_totals.c - totals of drives are read as the module writes them, and tell who has gone. */
#include <stdio.h>
#include <string.h>

#include "fake_sysfs.h"
#include "totals.h"
#include "unit.h"

#define DRIVES	"/sys/class/misc/dmabuf_rw/drives"

static struct totals found;

static int make(void **state)
{
	(void)state;
	fake_sysfs_make();
	found = (struct totals){ 0 };
	return 0;
}

static int end(void **state)
{
	(void)state;
	totals_free(&found);
	fake_sysfs_remove();
	return 0;
}

static void every_number_is_taken(void **state)
{
	const struct total *t;

	(void)state;
	fake_attribute("9 2 5 20480 3 8192 1", DRIVES "/nvme0n1");
	fake_attribute("9", "/sys/block/nvme0n1/diskseq");
	assert_int_equal(totals_find(fake_root, &found), 0);
	assert_true(found.known);
	assert_int_equal(found.nr, 1);
	t = &found.drives[0];
	assert_string_equal(t->name, "nvme0n1");
	assert_false(t->gone);
	assert_int_equal(t->diskseq, 9);
	assert_int_equal(t->bindings, 2);
	assert_int_equal(t->reads, 5);
	assert_int_equal(t->read_bytes, 20480);
	assert_int_equal(t->writes, 3);
	assert_int_equal(t->write_bytes, 8192);
	assert_int_equal(t->errors, 1);
	assert_ptr_equal(totals_of(&found, t), t);
	assert_null(totals_of(&found, &(struct total){ .diskseq = 8 }));
}

static void drives_that_have_gone_are_told(void **state)
{
	(void)state;
	/* The name is another disk's; nobody has it. */
	fake_attribute("9 0 1 512 0 0 0", DRIVES "/nvme0n1");
	fake_attribute("12", "/sys/block/nvme0n1/diskseq");
	fake_attribute("4 0 1 512 0 0 0", DRIVES "/nvme1n1");
	assert_int_equal(totals_find(fake_root, &found), 0);
	assert_int_equal(found.nr, 2);
	assert_true(found.drives[0].gone);
	assert_true(found.drives[1].gone);
}

static void a_later_module_may_say_more(void **state)
{
	(void)state;
	fake_attribute("9 2 5 20480 3 8192 1 77 78", DRIVES "/nvme0n1");
	assert_int_equal(totals_find(fake_root, &found), 0);
	assert_int_equal(found.nr, 1);
	assert_int_equal(found.drives[0].errors, 1);
}

static void what_is_no_total_is_left_out(void **state)
{
	(void)state;
	fake_attribute("9 2 5 20480", DRIVES "/nvme0n1");
	fake_attribute("4 0 1 512 0 0 0", DRIVES "/nvme1n1");
	assert_int_equal(totals_find(fake_root, &found), 0);
	assert_int_equal(found.nr, 1);
	assert_string_equal(found.drives[0].name, "nvme1n1");
}

static void a_module_without_totals_is_no_error(void **state)
{
	(void)state;
	assert_int_equal(totals_find(fake_root, &found), 0);
	assert_false(found.known);
	assert_int_equal(found.nr, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_number_is_taken, make, end),
		cmocka_unit_test_setup_teardown(drives_that_have_gone_are_told, make, end),
		cmocka_unit_test_setup_teardown(a_later_module_may_say_more, make, end),
		cmocka_unit_test_setup_teardown(what_is_no_total_is_left_out, make, end),
		cmocka_unit_test_setup_teardown(a_module_without_totals_is_no_error, make, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
