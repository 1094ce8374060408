// SPDX-License-Identifier: MIT
/*
 * binding.c - makes bindings of a buffer and a file, and describes them.
 *
 * The ways are tried in the order module, kernel, bounced. private.h lists the kinds of bindings.
 *
 * Invariants: a caller's binding has a way, and only its totals change; so any number of threads
 * may call every function here at once, except the destroying one.
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
 * More than 4 MiB in total gains nothing in both directions, and twice that is the usual limit of
 * locked memory.
 */
#define DEFAULT_CHUNK	(512U << 10)
#define DEFAULT_DEPTH	8

/* The new binding has a unique number. */
static struct dmabuf_rw_binding *binding_new(void)
{
	static _Atomic uint64_t last;
	struct dmabuf_rw_binding *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->fd = -1;
	b->id = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
	return b;
}

/* Takes ownership of @fd only on success. */
static int set_fd(struct dmabuf_rw_binding *b, int fd, struct dmabuf_rw_info *info)
{
	int ret;

	*info = (struct dmabuf_rw_info){ .size = sizeof(*info) };
	ret = dmabuf_rw_ioctl(fd, DMABUF_RW_IOC_INFO, info);
	if (ret < 0)
		return ret;
	b->fd = fd;
	b->buf_bytes = info->buf_bytes;
	b->file_align[DMABUF_RW_OP_READ] = MAX(info->read_align, 1);
	b->file_align[DMABUF_RW_OP_WRITE] = MAX(info->write_align, 1);
	b->buf_align = MAX(info->buf_align, 1);
	return 0;
}

#define ALL_WAYS (DMABUF_RW_PATH_MODULE | DMABUF_RW_PATH_KERNEL | DMABUF_RW_PATH_BOUNCED)

static bool may_go(const struct dmabuf_rw_binding_opts *o, uint32_t path)
{
	return (o->ways ? o->ways & path : true) &&
	       (path != DMABUF_RW_PATH_BOUNCED || o->allow_bounce);
}

/* 0, or -errno with the error filled. @to_module: the module checks the flags itself. */
static int check_opts(const struct dmabuf_rw_binding_opts *o, bool to_module)
{
	bool power = !(o->bounce_chunk & (o->bounce_chunk - 1));

	if (o->ways & ~ALL_WAYS ||
	    o->zeros & ~(DMABUF_RW_ZEROS_BY_DRIVE | DMABUF_RW_ZEROS_WRITTEN) ||
	    (o->ways == DMABUF_RW_PATH_BOUNCED && !o->allow_bounce) ||
	    ((o->allow_bounce || !to_module) && o->flags & ~DMABUF_RW_BIND_FLAGS))
		return dmabuf_rw_fail(o->error, DMABUF_RW_CALL_BIND, EINVAL, 0, 0);
	if (!o->allow_bounce) {
		if (o->bounce_depth || o->bounce_chunk || o->copy || o->copy_arg)
			return dmabuf_rw_fail(o->error, DMABUF_RW_CALL_BIND, EINVAL, 0, 0);
		return 0;
	}
	if (o->allow_bounce != 1 || o->bounce_depth > DMABUF_RW_BOUNCE_MAX_DEPTH ||
	    !power || o->bounce_chunk > DMABUF_RW_BOUNCE_MAX_CHUNK ||
	    (o->bounce_chunk && o->bounce_chunk < DMABUF_RW_BOUNCE_MIN_CHUNK))
		return dmabuf_rw_fail(o->error, DMABUF_RW_CALL_BIND, EINVAL, 0, 0);
	/* Only the module knows where the buffer is. */
	if (o->flags & DMABUF_RW_BIND_DEVICE_MEMORY)
		return dmabuf_rw_fail(o->error, DMABUF_RW_CALL_BIND, EINVAL,
				      DMABUF_RW_REASON_CONTRADICTION, 0);
	return 0;
}

