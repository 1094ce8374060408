// SPDX-License-Identifier: MIT
/*
 * lib_error.c - the library has a sentence for everything that the interface's header
 * names. The header is read as text here, so that a new errno or reason without a
 * sentence fails.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libdmabuf_rw.h>

#include "uapi_text.h"
#include "unit.h"

static const char *cause_of(enum dmabuf_rw_call call, int err, unsigned int reason)
{
	struct dmabuf_rw_error error = { .call = call, .err = err, .reason = reason };

	return dmabuf_rw_error_cause(&error);
}

static const char *remedy_of(enum dmabuf_rw_call call, int err, unsigned int reason)
{
	struct dmabuf_rw_error error = { .call = call, .err = err, .reason = reason };

	return dmabuf_rw_error_remedy(&error);
}

static void check_sentence(const char *what, const char *s)
{
	size_t len;

	if (!s)
		fail_msg("%s: no sentence", what);
	len = strlen(s);
	if (len < 6)
		fail_msg("%s: '%s' is no sentence", what, s);
	if (s[len - 1] == '.' || s[len - 1] == ' ' || isspace((unsigned char)s[0]))
		fail_msg("%s: '%s' cannot be joined to another", what, s);
	if (strstr(s, "  ") || strchr(s, '\n') || strchr(s, '%'))
		fail_msg("%s: '%s' has a stray character", what, s);
}

static void every_errno_of_the_table_has_its_own_sentences(void **state)
{
	static char calls[MAX_NAMES][32];
	int errnos[MAX_NAMES], n = table_errnos(errnos, calls), i;

	(void)state;
	assert_in_range(n, 35, MAX_NAMES);
	for (i = 0; i < n; i++) {
		const char *name = strerrorname_np(errnos[i]);
		int bind = strstr(calls[i], "BIND") || strstr(calls[i], "all");
		enum dmabuf_rw_call call = bind ? DMABUF_RW_CALL_BIND : DMABUF_RW_CALL_IO;
		const char *cause = cause_of(call, errnos[i], 0);

		check_sentence(name, cause);
		check_sentence(name, remedy_of(call, errnos[i], 0));
		if (!strcmp(cause, strerrordesc_np(errnos[i])))
			fail_msg("%s has only libc's text", name);
		if (!strcmp(remedy_of(call, errnos[i], 0),
			    remedy_of(call, 4095, 0)))
			fail_msg("%s has only the general remedy", name);
	}
}

static void no_two_errnos_of_a_call_share_a_cause(void **state)
{
	static const enum dmabuf_rw_call kinds[] = { DMABUF_RW_CALL_BIND,
						     DMABUF_RW_CALL_IO };
	static char calls[MAX_NAMES][32];
	int errnos[MAX_NAMES], n = table_errnos(errnos, calls), i, j;
	size_t k;

	(void)state;
	for (k = 0; k < COUNT(kinds); k++)
		for (i = 0; i < n; i++)
			for (j = 0; j < i; j++)
				if (errnos[i] != errnos[j] &&
				    !strcmp(cause_of(kinds[k], errnos[i], 0),
					    cause_of(kinds[k], errnos[j], 0)))
					fail_msg("%s and %s have one cause",
						 strerrorname_np(errnos[i]),
						 strerrorname_np(errnos[j]));
}

static void every_reason_of_the_header_has_its_own_sentences(void **state)
{
	static char names[MAX_NAMES][48];
	unsigned int values[MAX_NAMES];
	int n = enum_reasons(names, values), i;

	(void)state;
	assert_in_range(n, 21, MAX_NAMES);
	for (i = 0; i < n; i++) {
		const char *name = dmabuf_rw_reason_name(values[i]);

		assert_non_null(name);
		assert_string_equal(name, names[i]);
		if (values[i] == DMABUF_RW_REASON_NONE)
			continue;
		check_sentence(name, cause_of(DMABUF_RW_CALL_BIND, EIO,
							   values[i]));
		check_sentence(name, remedy_of(DMABUF_RW_CALL_BIND, EIO,
							    values[i]));
		if (!strcmp(cause_of(DMABUF_RW_CALL_BIND, EIO, values[i]),
			    cause_of(DMABUF_RW_CALL_BIND, EIO, 0)))
			fail_msg("%s has only the errno's cause", name);
	}
}

static void every_reason_of_the_library_has_its_own_sentences(void **state)
{
	static const struct {
		unsigned int reason;
		const char *name;
	} all[] = {
		{ DMABUF_RW_REASON_NO_DEVICE, "NO_DEVICE" },
		{ DMABUF_RW_REASON_NO_CPU_ACCESS, "NO_CPU_ACCESS" },
		{ DMABUF_RW_REASON_NOT_SEEKABLE, "NOT_SEEKABLE" },
		{ DMABUF_RW_REASON_CONTRADICTION, "CONTRADICTION" },
		{ DMABUF_RW_REASON_DANGLING_LINK, "DANGLING_LINK" },
		{ DMABUF_RW_REASON_DESCRIPTOR, "DESCRIPTOR" },
		{ DMABUF_RW_REASON_UNTRUSTED_LINK, "UNTRUSTED_LINK" },
		{ DMABUF_RW_REASON_FILE_ATTRIBUTE, "FILE_ATTRIBUTE" },
		{ DMABUF_RW_REASON_DIRECTORY_ATTRIBUTE, "DIRECTORY_ATTRIBUTE" },
		{ DMABUF_RW_REASON_STICKY, "STICKY" },
		{ DMABUF_RW_REASON_MOUNT_POINT, "MOUNT_POINT" },
		{ DMABUF_RW_REASON_LABEL, "LABEL" },
		{ DMABUF_RW_REASON_NEVER_WRITTEN, "NEVER_WRITTEN" },
		{ DMABUF_RW_REASON_CLONE, "CLONE" },
		{ DMABUF_RW_REASON_NOT_CHOSEN, "NOT_CHOSEN" },
		{ DMABUF_RW_REASON_NO_KERNEL_WAY, "NO_KERNEL_WAY" },
		{ DMABUF_RW_REASON_KERNEL_REFUSED, "KERNEL_REFUSED" },
		{ DMABUF_RW_REASON_KERNEL_SIZE, "KERNEL_SIZE" },
		{ DMABUF_RW_REASON_KERNEL_BLIND, "KERNEL_BLIND" },
		{ DMABUF_RW_REASON_MODULE_OLDER, "MODULE_OLDER" },
		{ DMABUF_RW_REASON_MODULE_NEWER, "MODULE_NEWER" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(all); i++) {
		assert_string_equal(dmabuf_rw_reason_name(all[i].reason), all[i].name);
		check_sentence(all[i].name, cause_of(DMABUF_RW_CALL_BIND, EIO,
						     all[i].reason));
		check_sentence(all[i].name, remedy_of(DMABUF_RW_CALL_BIND, EIO,
						      all[i].reason));
		assert_string_not_equal(cause_of(DMABUF_RW_CALL_BIND, EIO, all[i].reason),
					cause_of(DMABUF_RW_CALL_BIND, EIO, 0));
	}
	/* One behind the last, and the gap in front of the first. */
	assert_null(dmabuf_rw_reason_name(DMABUF_RW_REASON_MODULE_NEWER + 1));
	assert_null(dmabuf_rw_reason_name(DMABUF_RW_REASON_NO_DEVICE - 1));
}

