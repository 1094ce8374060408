/* SPDX-License-Identifier: GPL-2.0 */
/*
 * buf.h - buffers of every exporter that the test machine has, and their content.
 *
 * A buffer is used by its descriptor only; the CPU reaches its content by buf_put() and
 * buf_get(), whatever the exporter offers for that.
 */
#ifndef BUF_H
#define BUF_H

#include <linux/types.h>

#include "../../kmod/dmabuf_rw_mock.h"
#include "harness.h"

struct buf;

/**
 * struct exporter - a source of dma-bufs
 * @name:	for names of tests
 * @mem_class:	enum dmabuf_rw_class that BIND must find
 * @mock:	made by the mock exporter
 * @odd:	has chunks that are not whole pages
 * @max:	largest buffer, 0: no limit
 * @create:	makes buf->fd, of buf->bytes; skips the test where there is no such
 *		exporter
 */
struct exporter {
	const char *name;
	u32 mem_class;
	bool mock;
	bool odd;
	u64 max;
	void (*create)(struct buf *buf);
	struct mock_create args;	/* mock */
};

struct buf {
	const struct exporter *exporter;
	int fd;
	u64 bytes;
	u8 *map;		/* where the CPU sees it; NULL: through the mock */
	bool sync;		/* bracket CPU access by DMA_BUF_IOCTL_SYNC */
	int helper_fd;		/* memfd, VFIO device, ...; -1: none */
};

extern const struct exporter *const exporters[];
extern const size_t nr_exporters;

extern const struct exporter exporter_udmabuf;
extern const struct exporter exporter_heap;
extern const struct exporter exporter_vfio;
extern const struct exporter exporter_mock_scattered;
extern const struct exporter exporter_mock_contiguous;
extern const struct exporter exporter_mock_bar;

void buf_create(struct buf *buf, const struct exporter *exporter, u64 bytes);
/* A buffer of the system heap, its descriptor with O_RDONLY, O_WRONLY or O_RDWR. */
void buf_create_heap(struct buf *buf, u64 bytes, int mode);
/* A buffer of the mock made with @args, whose size is args->bytes. */
void buf_create_mock(struct buf *buf, const struct mock_create *args);
/* Closes everything but what others hold. */
void buf_destroy(struct buf *buf);

void buf_put(const struct buf *buf, u64 off, const void *mem, u64 len);
void buf_get(const struct buf *buf, u64 off, void *mem, u64 len);

/* Content by tag and position (data.h). */
void buf_fill(const struct buf *buf, u64 off, u64 len, u64 tag, u64 pos);
void buf_check_at(const char *file, int line, const struct buf *buf, u64 off, u64 len,
		  u64 tag, u64 pos);
#define buf_check(buf, off, len, tag, pos) \
	buf_check_at(__FILE__, __LINE__, buf, off, len, tag, pos)

/* Whether its chunks are whole pages, which is all that some importers take. */
bool buf_has_whole_pages(int fd);

/* Requests to the mock; 0 or -errno. */
int mock_device(void);
int mock_fault(const struct buf *buf, struct mock_fault fault);
int mock_invalidate(const struct buf *buf, u32 flags, struct mock_invalidate *result);
int mock_storm(const struct buf *buf, u32 flags, u32 period_us);
void mock_query(const struct buf *buf, struct mock_query *query);
/* All counters must say that nobody holds or has spoilt anything. */
void mock_check_clean(const struct buf *buf);
/* The same, after up to ten seconds for what is on its way to an end. */
void mock_wait_clean(const struct buf *buf);
/* Arguments for a buffer in the machine's BAR; skips where there is none. */
struct mock_create mock_bar_args(u64 bytes);

#endif