/* Binds by the module. 0, or -errno with @refusal filled. */
static int bind_module(struct dmabuf_rw_binding *b, int device_fd, int dmabuf_fd, int file_fd,
		       uint64_t flags, struct dmabuf_rw_error *refusal)
{
	struct dmabuf_rw_bind bind = {
		.size = sizeof(bind),
		.dmabuf_fd = dmabuf_fd,
		.file_fd = file_fd,
		.flags = flags,
	};
	int fd = dmabuf_rw_ioctl(device_fd, DMABUF_RW_IOC_BIND, &bind), ret;
	struct dmabuf_rw_info info;

	if (fd < 0)
		return dmabuf_rw_fail(refusal, DMABUF_RW_CALL_BIND, -fd, bind.reason,
				      bind.detail);
	fd = dmabuf_rw_above_std(fd);
	if (fd < 0)
		return dmabuf_rw_fail(refusal, DMABUF_RW_CALL_BIND, errno, 0, 0);
	ret = set_fd(b, fd, &info);
	if (ret) {
		close(fd);
		return dmabuf_rw_fail(refusal, DMABUF_RW_CALL_INFO, -ret, 0, 0);
	}
	if (!dmabuf_rw_is_clone(&info, file_fd))
		return 0;
	close(fd);
	b->fd = -1;
	return dmabuf_rw_fail(refusal, DMABUF_RW_CALL_BIND, ENXIO, DMABUF_RW_REASON_CLONE, 0);
}

/* Binds by the kernel's interface. 0, or -errno with @refusal filled. */
static int bind_kernel(struct dmabuf_rw_binding *b, int dmabuf_fd, int file_fd,
		       struct dmabuf_rw_error *refusal)
{
	int ret = dmabuf_rw_kernel_create(dmabuf_fd, file_fd, refusal, &b->kernel);

	if (ret)
		return ret;
	b->buf_bytes = b->kernel->buf_bytes;
	b->file_align[DMABUF_RW_OP_READ] = b->kernel->lba;
	b->file_align[DMABUF_RW_OP_WRITE] = b->kernel->lba;
	b->buf_align = DMABUF_RW_KERNEL_ALIGN;
	return 0;
}

int dmabuf_rw_bind_plain(int device_fd, int dmabuf_fd, int file_fd,
			 struct dmabuf_rw_binding **binding)
{
	struct dmabuf_rw_binding *b = binding_new();
	struct dmabuf_rw_error refusal;
	int ret;

	if (!b)
		return -ENOMEM;
	ret = device_fd >= 0 ? bind_module(b, device_fd, dmabuf_fd, file_fd, 0, &refusal) :
			       bind_kernel(b, dmabuf_fd, file_fd, &refusal);
	if (ret)
		dmabuf_rw_binding_destroy(b);
	else
		*binding = b;
	return ret;
}

/*
 * Prepares a direct binding to bounce. A buffer that has no means to bounce is no error. 0, or
 * -errno with @error filled.
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

/* 0, or -errno with the refusal stored. */
static int try_module(struct dmabuf_rw_binding *b, const struct dmabuf_rw_bounce_params *params,
		      const struct dmabuf_rw_binding_opts *o)
{
	struct dmabuf_rw_error *refusal = &b->module_refusal;

	if (!may_go(o, DMABUF_RW_PATH_MODULE))
		return dmabuf_rw_fail(refusal, DMABUF_RW_CALL_BIND, EOPNOTSUPP,
				      DMABUF_RW_REASON_NOT_CHOSEN, 0);
	if (params->device_fd < 0)
		return dmabuf_rw_fail(refusal, DMABUF_RW_CALL_BIND, ENODEV,
				      DMABUF_RW_REASON_NO_DEVICE, 0);
	return bind_module(b, params->device_fd, params->dmabuf_fd, params->file_fd, o->flags,
			   refusal);
}

static int try_kernel(struct dmabuf_rw_binding *b, const struct dmabuf_rw_bounce_params *params,
		      const struct dmabuf_rw_binding_opts *o)
{
	struct dmabuf_rw_error *refusal = &b->kernel_refusal;

	if (!may_go(o, DMABUF_RW_PATH_KERNEL))
		return dmabuf_rw_fail(refusal, DMABUF_RW_CALL_BIND, EOPNOTSUPP,
				      DMABUF_RW_REASON_NOT_CHOSEN, 0);
	/* Only the module knows where the buffer is. */
	if (o->flags & DMABUF_RW_BIND_DEVICE_MEMORY)
		return dmabuf_rw_fail(refusal, DMABUF_RW_CALL_BIND, EOPNOTSUPP,
				      DMABUF_RW_REASON_KERNEL_BLIND, 0);
	/* Wrong addresses are wrong for the kernel too, which does not check them. */
	if (b->module_refusal.err == EADDRNOTAVAIL || b->module_refusal.err == EXDEV) {
		*refusal = b->module_refusal;
		return -refusal->err;
	}
	return bind_kernel(b, params->dmabuf_fd, params->file_fd, refusal);
}

