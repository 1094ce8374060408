// SPDX-License-Identifier: GPL-2.0-only
/*
 * controller.c - an NVMe controller's view of a command's data pointer; see controller.h.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controller.h"

#define PAGE		4096u
#define SGL_DESC	16u

/* Descriptor types, 4.1.2; the identifier is the high half of the last byte. */
enum { SGL_DATA_BLOCK = 0x0, SGL_SEGMENT = 0x2, SGL_LAST_SEGMENT = 0x3 };

static bool __attribute__((format(printf, 2, 3))) bad(struct ctl *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	return false;
}

static uint64_t le(const uint8_t *p, unsigned int bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

static bool fetch(struct ctl *c, uint64_t bus, uint8_t *to, uint32_t len)
{
	const struct ctl_region *r;
	unsigned int i;

	for (i = 0; i < c->nr_regions; i++) {
		r = &c->regions[i];
		if (bus < r->bus || bus - r->bus > r->len || r->len - (bus - r->bus) < len)
			continue;
		memcpy(to, r->virt + (bus - r->bus), len);
		memset(r->fetched + (bus - r->bus), 1, len);
		return true;
	}
	return bad(c, "it reads %u bytes at %#" PRIx64 ", where no list is", len, bus);
}

static bool move(struct ctl *c, uint64_t addr, uint32_t len)
{
	uint32_t i;

	if (len > c->bytes - c->done)
		return bad(c, "%u bytes at %#" PRIx64 " are more than the %u left", len, addr,
			   c->bytes - c->done);
	if (addr + (len - 1) < addr)
		return bad(c, "%u bytes at %#" PRIx64 " pass the end of addresses", len, addr);
	for (i = 0; i < len; i++)
		c->got[c->done++] = addr + i;
	c->entries++;
	return true;
}

static void begin(struct ctl *c)
{
	c->done = 0;
	c->entries = 0;
	c->why[0] = 0;
}

/* A page, or what is left of the transfer. */
static bool move_page(struct ctl *c, uint64_t entry)
{
	uint32_t left = c->bytes - c->done;

	if (entry % PAGE)
		return bad(c, "PRP entry %u, %#" PRIx64 ", has an offset", c->entries, entry);
	return move(c, entry, left < PAGE ? left : PAGE);
}

bool ctl_walk_prp(struct ctl *c, const void *dptr)
{
	uint64_t prp1 = le(dptr, 8), prp2 = le((const uint8_t *)dptr + 8, 8), at;
	uint32_t first = PAGE - prp1 % PAGE;

	begin(c);
	if (prp1 % 4)
		return bad(c, "PRP1, %#" PRIx64 ", has an odd offset", prp1);
	if (!move(c, prp1, first < c->bytes ? first : c->bytes))
		return false;

	if (c->done == c->bytes)
		return prp2 ? bad(c, "PRP2 is %#" PRIx64 " and nothing is left", prp2) : true;
	if (c->bytes - c->done <= PAGE)
		return move_page(c, prp2);

	/* PRP2 is where the list begins; in whole qwords anywhere in a page. */
	if (prp2 % 8)
		return bad(c, "the list's address, %#" PRIx64 ", is odd", prp2);
	for (at = prp2; c->done < c->bytes; at += 8) {
		uint8_t raw[8];

		if (!fetch(c, at, raw, sizeof(raw)))
			return false;
		/* The last entry of a page, if more than its own page is left to describe. */
		if (at % PAGE == PAGE - 8 && c->bytes - c->done > PAGE) {
			at = le(raw, 8);
			if (at % PAGE)
				return bad(c, "a link, %#" PRIx64 ", has an offset", at);
			if (!fetch(c, at, raw, sizeof(raw)))
				return false;
		}
		if (!move_page(c, le(raw, 8)))
			return false;
	}
	return true;
}

struct sgl_desc {
	uint64_t addr;
	uint32_t len;
	unsigned int type;
};

static bool parse(struct ctl *c, const uint8_t *raw, struct sgl_desc *d)
{
	*d = (struct sgl_desc) { le(raw, 8), le(raw + 8, 4), raw[15] >> 4 };
	if (le(raw + 12, 3))
		return bad(c, "reserved bytes of an SGL descriptor are set");
	if (raw[15] & 0xf)
		return bad(c, "an SGL descriptor of subtype %u", raw[15] & 0xf);
	switch (d->type) {
	case SGL_DATA_BLOCK:
		if (!d->len)
			return bad(c, "data block %u is empty", c->entries);
		if (c->sgl_dwords && (d->addr | d->len) % 4)
			return bad(c, "data block %u, %u bytes at %#" PRIx64 ", is odd",
				   c->entries, d->len, d->addr);
		return true;
	case SGL_SEGMENT:
	case SGL_LAST_SEGMENT:
		if (!d->len || d->len % SGL_DESC)
			return bad(c, "a segment of %u bytes", d->len);
		if (d->addr % 8)
			return bad(c, "a segment at %#" PRIx64, d->addr);
		return true;
	default:
		return bad(c, "an SGL descriptor of type %u", d->type);
	}
}

bool ctl_walk_sgl(struct ctl *c, const void *dptr)
{
	struct sgl_desc seg, d;

	begin(c);
	if (!parse(c, dptr, &seg))
		return false;
	if (seg.type == SGL_DATA_BLOCK) {
		if (!move(c, seg.addr, seg.len))
			return false;
		goto end;
	}
	for (;;) {
		bool last = seg.type == SGL_LAST_SEGMENT;
		uint32_t at;

		for (at = 0; at < seg.len; at += SGL_DESC) {
			uint8_t raw[SGL_DESC];

			if (!fetch(c, seg.addr + at, raw, sizeof(raw)) || !parse(c, raw, &d))
				return false;
			if (d.type != SGL_DATA_BLOCK) {
				if (last || at + SGL_DESC < seg.len || !at)
					return bad(c, "a segment descriptor where none may be");
				break;
			}
			if (!move(c, d.addr, d.len))
				return false;
		}
		if (last)
			break;
		if (d.type == SGL_DATA_BLOCK)
			return bad(c, "a segment that is not the last ends with a data block");
		seg = d;
	}
end:
	if (c->done < c->bytes)
		return bad(c, "the SGL ends after %u of %u bytes", c->done, c->bytes);
	return true;
}