static void a_reason_from_a_newer_kernel_falls_back_to_the_errno(void **state)
{
	(void)state;
	assert_null(dmabuf_rw_reason_name(100000));
	assert_string_equal(cause_of(DMABUF_RW_CALL_BIND, EXDEV, 100000),
			    cause_of(DMABUF_RW_CALL_BIND, EXDEV, 0));
}

static void an_unknown_errno_still_gives_sentences(void **state)
{
	(void)state;
	check_sentence("4095", cause_of(DMABUF_RW_CALL_IO, 4095, 0));
	check_sentence("4095", remedy_of(DMABUF_RW_CALL_IO, 4095, 0));
	check_sentence("EDQUOT", cause_of(DMABUF_RW_CALL_IO, EDQUOT, 0));
	assert_string_equal(cause_of(DMABUF_RW_CALL_IO, 0, 0), "no error");
}

static void the_exporters_errno_can_change_the_remedy(void **state)
{
	static const int details[] = { EINVAL, EREMOTEIO, ENODEV, ENOMEM, EIO };
	struct dmabuf_rw_error error = {
		.call = DMABUF_RW_CALL_BIND,
		.err = EREMOTEIO,
		.reason = DMABUF_RW_REASON_MAP,
	};
	const char *general = dmabuf_rw_error_remedy(&error);
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(details); i++) {
		error.detail = details[i];
		check_sentence("MAP", dmabuf_rw_error_remedy(&error));
		if (!strcmp(dmabuf_rw_error_remedy(&error), general))
			fail_msg("no remedy of its own for %s", strerrorname_np(details[i]));
	}
	error.detail = EINVAL;
	assert_non_null(strstr(dmabuf_rw_error_remedy(&error), "switch"));
	error.detail = ENXIO;
	assert_string_equal(dmabuf_rw_error_remedy(&error), general);
}