/* Why nothing goes direct: the module's refusal, or the kernel's if the module is not there. */
static const struct dmabuf_rw_error *refusal_of(const struct dmabuf_rw_binding *b)
{
	uint32_t module = b->module_refusal.reason, kernel = b->kernel_refusal.reason;

	if (module == DMABUF_RW_REASON_NOT_CHOSEN)
		return &b->kernel_refusal;
	if (module != DMABUF_RW_REASON_NO_DEVICE || kernel == DMABUF_RW_REASON_NOT_CHOSEN ||
	    kernel == DMABUF_RW_REASON_NO_KERNEL_WAY || b->kernel_refusal.detail == ENOTBLK)
		return &b->module_refusal;
	return &b->kernel_refusal;
}

/* A bounce-only binding if @refusal is about the pair and bouncing is allowed; else its error. */
static int refused(struct dmabuf_rw_binding *b, const struct dmabuf_rw_bounce_params *params,
		   const struct dmabuf_rw_binding_opts *o, const struct dmabuf_rw_error *refusal)
{
	int ret;

	if (dmabuf_rw_error_is_about_pair(refusal)) {
		refusal = refusal_of(b);
		if (may_go(o, DMABUF_RW_PATH_BOUNCED)) {
			ret = dmabuf_rw_bounce_create(params, o->error, &b->bounce);
			if (!ret)
				b->buf_bytes = b->bounce->view.bytes;
			return ret;
		}
	}
	if (o->error)
		*o->error = *refusal;
	return -refusal->err;
}

static bool is_want(int err)
{
	return err == ENOMEM || err == EMFILE || err == ENFILE;
}

/* Tries the ways. 0, or -errno with o->error filled. */
static int bind_pair(struct dmabuf_rw_binding *b, struct dmabuf_rw_bounce_params *params,
		     const struct dmabuf_rw_binding_opts *o)
{
	bool asked = may_go(o, DMABUF_RW_PATH_MODULE) && params->device_fd >= 0;
	int ret;

	if (try_module(b, params, o)) {
		if (!dmabuf_rw_error_is_about_pair(&b->module_refusal))
			return refused(b, params, o, &b->module_refusal);
		/* The module, if asked, has found the call valid. */
		if (try_kernel(b, params, o))
			return refused(b, params, o, asked && !is_want(b->kernel_refusal.err) ?
				       &b->module_refusal : &b->kernel_refusal);
		params->device_fd = -1;
	}
	ret = may_go(o, DMABUF_RW_PATH_BOUNCED) ? add_bounce(b, params, o->error) : 0;
	/* The kernel's interface takes only disks. */
	if (ret || !o->zeros || b->fd < 0)
		return ret;
	ret = dmabuf_rw_zeros_create(params->file_fd, b->bounce, o->zeros, &b->zeros);
	return ret ? dmabuf_rw_fail(o->error, DMABUF_RW_CALL_BIND, -ret, 0, 0) : 0;
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
	struct dmabuf_rw_binding *b;
	DMABUF_RW_NO_CANCEL;
	int ret;

	ret = dmabuf_rw_copy_opts(&o, sizeof(o), opts,
				  MIN_OPTS(dmabuf_rw_binding_opts, flags), DMABUF_RW_CALL_BIND);
	if (ret)
		return ret;
	if (!binding)
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_BIND, EINVAL, 0, 0);
	ret = check_opts(&o, device && may_go(&o, DMABUF_RW_PATH_MODULE));
	if (ret)
		return ret;
	b = binding_new();
	if (!b)
		return dmabuf_rw_fail(o.error, DMABUF_RW_CALL_BIND, ENOMEM, 0, 0);
	params.depth = o.bounce_depth ? o.bounce_depth : DEFAULT_DEPTH;
	params.chunk = o.bounce_chunk ? o.bounce_chunk : DEFAULT_CHUNK;
	params.copy = o.copy;
	params.copy_arg = o.copy_arg;
	ret = bind_pair(b, &params, &o);
	if (ret)
		dmabuf_rw_binding_destroy(b);
	else
		*binding = b;
	return ret;
}

DMABUF_RW_API int dmabuf_rw_binding_adopt(int fd, struct dmabuf_rw_binding **binding)
{
	struct dmabuf_rw_binding *b;
	struct dmabuf_rw_info info;
	DMABUF_RW_NO_CANCEL;
	int ret;

	if (!binding)
		return -EINVAL;
	b = binding_new();
	if (!b)
		return -ENOMEM;
	ret = set_fd(b, fd, &info);
	if (ret)
		free(b);
	else
		*binding = b;
	return ret;
}

