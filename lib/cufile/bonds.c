// SPDX-License-Identifier: MIT
/*
 * bonds.c - bindings of files and segments, made when needed.
 *
 * A program registers files and buffers; the first transfer shows which of them meet. The
 * front.max_bonds most recently used bonds are kept for the next transfer.
 *
 * A bond's word has the number of its users, and LIVE while users may be added: from when the
 * binding is made until the bond leaves the list.
 *
 *   take_user()	adds a user to a live bond, in one step, even if the caller's pointer to it
 *			is stale
 *   drop_user()	drops one. The last one of a bond that is not live destroys it
 *   unlist_locked()	ends LIVE; if there are no users, the caller destroys it
 *
 * The memory of bonds is reused, never freed. So a file remembers the address of its last bond
 * only: a new user checks whose bond it is. A transfer that finds its bond there takes no lock and
 * does not reorder the list: of the bonds used since the list was last changed, any may be dropped
 * first.
 *
 * Locks: "lock" protects the list. It is not held while the library binds; a thread that finds a
 * bond being made waits for it.
 */
#include <errno.h>
#include <stdlib.h>

#include "front.h"

#define LIVE	(1U << 31)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t made = PTHREAD_COND_INITIALIZER;
static struct front_bond list = { .prev = &list, .next = &list };	/* newest first */
static unsigned int nr_bonds;
static struct front_bond *unused;	/* protected by @lock; linked by @next */
static _Atomic uint32_t now;		/* changed under @lock */

static void add_locked(struct front_bond *b)
{
	b->next = list.next;
	b->prev = &list;
	b->next->prev = b;
	list.next = b;
	b->listed = true;
	nr_bonds++;
}

static void remove_locked(struct front_bond *b)
{
	b->prev->next = b->next;
	b->next->prev = b->prev;
	b->listed = false;
	nr_bonds--;
}

static bool take_user(struct front_bond *b)
{
	uint32_t word = atomic_load_explicit(&b->word, memory_order_relaxed);

	do {
		if (!(word & LIVE))
			return false;
	} while (!atomic_compare_exchange_weak(&b->word, &word, word + 1));
	return true;
}

/* True: the caller destroys the bond. */
static bool drop_user(struct front_bond *b)
{
	return atomic_fetch_sub(&b->word, 1) == 1;
}

/* True: the caller destroys the bond. */
static bool unlist_locked(struct front_bond *b)
{
	remove_locked(b);
	return atomic_fetch_and(&b->word, ~LIVE) == LIVE;
}

static void destroy(struct front_bond *b)
{
	dmabuf_rw_binding_destroy(b->binding);
	gpu_segment_put(b->segment);
	pthread_mutex_lock(&lock);
	b->next = unused;
	unused = b;
	pthread_mutex_unlock(&lock);
}

static int copy(void *arg, enum dmabuf_rw_copy direction, uint64_t buf_off, void *host, size_t len)
{
	const struct gpu_segment *s = arg;

	return direction == DMABUF_RW_COPY_TO_BUFFER ?
		gpu_copy_to(s, s->start + buf_off, host, len) :
		gpu_copy_from(s, s->start + buf_off, host, len);
}

/* Programs do not expect EINTR. 0, or -errno with @opts->error filled. */
static int create(struct front_bond *b, const struct front_file *file,
		  const struct dmabuf_rw_binding_opts *opts)
{
	int ret;

	do {
		ret = dmabuf_rw_binding_create(front.device, b->segment->fd, file->fd, opts,
					       &b->binding);
	} while (ret == -EINTR);
	return ret;
}

/* @ways: the only ways to try; 0: all. */
static int create_bouncing(struct front_bond *b, const struct front_file *file, uint32_t ways,
			   struct dmabuf_rw_error *error)
{
	const struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts),
		.error = error,
		.ways = ways,
		.allow_bounce = !front.direct_only,
		.copy = front.direct_only ? NULL : copy,
		.copy_arg = front.direct_only ? NULL : b->segment,
		.zeros = front.zeros,
	};

	return create(b, file, &opts);
}

/*
 * Memory that its exporter may move out of the device must be bound as device memory, or "direct"
 * bytes might go elsewhere. Such a binding cannot bounce, so bytes that cannot go direct use
 * another, bounce-only one. 0, or -errno; the refusal is the first one's.
 */