static void a_missing_module_is_told_from_missing_rights(void **state)
{
	(void)state;
	assert_non_null(strstr(remedy_of(DMABUF_RW_CALL_OPEN, ENOENT, 0),
			       "modprobe dmabuf_rw"));
	assert_non_null(strstr(cause_of(DMABUF_RW_CALL_OPEN, EACCES, 0),
			       "node"));
	assert_null(strstr(cause_of(DMABUF_RW_CALL_IO, EACCES, 0), "node"));
}

static void an_untranslated_buffer_gets_the_remedies_that_help(void **state)
{
	const char *remedy = remedy_of(DMABUF_RW_CALL_BIND, EADDRNOTAVAIL,
					DMABUF_RW_REASON_NOT_TRANSLATED);

	(void)state;
	assert_non_null(strstr(remedy, "iommu=pt"));
	assert_non_null(strstr(remedy, "switch"));
}

static void the_exporters_errno_is_in_the_sentence(void **state)
{
	struct dmabuf_rw_error error = {
		.call = DMABUF_RW_CALL_BIND,
		.err = EREMOTEIO,
		.reason = DMABUF_RW_REASON_ATTACH,
		.detail = EOPNOTSUPP,
	};
	char text[1024];

	(void)state;
	dmabuf_rw_error_format(&error, text, sizeof(text));
	assert_non_null(strstr(text, "EREMOTEIO"));
	assert_non_null(strstr(text, strerrorname_np(EOPNOTSUPP)));
	assert_non_null(strstr(text, "exporter"));
	error.detail = 524;
	dmabuf_rw_error_format(&error, text, sizeof(text));
	assert_non_null(strstr(text, "exporter said ENOTSUPP, not supported"));
	error.detail = 4000;
	dmabuf_rw_error_format(&error, text, sizeof(text));
	assert_non_null(strstr(text, "exporter said errno 4000)"));
}

static void formatting_truncates_and_tells_the_length(void **state)
{
	struct dmabuf_rw_error error = { .call = DMABUF_RW_CALL_IO, .err = EDOM };
	char full[1024], small[16];
	size_t len;

	(void)state;
	len = dmabuf_rw_error_format(&error, full, sizeof(full));
	assert_int_equal(len, strlen(full));
	assert_int_equal(dmabuf_rw_error_format(&error, small, sizeof(small)), len);
	assert_int_equal(strlen(small), sizeof(small) - 1);
	assert_memory_equal(small, full, sizeof(small) - 1);
	assert_int_equal(dmabuf_rw_error_format(&error, NULL, 0), len);
}

