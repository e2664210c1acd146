/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Latency of the bios of a volume, one in N: from their submission to their end, by whichever way
 * the kernel tells it. Invariant: a sample whose end was not seen is overwritten or dropped, and
 * never taken for another bio's.
 */
#ifndef TIERD_LATENCY_H
#define TIERD_LATENCY_H

#include "maps.h"
#include <bpf/bpf_core_read.h>

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

#endif