DMABUF_RW_API void dmabuf_rw_binding_destroy(struct dmabuf_rw_binding *binding)
{
	DMABUF_RW_NO_CANCEL;

	if (!binding)
		return;
	dmabuf_rw_zeros_destroy(binding->zeros);
	dmabuf_rw_bounce_destroy(binding->bounce);
	dmabuf_rw_kernel_destroy(binding->kernel);
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
	       (binding->kernel ? DMABUF_RW_PATH_KERNEL : 0) |
	       (binding->bounce ? DMABUF_RW_PATH_BOUNCED : 0);
}

DMABUF_RW_API int dmabuf_rw_binding_refusal(const struct dmabuf_rw_binding *binding,
					    struct dmabuf_rw_error *error)
{
	static const struct dmabuf_rw_error none;

	if (error)
		*error = dmabuf_rw_is_direct(binding) ? none : *refusal_of(binding);
	return !dmabuf_rw_is_direct(binding);
}

DMABUF_RW_API int dmabuf_rw_binding_way_refusal(const struct dmabuf_rw_binding *binding,
						uint32_t path, struct dmabuf_rw_error *error)
{
	struct dmabuf_rw_error why = { 0 };

	if (path == DMABUF_RW_PATH_MODULE)
		why = binding->module_refusal;
	else if (path == DMABUF_RW_PATH_KERNEL)
		why = binding->kernel_refusal;
	if (!why.err && !(dmabuf_rw_binding_path(binding) & path))
		/* An earlier way was taken, or @ways excludes it. */
		dmabuf_rw_fail(&why, DMABUF_RW_CALL_BIND, EOPNOTSUPP,
			       DMABUF_RW_REASON_NOT_CHOSEN, 0);
	if (error)
		*error = why;
	return !!why.err;
}

/* The info of a binding without the module. */
static int other_info(const struct dmabuf_rw_binding *binding, struct dmabuf_rw_info *info)
{
	const struct dmabuf_rw_kernel *k = binding->kernel;
	const struct dmabuf_rw_bounce *b = binding->bounce;
	int64_t file_bytes = k ? dmabuf_rw_kernel_file_bytes(k) : dmabuf_rw_bounce_file_bytes(b);
	struct dmabuf_rw_info all = {
		.size = info->size,
		.flags = k ? DMABUF_RW_INFO_KERNEL : DMABUF_RW_INFO_BOUNCE_ONLY,
		.buf_bytes = binding->buf_bytes,
		.file_bytes = file_bytes,
		.lba_bytes = k ? k->lba : 0,
		.read_align = k ? k->lba : 1,
		.write_align = k ? k->lba : 1,
		.buf_align = k ? DMABUF_RW_KERNEL_ALIGN : 1,
		/* One address per page. */
		.metadata_bytes = k ? k->buf_bytes / 4096 * 8 : 0,
	};

	if (file_bytes < 0)
		return file_bytes;
	if (k ? k->can[DMABUF_RW_OP_READ] : b->can_read)
		all.flags |= DMABUF_RW_INFO_CAN_READ;
	if (k ? k->can[DMABUF_RW_OP_WRITE] : b->can_write)
		all.flags |= DMABUF_RW_INFO_CAN_WRITE;
	if (!k && b->regular)
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
		return other_info(binding, info);
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
	uint32_t path;

	if (stats->size < sizeof(*stats) || stats->size > DMABUF_RW_MAX_STRUCT)
		return -EINVAL;
	stats->direct_transfers = stats->mixed_transfers = 0;
	for (path = 1; path < DMABUF_RW_PATHS; path++) {
		if (!(path & DMABUF_RW_PATH_BOUNCED))
			stats->direct_transfers += load(&transfers[path]);
		else if (path != DMABUF_RW_PATH_BOUNCED)
			stats->mixed_transfers += load(&transfers[path]);
	}
	stats->bounced_transfers = load(&transfers[DMABUF_RW_PATH_BOUNCED]);
	stats->direct_bytes = load(&totals->direct_bytes);
	stats->bounced_bytes = load(&totals->bounced_bytes);
	stats->kernel_bytes = load(&totals->kernel_bytes);
	stats->zeros_by_drive = load(&totals->zeros_by_drive);
	stats->zeros_written = load(&totals->zeros_written);
	return 0;
}
