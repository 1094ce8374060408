// SPDX-License-Identifier: MIT
/*
 * binding.c - joining a buffer to a file, and what is known about the two.
 *
 * Vocabulary
 *   direct binding	the module has bound the pair; has a descriptor. If bouncing is
 *			allowed and the buffer has a view, it also has a struct
 *			dmabuf_rw_bounce, for the ranges that the drive cannot move
 *   bounce-only	the module refused or is not there; has no descriptor, but a
 *			struct dmabuf_rw_bounce and the refusal
 *
 * Invariants: a binding that a caller holds has one of the two, and never changes, but
 * for its totals; so every function here but the destroying one may run in any number of
 * threads at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "private.h"

/*
 * Measured in the test machine (7.3, emulated NVMe, translating IOMMU) with 48 MiB of an
 * ext4 file and a udmabuf, three rounds, medians in MiB/s, reading / writing; single
 * runs are up to a third off:
 *
 *   chunk     1 in flight   2           4           8           16
 *   128 KiB   255 / 211     405 / 130   540 / 365   637 / 435   664 / 422
 *   512 KiB   433 / 274     393 / 460   570 / 638   840 / 605   537 / 751
 *     1 MiB   590 / 383     841 / 617   736 / 723   565 / 817   576 / 833
 *     2 MiB   501 / 489     353 / 741   796 / 811   452 / 933
 *
 * Beyond 4 MiB altogether nothing is gained in both directions; and that much, twice,
 * is the usual limit of locked memory.
 */
#define DEFAULT_CHUNK	(512U << 10)
#define DEFAULT_DEPTH	8

/* With a number of its own. */
static struct dmabuf_rw_binding *binding_new(void)
{
	static _Atomic uint64_t last;
	struct dmabuf_rw_binding *b = calloc(1, sizeof(*b));

	if (b)
		b->id = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
	return b;
}

/* Takes over @fd on success only. */
static int binding_of_fd(int fd, struct dmabuf_rw_info *info,
			 struct dmabuf_rw_binding **binding)
{
	struct dmabuf_rw_binding *b;
	int ret;

	b = binding_new();
	if (!b)
		return -ENOMEM;
	*info = (struct dmabuf_rw_info){ .size = sizeof(*info) };
	ret = dmabuf_rw_ioctl(fd, DMABUF_RW_IOC_INFO, info);
	if (ret < 0) {
		free(b);
		return ret;
	}
	b->fd = fd;
	b->buf_bytes = info->buf_bytes;
	b->file_align[DMABUF_RW_OP_READ] = MAX(info->read_align, 1);
	b->file_align[DMABUF_RW_OP_WRITE] = MAX(info->write_align, 1);
	b->buf_align = MAX(info->buf_align, 1);
	*binding = b;
	return 0;
}

/* Null options are none; else 0, or -errno with @error filled. */
static int check_bounce_opts(const struct dmabuf_rw_binding_opts *o)
{
	bool power = !(o->bounce_chunk & (o->bounce_chunk - 1));

	if (!o->allow_bounce) {
		if (o->bounce_depth || o->bounce_chunk || o->copy || o->copy_arg)
			return dmabuf_rw_fail(o->error, DMABUF_RW_CALL_BIND, EINVAL, 0, 0);
		return 0;
	}
	if (o->allow_bounce != 1 || o->bounce_depth > DMABUF_RW_BOUNCE_MAX_DEPTH ||
	    !power || o->bounce_chunk > DMABUF_RW_BOUNCE_MAX_CHUNK ||
	    (o->bounce_chunk && o->bounce_chunk < DMABUF_RW_BOUNCE_MIN_CHUNK) ||
	    o->flags & ~DMABUF_RW_BIND_FLAGS)
		return dmabuf_rw_fail(o->error, DMABUF_RW_CALL_BIND, EINVAL, 0, 0);
	/* Where the buffer lies is what only the module can tell. */
	if (o->flags & DMABUF_RW_BIND_DEVICE_MEMORY)
		return dmabuf_rw_fail(o->error, DMABUF_RW_CALL_BIND, EINVAL,
				      DMABUF_RW_REASON_CONTRADICTION, 0);
	return 0;
}

/* Has the module bind. Returns the descriptor, or -errno with @refusal filled. */
static int bind_direct(const struct dmabuf_rw_device *device,
		       const struct dmabuf_rw_bounce_params *params,
		       const struct dmabuf_rw_binding_opts *o, struct dmabuf_rw_error *refusal)
{
	struct dmabuf_rw_bind bind = {
		.size = sizeof(bind),
		.dmabuf_fd = params->dmabuf_fd,
		.file_fd = params->file_fd,
		.flags = o->flags,
	};
	int fd = dmabuf_rw_ioctl(device->fd, DMABUF_RW_IOC_BIND, &bind);

	if (fd < 0)
		return dmabuf_rw_fail(refusal, DMABUF_RW_CALL_BIND, -fd, bind.reason,
				      bind.detail);
	fd = dmabuf_rw_above_std(fd);
	return fd < 0 ? dmabuf_rw_fail(refusal, DMABUF_RW_CALL_BIND, errno, 0, 0) : fd;
}

