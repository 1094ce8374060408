/* SPDX-License-Identifier: MIT */
/* real_ring.h - for tests that use the kernel's own io_uring. */
#ifndef REAL_RING_H
#define REAL_RING_H

#include <liburing.h>
#include <stdio.h>

#include "unit.h"

/* Runs the group, or says that it is skipped where io_uring is not allowed. */
#define RUN_WITH_RING(tests)							\
	({									\
		struct io_uring ring_;						\
		int failed_ = 0;						\
										\
		if (io_uring_queue_init(4, &ring_, 0)) {			\
			puts("1..1\nok 1 # SKIP io_uring is not allowed here");	\
		} else {							\
			io_uring_queue_exit(&ring_);				\
			failed_ = cmocka_run_group_tests(tests, NULL, NULL);	\
		}								\
		failed_;							\
	})

#endif
