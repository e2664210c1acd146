/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Counting a bio on the regions of a volume that it touches, and raising those that cross the
 * threshold. Invariant: each region a bio touches is counted once, or its touch is counted as lost
 * or skipped.
 */
#ifndef TIERD_REGIONS_H
#define TIERD_REGIONS_H

#include "maps.h"

struct span {
	__u64 first_sector;
	__u64 end_sector;
	__u32 dev;
	__u32 slot;
	__u32 region_shift;
	__u32 threshold;
	__u32 storage;
	__u32 is_write;
	__u32 is_sequential;
	__u32 lost;
	__u32 lost_hot;
};

static __always_inline struct cell *cell_of(const struct span *span, __u32 region)
{
	__u32 slot = span->slot;
	struct cell fresh = {};
	struct cell *cell;
	void *set;

	if (span->storage == STORAGE_ARRAY) {
		set = bpf_map_lookup_elem(&array_sets, &slot);
		return set ? bpf_map_lookup_elem(set, &region) : 0;
	}
	set = bpf_map_lookup_elem(&hash_sets, &slot);
	if (!set)
		return 0;
	cell = bpf_map_lookup_elem(set, &region);
	if (cell)
		return cell;
	/* Fails when another CPU was first, which is as good, or when the hash is full. */
	bpf_map_update_elem(set, &region, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(set, &region);
}

static __always_inline void report_hot(struct span *span, __u32 region, __u32 reads, __u32 writes)
{
	struct hot *hot = bpf_ringbuf_reserve(&hot_ring, sizeof(*hot), 0);

	if (!hot) {
		span->lost_hot++;
		return;
	}
	hot->time_ns = bpf_ktime_get_ns();
	hot->dev = span->dev;
	hot->region = region;
	hot->reads = reads;
	hot->writes = writes;
	bpf_ringbuf_submit(hot, 0);
}

/* Counts the part of a bio that lies in one region. */
static __always_inline void touch(struct span *span, __u32 region)
{
	__u64 region_first = (__u64)region << span->region_shift;
	__u64 region_end = region_first + (1ULL << span->region_shift);
	__u64 first = span->first_sector > region_first ? span->first_sector : region_first;
	__u64 end = span->end_sector < region_end ? span->end_sector : region_end;
	__u64 unit = span->is_write ? 1ULL << 32 : 1;
	struct cell *cell = cell_of(span, region);
	__u64 before;
	__u32 reads, writes;

	if (!cell) {
		span->lost++;
		return;
	}
	before = __sync_fetch_and_add(&cell->touches, unit);
	__sync_fetch_and_add(&cell->sectors, (end - first) * unit);
	/* The later parts of a bio follow on its first. */
	if (span->is_sequential || first != span->first_sector)
		__sync_fetch_and_add(&cell->sequential, 1);

	before += unit;
	reads = (__u32)before;
	writes = before >> 32;
	if (span->threshold && reads + writes == span->threshold)
		report_hot(span, region, reads, writes);
}

static long touch_next(__u32 index, void *ctx)
{
	struct span *span = ctx;

	touch(span, (__u32)(span->first_sector >> span->region_shift) + index);
	return 0;
}

static __always_inline struct end *end_at(__u32 slot, __u64 sector)
{
	const __u64 golden = 0x9e3779b97f4a7c15ULL;

	return &recent_ends[slot & (MAX_VOLUMES - 1)][(sector * golden) >> (64 - RECENT_ENDS_BITS)];
}

/* Whether a bio goes on where the last one ended, or where one did just now; remembers its own
 * end. */
static __always_inline bool follows(__u32 slot, __u64 first_sector, __u64 end_sector)
{
	__u64 *last = &last_ends[slot & (MAX_VOLUMES - 1)];
	struct end *before = end_at(slot, first_sector);
	struct end *own = end_at(slot, end_sector);
	__u64 now = bpf_ktime_get_ns();
	bool is_recent = before->sector == first_sector && now - before->time_ns <= RECENT_NS;
	bool follows = first_sector && (*last == first_sector || is_recent);

	own->sector = end_sector;
	own->time_ns = now;
	*last = end_sector;
	return follows;
}

static __always_inline void count_regions(struct volume *volume, struct volume_totals *totals,
					  __u32 slot, __u64 first_sector, __u32 bytes, bool is_write)
{
	struct span span = {
		.first_sector = first_sector,
		.end_sector = first_sector + (bytes >> SECTOR_SHIFT),
		.dev = volume->dev,
		.slot = slot,
		.region_shift = volume->region_shift & 31,
		.threshold = volume->threshold,
		.storage = volume->storage,
		.is_write = is_write,
	};
	__u64 first = span.first_sector >> span.region_shift;
	__u64 last = (span.end_sector - 1) >> span.region_shift;
	__u64 wanted = last - first + 1;
	__u64 counted = wanted;

	span.is_sequential = follows(slot, span.first_sector, span.end_sector);
	if (first >= volume->regions)
		counted = 0;
	else if (last >= volume->regions)
		counted = volume->regions - first;
	if (counted > MAX_SPAN)
		counted = MAX_SPAN;
	totals->skipped_touches += wanted - counted;

	if (counted == 1)
		touch(&span, (__u32)first);
	else if (counted)
		bpf_loop((__u32)counted, touch_next, &span, 0);
	totals->lost_touches += span.lost;
	totals->lost_hot += span.lost_hot;
}

#endif