static int create_in_device(struct front_bond *b, const struct front_file *file)
{
	const struct dmabuf_rw_binding_opts opts = {
		.size = sizeof(opts),
		.flags = DMABUF_RW_BIND_DEVICE_MEMORY,
		.error = &b->refusal.error,
		.zeros = front.zeros,
	};
	struct dmabuf_rw_error error;
	int ret = create(b, file, &opts);

	if (!ret || front.direct_only || !dmabuf_rw_error_is_about_pair(&b->refusal.error))
		return ret;
	return create_bouncing(b, file, DMABUF_RW_PATH_BOUNCED, &error);
}

/* 0, or -errno with the bond's refusal filled. */
static int bind_pair(struct front_bond *b, const struct front_file *file)
{
	struct dmabuf_rw_info info = { .size = sizeof(info) };
	int ret;

	if (!file_is_same(file, NULL)) {
		b->refusal.error = (struct dmabuf_rw_error){ .call = DMABUF_RW_CALL_BIND,
							     .err = EBADF };
		return -EBADF;
	}
	if (b->segment->may_move) {
		ret = create_in_device(b, file);
	} else {
		ret = create_bouncing(b, file, 0, &b->refusal.error);
		if (!ret)
			dmabuf_rw_binding_refusal(b->binding, &b->refusal.error);
	}
	if (ret)
		return ret;
	/* The program may have closed the descriptor meanwhile, and reused it. */
	if (!file_is_same(file, NULL)) {
		dmabuf_rw_binding_destroy(b->binding);
		b->binding = NULL;
		b->refusal.error = (struct dmabuf_rw_error){ .call = DMABUF_RW_CALL_BIND,
							     .err = EBADF };
		return -EBADF;
	}
	/* Unknown fields are zero. */
	dmabuf_rw_binding_info(b->binding, &info);
	b->read_align = info.read_align ?: 1;
	b->write_align = info.write_align ?: 1;
	b->buf_align = info.buf_align ?: 1;
	return 0;
}

/* Removes the least recently used idle bond from the list. Null: there is none. */
static struct front_bond *take_idle_locked(void)
{
	struct front_bond *b, *oldest;
	uint32_t idle;

	do {
		oldest = NULL;
		for (b = list.prev; b != &list; b = b->prev)
			if (b->word == LIVE &&
			    (!oldest || (int32_t)(b->last_use - oldest->last_use) < 0))
				oldest = b;
		idle = LIVE;
		/* Unless it has a user now. */
	} while (oldest && !atomic_compare_exchange_strong(&oldest->word, &idle, 0));
	if (oldest)
		remove_locked(oldest);
	return oldest;
}

/* Drops one idle bond if there are more than @most. */
static bool drop_idle(unsigned int most)
{
	struct front_bond *b;

	pthread_mutex_lock(&lock);
	b = nr_bonds > most ? take_idle_locked() : NULL;
	pthread_mutex_unlock(&lock);
	if (!b)
		return false;
	destroy(b);
	return true;
}

bool bonds_make_room(int64_t ret, bool *last)
{
	if (ret != -EMFILE && ret != -ENFILE && ret != -ENOMEM)
		return false;
	if (drop_idle(0))
		return true;
	/* Only once: each failed attempt leaves idle segments itself. */
	if (*last)
		return false;
	*last = true;
	return gpu_drop_idle();
}

static struct front_bond *find_locked(uint64_t file, uint64_t segment)
{
	struct front_bond *b;

	for (b = list.next; b != &list; b = b->next)
		if (b->file == file && b->segment_number == segment)
			return b;
	return NULL;
}

/* Listed, with the caller as a user. Null: no memory. */
static struct front_bond *new_bond_locked(const struct front_file *file,
					  struct gpu_segment *segment)
{
	struct front_bond *b = unused;

	if (b)
		unused = b->next;
	else
		b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->file = file->number;
	b->segment_number = segment->number;
	b->segment = segment;
	b->binding = NULL;
	b->refusal = (struct front_reason){ 0 };
	b->being_made = true;
	b->last_use = ++now;
	atomic_store(&b->word, 1);
	add_locked(b);
	return b;
}

