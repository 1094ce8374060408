/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trace.h - trace events of the system dmabuf_rw; docs/observe.md describes each field.
 *
 * The events are an interface: fields keep name, type and meaning, and new ones are added at
 * the end. Numbers that user space knows (inode and device numbers) identify objects; a hash
 * of the address of its state identifies a transfer. An event that is off costs its caller a
 * NOP, so callers pass what they have at hand, and TP_fast_assign() does the rest.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dmabuf_rw

#if !defined(_DRW_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _DRW_TRACE_H

#include <linux/tracepoint.h>

#include "binding.h"

void drw_trace_init(void);
u64 drw_trace_id(const void *transfer);

/* Macros: this file is included several times. drw_trace_ino() is the "ino" line of fdinfo. */
#define drw_trace_ino(file) (file_inode(file)->i_ino)
#define drw_trace_binding(file) ((const struct drw_binding *)(file)->private_data)
#define drw_trace_dev(file) (drw_trace_binding(file)->storage.bdev->bd_dev)
#define drw_trace_op(write) ((write) ? "write" : "read")

TRACE_EVENT(drw_bind,
	TP_PROTO(const struct file *binding),
	TP_ARGS(binding),
	TP_STRUCT__entry(
		__field(u64, binding)
		__field(u64, buffer)
		__field(u64, buffer_bytes)
		__field(u64, ino)
		__field(dev_t, dev)
		__field(u8, can_read)
		__field(u8, can_write)
	),
	TP_fast_assign(
		const struct drw_binding *b = drw_trace_binding(binding);

		__entry->binding = drw_trace_ino(binding);
		__entry->buffer = drw_trace_ino(b->dmabuf->file);
		__entry->buffer_bytes = b->dmabuf->size;
		__entry->ino = b->storage.regular ? b->storage.regular->inode->i_ino : 0;
		__entry->dev = drw_trace_dev(binding);
		__entry->can_read = b->can[DMABUF_RW_OP_READ];
		__entry->can_write = b->can[DMABUF_RW_OP_WRITE];
	),
	TP_printk("binding=%llu dev=%u:%u ino=%llu buffer=%llu buffer_bytes=%llu can_read=%u can_write=%u",
		  __entry->binding, MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __entry->buffer, __entry->buffer_bytes, __entry->can_read, __entry->can_write)
);

TRACE_EVENT(drw_unbind,
	TP_PROTO(const struct file *binding),
	TP_ARGS(binding),
	TP_STRUCT__entry(
		__field(u64, binding)
		__field(dev_t, dev)
	),
	TP_fast_assign(
		__entry->binding = drw_trace_ino(binding);
		__entry->dev = drw_trace_dev(binding);
	),
	TP_printk("binding=%llu dev=%u:%u", __entry->binding, MAJOR(__entry->dev),
		  MINOR(__entry->dev))
);

TRACE_EVENT(drw_submit,
	TP_PROTO(const struct file *binding, const void *transfer, bool write, bool worker,
		 u64 flags, u32 nr, u64 file_off, u64 buf_off, u64 len),
	TP_ARGS(binding, transfer, write, worker, flags, nr, file_off, buf_off, len),
	TP_STRUCT__entry(
		__field(u64, binding)
		__field(u64, id)
		__field(u64, file_off)
		__field(u64, buf_off)
		__field(u64, len)
		__field(u64, flags)
		__field(u32, nr)
		__field(dev_t, dev)
		__field(u8, write)
		__field(u8, worker)
	),
	TP_fast_assign(
		__entry->binding = drw_trace_ino(binding);
		__entry->id = drw_trace_id(transfer);
		__entry->file_off = file_off;
		__entry->buf_off = buf_off;
		__entry->len = len;
		__entry->flags = flags;
		__entry->nr = nr;
		__entry->dev = drw_trace_dev(binding);
		__entry->write = write;
		__entry->worker = worker;
	),
	TP_printk("binding=%llu id=%016llx dev=%u:%u op=%s worker=%u flags=%#llx nr=%u file_off=%llu buf_off=%llu len=%llu",
		  __entry->binding, __entry->id, MAJOR(__entry->dev), MINOR(__entry->dev),
		  drw_trace_op(__entry->write), __entry->worker, __entry->flags, __entry->nr,
		  __entry->file_off, __entry->buf_off, __entry->len)
);