static int bounce_only(const struct dmabuf_rw_bounce_params *params,
		       const struct dmabuf_rw_error *refusal,
		       struct dmabuf_rw_error *error, struct dmabuf_rw_binding **binding)
{
	struct dmabuf_rw_binding *b = binding_new();
	int ret;

	if (!b)
		return dmabuf_rw_fail(error, DMABUF_RW_CALL_BIND, ENOMEM, 0, 0);
	ret = dmabuf_rw_bounce_create(params, error, &b->bounce);
	if (ret) {
		free(b);
		return ret;
	}
	b->fd = -1;
	b->buf_bytes = b->bounce->view.bytes;
	b->refusal = *refusal;
	*binding = b;
	return 0;
}

/*
 * Gives a direct binding what it needs to bounce. Where the buffer has nothing for it, it
 * cannot, which is fine. 0, or -errno with @error filled.
 */
static int add_bounce(struct dmabuf_rw_binding *b,
		      const struct dmabuf_rw_bounce_params *params,
		      struct dmabuf_rw_error *error)
{
	struct dmabuf_rw_error why;
	int ret;

	ret = dmabuf_rw_bounce_create(params, &why, &b->bounce);
	if (!ret && b->bounce->can_write) {
		b->bounce->lba = b->file_align[DMABUF_RW_OP_WRITE];
		ret = dmabuf_rw_scratch_create(params->device_fd, b->bounce->plain_fd,
					       b->bounce->lba, &b->bounce->scratch);
		if (ret) {
			dmabuf_rw_bounce_destroy(b->bounce);
			b->bounce = NULL;
			dmabuf_rw_fail(&why, DMABUF_RW_CALL_BIND, -ret, 0, 0);
		}
	}
	if (ret != -ENOMEM && ret != -EMFILE && ret != -ENFILE)
		return 0;
	if (error)
		*error = why;
	return ret;
}

/* What there is for a pair that cannot go direct. 0, or -errno with o->error filled. */
static int refused(const struct dmabuf_rw_bounce_params *params,
		   const struct dmabuf_rw_binding_opts *o, const struct dmabuf_rw_error *refusal,
		   struct dmabuf_rw_binding **binding)
{
	if (o->allow_bounce && dmabuf_rw_error_is_about_pair(refusal))
		return bounce_only(params, refusal, o->error, binding);
	if (o->error)
		*o->error = *refusal;
	return -refusal->err;
}

/* Makes a binding of the module's, or one that bounces. 0, or -errno with o->error filled. */
static int bind_pair(const struct dmabuf_rw_device *device,
		     const struct dmabuf_rw_bounce_params *params,
		     const struct dmabuf_rw_binding_opts *o, struct dmabuf_rw_binding **binding)
{
	struct dmabuf_rw_error refusal;
	struct dmabuf_rw_binding *b;
	struct dmabuf_rw_info info;
	int fd, ret;

	fd = bind_direct(device, params, o, &refusal);
	if (fd < 0)
		return refused(params, o, &refusal, binding);
	ret = binding_of_fd(fd, &info, &b);
	if (ret) {
		close(fd);
		return dmabuf_rw_fail(o->error, DMABUF_RW_CALL_INFO, -ret, 0, 0);
	}
	if (dmabuf_rw_is_clone(&info, params->file_fd)) {
		dmabuf_rw_binding_destroy(b);
		dmabuf_rw_fail(&refusal, DMABUF_RW_CALL_BIND, ENXIO, DMABUF_RW_REASON_CLONE, 0);
		return refused(params, o, &refusal, binding);
	}
	ret = o->allow_bounce ? add_bounce(b, params, o->error) : 0;
	if (ret) {
		dmabuf_rw_binding_destroy(b);
		return ret;
	}
	*binding = b;
	return 0;
}

DMABUF_RW_API int
dmabuf_rw_binding_create(const struct dmabuf_rw_device *device, int dmabuf_fd, int file_fd,
			 const struct dmabuf_rw_binding_opts *opts,
			 struct dmabuf_rw_binding **binding)
{
	struct dmabuf_rw_bounce_params params = {
		.dmabuf_fd = dmabuf_fd,
		.file_fd = file_fd,
		.device_fd = device ? device->fd : -1,
	};
	struct dmabuf_rw_binding_opts o;
	struct dmabuf_rw_error refusal;
	DMABUF_RW_NO_CANCEL;
	int ret;