/* Makes the binding of @b, which is listed and has the caller as a user. */
static int make(struct front_bond *b, const struct front_file *file, struct front_reason *why)
{
	int ret = bind_pair(b, file);

	if (ret && why)
		*why = b->refusal;
	pthread_mutex_lock(&lock);
	b->being_made = false;
	if (b->listed && ret)
		unlist_locked(b);
	else if (b->listed)
		atomic_fetch_or(&b->word, LIVE);
	pthread_cond_broadcast(&made);
	pthread_mutex_unlock(&lock);
	if (ret) {
		bond_done(b);
		return ret;
	}
	while (drop_idle(front.max_bonds))
		;
	return 0;
}

static void use_locked(struct front_bond *b)
{
	/* A listed bond is not destroyed. */
	atomic_fetch_add(&b->word, 1);
	b->last_use = ++now;
	if (list.next == b)
		return;
	remove_locked(b);
	add_locked(b);
}

struct front_bond *bond_use_made(struct front_file *file, struct gpu_segment *segment)
{
	struct front_bond *b;

	pthread_mutex_lock(&lock);
	b = find_locked(file->number, segment->number);
	if (b && !b->being_made)
		use_locked(b);
	else
		b = NULL;
	pthread_mutex_unlock(&lock);
	return b;
}

struct front_bond *bond_use_last(struct front_file *file, uint64_t p, uint64_t len,
				 const struct gpu_owner *owner)
{
	struct front_bond *b = atomic_load_explicit(&file->last_bond, memory_order_acquire);
	uint32_t last;

	if (!b || !take_user(b))
		return NULL;
	if (b->file != file->number || !gpu_segment_has(b->segment, p, len, owner)) {
		bond_done(b);
		return NULL;
	}
	gpu_segment_touch(b->segment);
	last = atomic_load_explicit(&now, memory_order_relaxed);
	if (atomic_load_explicit(&b->last_use, memory_order_relaxed) != last)
		atomic_store_explicit(&b->last_use, last, memory_order_relaxed);
	return b;
}

int bond_use(struct front_file *file, struct gpu_segment *segment, struct front_bond **bond,
	     struct front_reason *why)
{
	struct front_bond *b;
	int ret = 0;

again:
	pthread_mutex_lock(&lock);
	b = find_locked(file->number, segment->number);
	if (b) {
		use_locked(b);
		while (b->being_made)
			pthread_cond_wait(&made, &lock);
		/* Making it failed: the next thread tries again, as the reason may be gone. */
		if (!b->listed) {
			pthread_mutex_unlock(&lock);
			bond_done(b);
			goto again;
		}
		pthread_mutex_unlock(&lock);
	} else {
		gpu_segment_get(segment);
		b = new_bond_locked(file, segment);
		pthread_mutex_unlock(&lock);
		if (b)
			ret = make(b, file, why);
		else
			gpu_segment_put(segment);
	}
	if (!b || ret)
		return b ? ret : -ENOMEM;
	atomic_store_explicit(&file->last_bond, b, memory_order_release);
	*bond = b;
	return 0;
}

void bond_done(struct front_bond *bond)
{
	/* The segment may have left the cache before the bond was listed. */
	if (!atomic_load(&bond->segment->cached)) {
		pthread_mutex_lock(&lock);
		if (bond->listed)
			unlist_locked(bond);
		pthread_mutex_unlock(&lock);
	}
	if (drop_user(bond))
		destroy(bond);
}

static void forget(bool by_file, uint64_t number)
{
	struct front_bond *b, *next, *doomed = NULL;

	pthread_mutex_lock(&lock);
	for (b = list.next; b != &list; b = next) {
		next = b->next;
		if ((by_file ? b->file : b->segment_number) != number || !unlist_locked(b))
			continue;
		b->next = doomed;
		doomed = b;
	}
	pthread_mutex_unlock(&lock);
	for (b = doomed; b; b = next) {
		next = b->next;
		destroy(b);
	}
}

void bonds_forget_file(const struct front_file *file)
{
	forget(true, file->number);
}

void bonds_forget_segment(struct gpu_segment *segment)
{
	forget(false, segment->number);
}
