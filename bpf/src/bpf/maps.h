/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the programs and user space share: which devices are watched, and every counter. Written
 * by user space: the devices, volumes[] and the sets of cells; by the programs: what they count.
 */
#ifndef TIERD_MAPS_H
#define TIERD_MAPS_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include "record.h"

#define SECTOR_SHIFT 9
#define NOT_WATCHED (-1)

/*
 * Watched devices: dev_t to (dev_t << 32 | slot). The number is kept in the value as well, since
 * a deleted element may be used again for another device while a program still reads it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_VOLUMES);
	__type(key, __u32);
	__type(value, __u64);
} volume_devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_MEMBERS);
	__type(key, __u32);
	__type(value, __u64);
} member_devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_VOLUMES);
	__type(key, __u32);
	__type(value, struct volume);
} volumes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_VOLUMES);
	__type(key, __u32);
	__type(value, struct volume_totals);
} volume_totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_VOLUMES);
	__type(key, __u32);
	__type(value, struct latencies);
} volume_latencies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_MEMBERS);
	__type(key, __u32);
	__type(value, struct member_counters);
} member_counters SEC(".maps");

/*
 * The set of cells that each volume counts in now; user space puts the other set here at the end
 * of an interval. Slot MAX_VOLUMES is never counted in: user space updates it just to wait for
 * the programs that run. (Sizes, not types: clang 14 leaves the types of inner maps out of BTF.)
 */
struct cell_array {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct cell));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_VOLUMES + 1);
	__type(key, __u32);
	__array(values, struct cell_array);
} array_sets SEC(".maps");

/* The same for volumes with more regions than the memory budget lets an array have. */
struct cell_hash {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct cell));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_VOLUMES);
	__type(key, __u32);
	__array(values, struct cell_hash);
} hash_sets SEC(".maps");

/* Sampled bios and requests under way, by their address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SAMPLES);
	__type(key, __u64);
	__type(value, struct sample);
} bio_samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SAMPLES);
	__type(key, __u64);
	__type(value, struct sample);
} request_samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* bytes; user space sets its own before the load */
} hot_ring SEC(".maps");

/* Where a bio ended, and when. */
struct end {
	__u64 sector;
	__u64 time_ns;
};

/*
 * Sectors at which recent bios of a volume ended, each at the place its own hash names. Streams
 * that interleave keep apart this way. Racing writers cost a hint, never a count.
 */
struct end recent_ends[MAX_VOLUMES][RECENT_ENDS];
/* Where the last one ended: there the head still is, however long ago that was. */
__u64 last_ends[MAX_VOLUMES];

static __always_inline int slot_of(void *devices, __u32 dev, __u32 slots)
{
	__u64 *entry = bpf_map_lookup_elem(devices, &dev);
	__u64 value;
	__u32 slot;

	if (!entry)
		return NOT_WATCHED;
	value = *(volatile __u64 *)entry;
	slot = (__u32)value;
	if (value >> 32 != dev || slot >= slots)
		return NOT_WATCHED;
	return slot;
}

/* Whether this event is to be sampled: one in `one_in` on average, with a random gap, so that a
 * load with a rhythm of its own is sampled fairly. */
static __always_inline bool is_sampled(__u32 *sample_in, __u32 one_in)
{
	if (!one_in)
		return false;
	if (*sample_in > 1) {
		*sample_in -= 1;
		return false;
	}
	*sample_in = 1 + bpf_get_prandom_u32() % (2 * one_in - 1);
	return true;
}

#endif