	ret = dmabuf_rw_copy_opts(&o, sizeof(o), opts,
				  MIN_OPTS(dmabuf_rw_binding_opts, flags), DMABUF_RW_CALL_BIND);
	if (ret)
		return ret;
	if (!binding || (!device && !o.allow_bounce))
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_BIND, EINVAL, 0, 0);
	ret = check_bounce_opts(&o);
	if (ret)
		return ret;
	params.depth = o.bounce_depth ? o.bounce_depth : DEFAULT_DEPTH;
	params.chunk = o.bounce_chunk ? o.bounce_chunk : DEFAULT_CHUNK;
	params.copy = o.copy;
	params.copy_arg = o.copy_arg;
	if (device)
		return bind_pair(device, &params, &o, binding);
	dmabuf_rw_fail(&refusal, DMABUF_RW_CALL_BIND, ENODEV, DMABUF_RW_REASON_NO_DEVICE, 0);
	return bounce_only(&params, &refusal, o.error, binding);
}

DMABUF_RW_API int dmabuf_rw_binding_adopt(int fd, struct dmabuf_rw_binding **binding)
{
	struct dmabuf_rw_info info;
	DMABUF_RW_NO_CANCEL;

	if (!binding)
		return -EINVAL;
	return binding_of_fd(fd, &info, binding);
}

DMABUF_RW_API void dmabuf_rw_binding_destroy(struct dmabuf_rw_binding *binding)
{
	DMABUF_RW_NO_CANCEL;

	if (!binding)
		return;
	dmabuf_rw_bounce_destroy(binding->bounce);
	if (binding->fd >= 0)
		close(binding->fd);
	free(binding);
}

DMABUF_RW_API int dmabuf_rw_binding_fd(const struct dmabuf_rw_binding *binding)
{
	return binding->fd;
}

DMABUF_RW_API uint32_t dmabuf_rw_binding_path(const struct dmabuf_rw_binding *binding)
{
	return (binding->fd >= 0 ? DMABUF_RW_PATH_MODULE : 0) |
	       (binding->bounce ? DMABUF_RW_PATH_BOUNCED : 0);
}

DMABUF_RW_API int dmabuf_rw_binding_refusal(const struct dmabuf_rw_binding *binding,
					    struct dmabuf_rw_error *error)
{
	if (error)
		*error = binding->refusal;
	return binding->fd < 0;
}

/* What is known where the module is not asked. */
static int bounce_info(const struct dmabuf_rw_binding *binding,
		       struct dmabuf_rw_info *info)
{
	const struct dmabuf_rw_bounce *b = binding->bounce;
	int64_t file_bytes = dmabuf_rw_bounce_file_bytes(b);
	struct dmabuf_rw_info all = {
		.size = info->size,
		.flags = DMABUF_RW_INFO_BOUNCE_ONLY,
		.buf_bytes = binding->buf_bytes,
		.file_bytes = file_bytes,
		.read_align = 1,
		.write_align = 1,
		.buf_align = 1,
	};

	if (file_bytes < 0)
		return file_bytes;
	if (b->can_read)
		all.flags |= DMABUF_RW_INFO_CAN_READ;
	if (b->can_write)
		all.flags |= DMABUF_RW_INFO_CAN_WRITE;
	if (b->regular)
		all.flags |= DMABUF_RW_INFO_REGULAR;
	memcpy(info, &all, MIN(info->size, sizeof(all)));
	return 0;
}

DMABUF_RW_API int dmabuf_rw_binding_info(const struct dmabuf_rw_binding *binding,
					 struct dmabuf_rw_info *info)
{
	int ret = dmabuf_rw_clear_but_size(info, sizeof(*info));

	if (ret)
		return ret;
	if (binding->fd < 0)
		return bounce_info(binding, info);
	return dmabuf_rw_ioctl(binding->fd, DMABUF_RW_IOC_INFO, info);
}

static uint64_t load(const _Atomic uint64_t *total)
{
	return atomic_load_explicit(total, memory_order_relaxed);
}

DMABUF_RW_API int dmabuf_rw_binding_stats(const struct dmabuf_rw_binding *binding,
					  struct dmabuf_rw_stats *stats)
{
	const struct dmabuf_rw_totals *totals = &binding->totals;
	const _Atomic uint64_t *transfers = totals->transfers;

	if (stats->size < sizeof(*stats) || stats->size > DMABUF_RW_MAX_STRUCT)
		return -EINVAL;
	stats->direct_transfers = load(&transfers[DMABUF_RW_PATH_MODULE]);
	stats->bounced_transfers = load(&transfers[DMABUF_RW_PATH_BOUNCED]);
	stats->mixed_transfers = load(&transfers[DMABUF_RW_PATH_MODULE |
						 DMABUF_RW_PATH_BOUNCED]);
	stats->direct_bytes = load(&totals->direct_bytes);
	stats->bounced_bytes = load(&totals->bounced_bytes);
	stats->kernel_bytes = 0;
	return 0;
}