TRACE_EVENT(drw_complete,
	TP_PROTO(const struct file *binding, const void *transfer, bool write, s64 result),
	TP_ARGS(binding, transfer, write, result),
	TP_STRUCT__entry(
		__field(u64, binding)
		__field(u64, id)
		__field(s64, result)
		__field(dev_t, dev)
		__field(u8, write)
	),
	TP_fast_assign(
		__entry->binding = drw_trace_ino(binding);
		__entry->id = drw_trace_id(transfer);
		__entry->result = result;
		__entry->dev = drw_trace_dev(binding);
		__entry->write = write;
	),
	TP_printk("binding=%llu id=%016llx dev=%u:%u op=%s result=%lld", __entry->binding,
		  __entry->id, MAJOR(__entry->dev), MINOR(__entry->dev),
		  drw_trace_op(__entry->write), __entry->result)
);

TRACE_EVENT(drw_map,
	TP_PROTO(const struct drw_map *map, int error),
	TP_ARGS(map, error),
	TP_STRUCT__entry(
		__field(u64, buffer)
		__field(u32, extents)
		__field(int, error)
		__string(drive, dev_name(map->ctrl->dev))
	),
	TP_fast_assign(
		__entry->buffer = drw_trace_ino(map->dmabuf->file);
		__entry->extents = map->x.nr;
		__entry->error = error;
		__assign_str(drive);
	),
	TP_printk("buffer=%llu drive=%s extents=%u error=%d", __entry->buffer, __get_str(drive),
		  __entry->extents, __entry->error)
);

DECLARE_EVENT_CLASS(drw_invalidation,
	TP_PROTO(const struct drw_map *map),
	TP_ARGS(map),
	TP_STRUCT__entry(
		__field(u64, buffer)
		__string(drive, dev_name(map->ctrl->dev))
	),
	TP_fast_assign(
		__entry->buffer = drw_trace_ino(map->dmabuf->file);
		__assign_str(drive);
	),
	TP_printk("buffer=%llu drive=%s", __entry->buffer, __get_str(drive))
);

DEFINE_EVENT(drw_invalidation, drw_invalidate,
	TP_PROTO(const struct drw_map *map),
	TP_ARGS(map)
);

DEFINE_EVENT(drw_invalidation, drw_invalidated,
	TP_PROTO(const struct drw_map *map),
	TP_ARGS(map)
);

DECLARE_EVENT_CLASS(drw_epoch,
	TP_PROTO(const struct inode *inode),
	TP_ARGS(inode),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(dev_t, dev)
	),
	TP_fast_assign(
		__entry->ino = inode->i_ino;
		__entry->dev = inode->i_sb->s_dev;
	),
	TP_printk("dev=%u:%u ino=%llu", MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino)
);

DEFINE_EVENT(drw_epoch, drw_hold,
	TP_PROTO(const struct inode *inode),
	TP_ARGS(inode)
);

DEFINE_EVENT(drw_epoch, drw_release,
	TP_PROTO(const struct inode *inode),
	TP_ARGS(inode)
);

TRACE_EVENT(drw_lookup,
	TP_PROTO(const struct inode *inode, u64 file_off, u64 len, int error),
	TP_ARGS(inode, file_off, len, error),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u64, file_off)
		__field(u64, len)
		__field(dev_t, dev)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->ino = inode->i_ino;
		__entry->file_off = file_off;
		__entry->len = len;
		__entry->dev = inode->i_sb->s_dev;
		__entry->error = error;
	),
	TP_printk("dev=%u:%u ino=%llu file_off=%llu len=%llu error=%d", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->ino, __entry->file_off, __entry->len,
		  __entry->error)
);

#endif /* _DRW_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
