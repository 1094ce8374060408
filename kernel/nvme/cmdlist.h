/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cmdlist.h - data pointers of one NVMe command: PRP lists and SGLs, pure arithmetic.
 *
 * A transfer is cut into commands. For each, drw_plan() looks at the runs ahead and decides
 * how many bytes the command takes and in which form. The caller then gets list memory, and
 * drw_fill_prp() or drw_fill_sgl() writes the list.
 *
 * Sources: NVM Express Base Specification 2.0, section 4.1.1 "Physical Region Page Entry
 * and List" and 4.1.2 "Scatter Gather List". The memory page size (CC.MPS) is 4 KiB: Linux
 * always sets that (NVME_CTRL_PAGE_SHIFT, drivers/nvme/host/nvme.h).
 */
#ifndef _DRW_CMDLIST_H
#define _DRW_CMDLIST_H

#include "buffer/extents.h"

/*
 * Short lists take a small block, others pages. Blocks below 512 bytes would save nothing:
 * some drives need lists aligned to that (NVME_QUIRK_DMAPOOL_ALIGN_512).
 */
#define DRW_SMALL_BYTES		512U
#define DRW_PRPS_PER_PAGE	(DRW_PAGE_BYTES / sizeof(__le64))
#define DRW_SGLS_PER_PAGE	(DRW_PAGE_BYTES / sizeof(struct drw_sgl_desc))

/*
 * The largest command: NVME_MAX_BYTES of drivers/nvme/host/pci.c, 8 MiB. It takes at most 2049
 * PRP entries: one in PRP1, 2048 in a list of five chained pages.
 */
#define DRW_MAX_CMD_BYTES	(8U << 20)
#define DRW_LIST_PAGES		5

/* One small block, where a number of pages is expected. */
#define DRW_LIST_SMALL		0xff

/* SGL descriptor (Base Specification 2.0, figure 99); equals struct nvme_sgl_desc. */
struct drw_sgl_desc {
	__le64 addr;
	__le32 length;
	u8 rsvd[3];
	u8 type;
};

#define DRW_SGL_DATA		0x00	/* data block, type 0h */
#define DRW_SGL_LAST_SEGMENT	0x30	/* last segment, type 3h */

enum drw_sgl_support {
	DRW_SGL_NONE = 0,
	DRW_SGL_DWORD,		/* addresses and lengths are multiples of four bytes */
	DRW_SGL_BYTE,		/* any address and length */
};

/**
 * struct drw_limits - limits of a command
 * @max_bytes: bytes, a multiple of @lba_bytes, at most DRW_MAX_CMD_BYTES
 * @lba_bytes: LBA size, a power of two
 * @max_segs: SGL data descriptors, 1 to DRW_SGLS_PER_PAGE
 * @sgl_threshold: where both forms are possible, use an SGL if the average segment has at
 *	least this many bytes; 0: never. Like the NVMe driver's parameter of that name.
 * @sgl: SGLs that the controller takes
 */
struct drw_limits {
	u32 max_bytes;
	u32 lba_bytes;
	u32 max_segs;
	u32 sgl_threshold;
	enum drw_sgl_support sgl;
};

/**
 * struct drw_plan - the next command
 * @bytes: bytes it moves, a multiple of the LBA size
 * @entries: PRP entries, including the one in PRP1, or SGL data descriptors
 * @sgl: an SGL, else PRPs
 * @paged: PRPs, and all of it lies in one piece of a buffer with a paged table
 */
struct drw_plan {
	u32 bytes;
	u32 entries;
	bool sgl;
	bool paged;
};

/**
 * struct drw_list - list memory of one command
 * @virt: pages, or one small block in virt[0]
 * @dma: their bus addresses
 */
struct drw_list {
	void *virt[DRW_LIST_PAGES];
	u64 dma[DRW_LIST_PAGES];
};

/* The command's data pointer, in the layout of union nvme_data_ptr. */
union drw_dptr {
	struct {
		__le64 prp1;
		__le64 prp2;
	};
	struct drw_sgl_desc sgl;
};

int drw_plan(const struct drw_iter *it, u64 left, const struct drw_limits *lim,
	     struct drw_plan *plan);
/**
 * drw_dptr_inline() - data pointer of a command that needs no list
 * @addr: bus address of consecutive bytes
 * @len: how many: whole LBAs, at most lim->max_bytes
 * @lim: limits of a command
 * @dptr: filled
 * @sgl: filled: @dptr is an SGL
 *
 * Saves short transfers the planning, and decides as drw_plan() does.
 *
 * Return: false if a list is needed, or neither form can express it.
 */
static inline bool drw_dptr_inline(u64 addr, u32 len, const struct drw_limits *lim,
				   union drw_dptr *dptr, bool *sgl)
{
	u64 page = addr & ~(u64)DRW_PAGE_MASK, bytes = addr - page + len;
	bool prp_ok = !(addr & 3);

	*sgl = prp_ok ? len >= lim->sgl_threshold && lim->sgl_threshold &&
			lim->sgl != DRW_SGL_NONE : lim->sgl == DRW_SGL_BYTE;
	dptr->prp1 = cpu_to_le64(addr);
	/* As struct drw_sgl_desc: behind the length are zeros, DRW_SGL_DATA among them. */
	if (*sgl)
		dptr->prp2 = cpu_to_le64(len);
	else
		dptr->prp2 = bytes > DRW_PAGE_BYTES ? cpu_to_le64(page + DRW_PAGE_BYTES) : 0;
	return *sgl || (prp_ok && bytes <= 2 * DRW_PAGE_BYTES);
}

u32 drw_list_bytes(const struct drw_plan *plan);
u32 drw_list_pages(const struct drw_plan *plan);
void drw_fill_prp(struct drw_iter *it, const struct drw_plan *plan,
		  const struct drw_list *list, union drw_dptr *dptr);
u32 drw_fill_sgl(struct drw_iter *it, const struct drw_plan *plan,
		 const struct drw_list *list, union drw_dptr *dptr);

#endif /* _DRW_CMDLIST_H */
