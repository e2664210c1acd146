// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The probe: counts block I/O where it happens. It reports facts and decides nothing; what is hot
 * or worth a move is the engine's business, and the one number it compares with (the threshold)
 * is set by the engine.
 *
 * Invariants:
 *  - A bio is counted once, on the device it was submitted to: block_bio_queue fires once per
 *    layer, and each layer has its own device number.
 *  - What could not be counted is itself counted (lost, skipped).
 *  - Per-CPU sums need no atomics: the kernel does not run a tracing program on a CPU that is in
 *    the middle of the same program, and no field is written by two programs. What CPUs share is
 *    written by atomic adds.
 *  - No gauge is kept: ends of requests were seen to be missing here (some of 65,536, and once
 *    1.2 % of a run's reads) that the kernel fired and did not report as missed. Why is not
 *    established; an end that interrupts another end is a guess. Submissions agreed with fio's in
 *    every run.
 *  - No program uses a volume's set of cells after it has returned, so that user space can swap
 *    sets and wait out the programs that run (a map-in-map update does that in the kernel).
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "record.h"

/* What bpf_ringbuf_reserve and friends ask of a program that uses them. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";

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

/*
 * Sectors at which recent bios of a volume ended, each at the place its own hash names. Streams
 * that interleave keep apart this way. Racing writers cost a hint, never a count.
 */
__u64 recent_ends[MAX_VOLUMES][RECENT_ENDS];

/* ---- shared ---- */

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

/* ---- volumes: bios ---- */

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

/* Whether a bio begins where a recent one ended; remembers its own end. */
static __always_inline bool follows_recent(__u32 slot, __u64 first_sector, __u64 end_sector)
{
	const __u64 golden = 0x9e3779b97f4a7c15ULL;
	__u64 *ends = recent_ends[slot & (MAX_VOLUMES - 1)];
	bool follows = first_sector &&
		       ends[(first_sector * golden) >> (64 - RECENT_ENDS_BITS)] == first_sector;

	ends[(end_sector * golden) >> (64 - RECENT_ENDS_BITS)] = end_sector;
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

	span.is_sequential = follows_recent(slot, span.first_sector, span.end_sector);
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

static __always_inline void start_sample(struct volume *volume, struct volume_totals *totals,
					 __u32 slot, struct bio *bio, bool is_write)
{
	__u64 key = (__u64)bio;
	struct sample sample = {
		.start_ns = bpf_ktime_get_ns(),
		.end_sector = bio->bi_iter.bi_sector + (bio->bi_iter.bi_size >> SECTOR_SHIFT),
		.dev = volume->dev,
		.slot = slot,
		.is_write = is_write,
	};

	/* BPF_ANY: an element that is left from an earlier life of this address is overwritten. */
	if (bpf_map_update_elem(&bio_samples, &key, &sample, BPF_ANY))
		totals->lost_samples++;
}

/* Bios that move no data of their own: counted, but no region grows warmer by them. */
static __always_inline void count_apart(struct volume_totals *totals, __u32 op, __u32 bytes)
{
	if (op == REQ_OP_FLUSH || op == REQ_OP_WRITE || op == REQ_OP_READ) {
		totals->flushes++;
	} else if (op == bpf_core_enum_value(enum req_op, REQ_OP_DISCARD) ||
		   op == bpf_core_enum_value(enum req_op, REQ_OP_SECURE_ERASE)) {
		totals->discards++;
		totals->discarded_bytes += bytes;
	} else if (op == bpf_core_enum_value(enum req_op, REQ_OP_WRITE_ZEROES)) {
		totals->write_zeroes++;
		totals->zeroed_bytes += bytes;
	} else {
		totals->others++;
	}
}

SEC("tp_btf/block_bio_queue")
int BPF_PROG(tierd_bio_queue, struct bio *bio)
{
	int found = slot_of(&volume_devices, bio->bi_bdev->bd_dev, MAX_VOLUMES);
	__u32 slot = found;
	struct volume *volume;
	struct volume_totals *totals;
	__u32 op, bytes;
	bool is_write;

	if (found == NOT_WATCHED)
		return 0;
	volume = bpf_map_lookup_elem(&volumes, &slot);
	totals = bpf_map_lookup_elem(&volume_totals, &slot);
	if (!volume || !totals)
		return 0;

	op = bio->bi_opf & REQ_OP_MASK;
	bytes = bio->bi_iter.bi_size;
	if (op > REQ_OP_WRITE || !bytes) {
		count_apart(totals, op, bytes);
		return 0;
	}
	is_write = op == REQ_OP_WRITE;
	if (is_write) {
		totals->writes++;
		totals->written_bytes += bytes;
	} else {
		totals->reads++;
		totals->read_bytes += bytes;
	}
	count_regions(volume, totals, slot, bio->bi_iter.bi_sector, bytes, is_write);
	if (is_sampled(&totals->sample_in, volume->sample_one_in))
		start_sample(volume, totals, slot, bio, is_write);
	return 0;
}

static __always_inline __u32 latency_bucket(__u64 nanos)
{
	__u64 micros = nanos / 1000;
	__u64 rest = micros >> LATENCY_SUB_BITS;
	__u32 power = 0;
	__u32 bucket;

	/* floor(log2(micros)) - LATENCY_SUB_BITS, by halving: BPF has no count of leading zeros. */
	if (!rest)
		return (__u32)micros;
	if (rest >> 32)
		return LATENCY_BUCKETS - 1;
	if (rest >> 16) {
		power += 16;
		rest >>= 16;
	}
	if (rest >> 8) {
		power += 8;
		rest >>= 8;
	}
	if (rest >> 4) {
		power += 4;
		rest >>= 4;
	}
	if (rest >> 2) {
		power += 2;
		rest >>= 2;
	}
	if (rest >> 1)
		power += 1;
	bucket = ((power + 1) << LATENCY_SUB_BITS) +
		 ((micros >> power) & ((1 << LATENCY_SUB_BITS) - 1));
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* Takes the latency of a bio that ends, if it was sampled. */
static __always_inline void end_sample(struct bio *bio)
{
	__u64 key = (__u64)bio;
	struct sample *found = bpf_map_lookup_elem(&bio_samples, &key);
	struct latencies *latencies;
	struct volume *volume;
	struct sample sample;
	__u64 bucket, now, end_sector;
	__u32 slot;

	if (!found)
		return;
	now = bpf_ktime_get_ns();
	sample = *found;
	bpf_map_delete_elem(&bio_samples, &key);
	slot = sample.slot;
	volume = bpf_map_lookup_elem(&volumes, &slot);
	latencies = bpf_map_lookup_elem(&volume_latencies, &slot);
	/* A volume that is no longer watched has no one to tell. */
	if (!volume || !latencies || volume->dev != sample.dev)
		return;
	/* Another bio, at the address of one whose end was kept from this program. */
	end_sector = BPF_CORE_READ(bio, bi_iter.bi_sector) +
		     (BPF_CORE_READ(bio, bi_iter.bi_size) >> SECTOR_SHIFT);
	if (end_sector != sample.end_sector || now < sample.start_ns ||
	    BPF_CORE_READ(bio, bi_bdev, bd_dev) != sample.dev ||
	    (BPF_CORE_READ(bio, bi_opf) & REQ_OP_MASK) != sample.is_write) {
		__sync_fetch_and_add(&latencies->lost, 1);
		return;
	}
	bucket = latency_bucket(now - sample.start_ns);
	/* Keeps the verifier's view of the index and the compiler's in one register. */
	barrier_var(bucket);
	if (bucket >= LATENCY_BUCKETS)
		return;
	if (sample.is_write)
		__sync_fetch_and_add(&latencies->writes[bucket], 1);
	else
		__sync_fetch_and_add(&latencies->reads[bucket], 1);
}

/* The end of a bio on a device that works on bios, as device-mapper does. */
SEC("tp_btf/block_bio_complete")
int BPF_PROG(tierd_bio_complete, struct request_queue *q, struct bio *bio)
{
	end_sample(bio);
	return 0;
}

/* Bios of a request that end with its first `bytes`. */
struct ending {
	__u64 bio;
	__u32 bytes;
};

static long end_next(__u32 index, void *ctx)
{
	struct ending *ending = ctx;
	struct bio *bio = (struct bio *)ending->bio;
	__u32 bytes;

	if (!bio)
		return 1;
	bytes = BPF_CORE_READ(bio, bi_iter.bi_size);
	if (bytes > ending->bytes)
		return 1;
	ending->bytes -= bytes;
	ending->bio = (__u64)BPF_CORE_READ(bio, bi_next);
	end_sample(bio);
	return 0;
}

/*
 * The end of bios on a volume that works on requests, as ublk and loop do: there the kernel traces
 * the end of the request and not of its bios (blk_update_request in block/blk-mq.c). `bytes` may
 * be but the first part of the request.
 */
static __always_inline void end_samples(struct request *rq, __u32 bytes)
{
	struct ending ending = {
		.bio = (__u64)rq->bio,
		.bytes = bytes,
	};

	bpf_loop(MAX_MERGED, end_next, &ending, 0);
}

/* ---- members: requests ---- */

/* The member that a request belongs to: a partition, or the whole device. */
static __always_inline int member_of(struct request *rq)
{
	/* NULL where the request is not accounted; reads through NULL yield zero here. */
	__u32 part = rq->part->bd_dev;
	__u32 whole = rq->q->disk->part0->bd_dev;
	int slot = NOT_WATCHED;

	if (part && part != whole)
		slot = slot_of(&member_devices, part, MAX_MEMBERS);
	if (slot == NOT_WATCHED)
		slot = slot_of(&member_devices, whole, MAX_MEMBERS);
	return slot;
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(tierd_rq_issue, struct request *rq)
{
	int found = member_of(rq);
	__u32 slot = found;
	struct member_counters *counters;
	__u64 key = (__u64)rq;
	struct sample sample = {};

	if (found == NOT_WATCHED)
		return 0;
	counters = bpf_map_lookup_elem(&member_counters, &slot);
	if (!counters)
		return 0;
	if (!is_sampled(&counters->sample_in, counters->sample_one_in))
		return 0;
	sample.start_ns = bpf_ktime_get_ns();
	sample.slot = slot;
	if (bpf_map_update_elem(&request_samples, &key, &sample, BPF_ANY))
		counters->lost_samples++;
	return 0;
}

SEC("tp_btf/block_rq_requeue")
int BPF_PROG(tierd_rq_requeue, struct request *rq)
{
	__u64 key = (__u64)rq;

	/* The driver gave it back, to be issued and timed again. */
	if (member_of(rq) != NOT_WATCHED)
		bpf_map_delete_elem(&request_samples, &key);
	return 0;
}

/* Nanoseconds that the driver took for a request, or 0 if that was not measured. */
static __always_inline __u64 service_ns(struct request *rq, __u32 slot, __u64 now)
{
	__u64 key = (__u64)rq;
	struct sample *sample = bpf_map_lookup_elem(&request_samples, &key);
	__u64 start = 0;

	if (sample) {
		if (sample->slot == slot)
			start = sample->start_ns;
		bpf_map_delete_elem(&request_samples, &key);
	}
	/* The kernel's own stamp, which only some queues take, covers each request. */
	if (bpf_core_field_exists(rq->io_start_time_ns) && rq->io_start_time_ns)
		start = rq->io_start_time_ns;
	return start && start < now ? now - start : 0;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(tierd_rq_complete, struct request *rq, int error, unsigned int bytes)
{
	int found = member_of(rq);
	__u32 slot = found;
	struct member_counters *counters;
	__u64 now, latency = 0, service;
	__u32 op;

	if (slot_of(&volume_devices, rq->q->disk->part0->bd_dev, MAX_VOLUMES) != NOT_WATCHED)
		end_samples(rq, bytes);
	if (found == NOT_WATCHED)
		return 0;
	counters = bpf_map_lookup_elem(&member_counters, &slot);
	if (!counters)
		return 0;

	op = rq->cmd_flags & REQ_OP_MASK;
	if (op == REQ_OP_READ)
		counters->read_bytes += bytes;
	else if (op == REQ_OP_WRITE)
		counters->written_bytes += bytes;
	/* A request may end in parts; the last is the one that leaves nothing. */
	if (bytes < rq->__data_len)
		return 0;

	now = bpf_ktime_get_ns();
	service = service_ns(rq, slot, now);
	if (bpf_core_field_exists(rq->start_time_ns) && rq->start_time_ns &&
	    rq->start_time_ns < now)
		latency = now - rq->start_time_ns;
	if (op == REQ_OP_READ) {
		counters->reads++;
		counters->read_ns += latency;
		counters->reads_timed += latency != 0;
		counters->read_service_ns += service;
		counters->reads_served += service != 0;
	} else if (op == REQ_OP_WRITE) {
		counters->writes++;
		counters->write_ns += latency;
		counters->writes_timed += latency != 0;
		counters->write_service_ns += service;
		counters->writes_served += service != 0;
	} else {
		counters->others++;
	}
	return 0;
}
