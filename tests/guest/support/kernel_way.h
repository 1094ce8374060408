/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kernel_way.h - the same tests by the kernel's own interface, through the library.
 *
 * A program that says which of its tests are about both ways has them twice: by the module, and
 * as NAME+kernel. In the latter drw_bind() and what takes a binding go by libdmabuf_rw, which is
 * told to use that way only. Where the kernel has no such interface they are skipped, with the
 * reason, and so are pairs of which it is known that no kernel takes them. Any other refusal is a
 * failure.
 *
 * Of drw.h that is drw_bind(), drw_unbind(), drw_info(), drw_io(), drw_iov(), drw_ring() and
 * drw_ring_io().
 */
#ifndef KERNEL_WAY_H
#define KERNEL_WAY_H

#include "harness.h"

/* From here on tests are added for both ways, or only for the module's again. */
void both_ways_from_here(bool both);

/* mock_check_clean(); of a ring of the kernel's way some things end later. */
#define drw_check_clean(buf) (drw_way ? mock_wait_clean : mock_check_clean)(buf)

#endif