static void a_description_says_whether_it_is_peer_to_peer(void **state)
{
	struct dmabuf_rw_info info = {
		.size = sizeof(info),
		.mem_class = DMABUF_RW_CLASS_BAR,
		.bar = 2,
		.bar_pci = 0x0001 << 16 | 0x42 << 8 | 0x1f << 3 | 7,
		.nvme_pci = 3 << 3,
		.iommu = DMABUF_RW_IOMMU_TRANSLATED,
	};
	unsigned int mem_class, iommu;
	char text[512];
	size_t len;

	(void)state;
	dmabuf_rw_info_describe(&info, text, sizeof(text));
	assert_string_equal(text, "peer to peer: the drive 0000:00:03.0 reaches BAR 2 of "
			    "0001:42:1f.7 through the IOMMU's translation");
	/* Behind a VMD domains have more than 16 bits. */
	info.bar_domain = 0x10001;
	dmabuf_rw_info_describe(&info, text, sizeof(text));
	assert_non_null(strstr(text, "BAR 2 of 10001:42:1f.7 "));
	info.mem_class = DMABUF_RW_CLASS_RAM;
	dmabuf_rw_info_describe(&info, text, sizeof(text));
	assert_non_null(strstr(text, "not peer to peer: the buffer is in system RAM"));
	info.flags = DMABUF_RW_INFO_REVOKED;
	dmabuf_rw_info_describe(&info, text, sizeof(text));
	assert_non_null(strstr(text, "revoked"));

	info.flags = 0;
	for (mem_class = 0; mem_class < 6; mem_class++)
		for (iommu = 0; iommu < 6; iommu++) {
			info.mem_class = mem_class;
			info.iommu = iommu;
			len = dmabuf_rw_info_describe(&info, text, sizeof(text));
			assert_int_equal(len, strlen(text));
			check_sentence("description", text);
			assert_non_null(strstr(text, "0000:00:03.0"));
		}
}

static void values_from_a_newer_kernel_are_named_unknown(void **state)
{
	(void)state;
	assert_string_equal(dmabuf_rw_class_name(DMABUF_RW_CLASS_BAR), "BAR");
	assert_string_equal(dmabuf_rw_class_name(99), "unknown");
	assert_string_equal(dmabuf_rw_iommu_name(99), "unknown");
	assert_string_equal(dmabuf_rw_path_name(DMABUF_RW_PATH_MODULE), "direct");
	assert_string_equal(dmabuf_rw_path_name(DMABUF_RW_PATH_KERNEL), "direct");
	assert_string_equal(dmabuf_rw_path_name(DMABUF_RW_PATH_MODULE | DMABUF_RW_PATH_BOUNCED),
			    "mixed");
	assert_string_equal(dmabuf_rw_path_name(99), "unknown");
}

static void the_version_is_the_headers(void **state)
{
	char text[32];

	(void)state;
	snprintf(text, sizeof(text), "%d.%d.%d", DMABUF_RW_VERSION_MAJOR,
		 DMABUF_RW_VERSION_MINOR, DMABUF_RW_VERSION_PATCH);
	assert_string_equal(dmabuf_rw_version(), text);
}

static void the_detail_is_said_to_be_the_kernels_or_the_exporters(void **state)
{
	struct dmabuf_rw_error error = {
		.err = EOPNOTSUPP, .reason = DMABUF_RW_REASON_KERNEL_REFUSED, .detail = EINVAL,
	};

	(void)state;
	assert_string_equal(dmabuf_rw_error_speaker(&error), "kernel");
	error.reason = DMABUF_RW_REASON_KERNEL_BLIND;
	assert_string_equal(dmabuf_rw_error_speaker(&error), "exporter");
	error.reason = DMABUF_RW_REASON_ATTACH;
	assert_string_equal(dmabuf_rw_error_speaker(&error), "exporter");
	error.detail = 0;
	assert_null(dmabuf_rw_error_speaker(&error));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_detail_is_said_to_be_the_kernels_or_the_exporters),
		cmocka_unit_test(every_errno_of_the_table_has_its_own_sentences),
		cmocka_unit_test(no_two_errnos_of_a_call_share_a_cause),
		cmocka_unit_test(every_reason_of_the_header_has_its_own_sentences),
		cmocka_unit_test(every_reason_of_the_library_has_its_own_sentences),
		cmocka_unit_test(a_reason_from_a_newer_kernel_falls_back_to_the_errno),
		cmocka_unit_test(an_unknown_errno_still_gives_sentences),
		cmocka_unit_test(the_exporters_errno_can_change_the_remedy),
		cmocka_unit_test(a_missing_module_is_told_from_missing_rights),
		cmocka_unit_test(an_untranslated_buffer_gets_the_remedies_that_help),
		cmocka_unit_test(the_exporters_errno_is_in_the_sentence),
		cmocka_unit_test(formatting_truncates_and_tells_the_length),
		cmocka_unit_test(a_description_says_whether_it_is_peer_to_peer),
		cmocka_unit_test(values_from_a_newer_kernel_are_named_unknown),
		cmocka_unit_test(the_version_is_the_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
