/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the probe and its reader agree on: bounds, and the layout of every record that crosses
 * between kernel and user space. src/record.rs mirrors this file; both assert the sizes, so that
 * a change on one side alone does not build.
 */
#ifndef TIERD_RECORD_H
#define TIERD_RECORD_H

/* Volumes and members that one probe can watch at a time. */
#define MAX_VOLUMES 16
#define MAX_MEMBERS 64

/*
 * Regions that one bio is counted on. bio.bi_iter.bi_size has 32 bits, so that a bio ends before
 * 4 GiB and spans at most 4097 regions of 1 MiB: none of a volume's bios is cut by this bound.
 */
#define MAX_SPAN 4097

/* Sampled bios, and sampled requests, that can be under way at a time. */
#define MAX_SAMPLES 4096

/* Bios of one request whose samples are ended with it; drivers merge fewer (max_segments). */
#define MAX_MERGED 256

/*
 * Ends of recent bios remembered per volume, to tell sequential bios from others; and for how long.
 * Streams that take turns faster than a disk turns are put in order by the scheduler or the disk;
 * of slower ones, each makes the head seek, as random access does.
 */
#define RECENT_ENDS 256
#define RECENT_ENDS_BITS 8
#define RECENT_NS 10000000ULL

/*
 * Latency in microseconds falls into buckets: one for each of 0 to 7, then eight for each power
 * of two up to 2^28 microseconds (four and a half minutes); the last one is open-ended.
 */
#define LATENCY_SUB_BITS 3
#define LATENCY_BUCKETS 208

/* Where a volume's regions are counted. */
#define STORAGE_ARRAY 0
#define STORAGE_HASH 1

/* The counts of one region in one interval. */
struct cell {
	/*
	 * Reads in the low half, writes in the high half: one atomic add then returns how many
	 * touches the region has had, and no two touches see the same number.
	 */
	__u64 touches;
	/* Sectors read in the low half, written in the high half (2 TiB each per interval). */
	__u64 sectors;
	/* Touches that began where a recent bio of the volume ended. */
	__u64 sequential;
};

/* What user space tells the probe about a volume. */
struct volume {
	__u32 dev; /* kernel's dev_t: major << 20 | minor */
	__u32 region_shift; /* log2 of the region size in sectors */
	__u32 regions;
	__u32 threshold; /* touches at which a region is reported; 0: never */
	__u32 sample_one_in; /* bios per latency sample, on average; 0: no samples */
	__u32 storage;
};

/* Sums over a volume since it was watched, per CPU. */
struct volume_totals {
	__u64 reads; /* bios, whatever number of regions they span */
	__u64 writes;
	__u64 read_bytes;
	__u64 written_bytes;
	__u64 flushes; /* bios without data */
	__u64 discards; /* bios, secure erases among them */
	__u64 discarded_bytes;
	__u64 write_zeroes; /* bios */
	__u64 zeroed_bytes;
	__u64 others; /* bios of any other operation */
	__u64 lost_touches; /* no room in the hash */
	__u64 skipped_touches; /* beyond the volume's regions, or beyond MAX_SPAN */
	__u64 lost_hot; /* the ring buffer was full */
	__u64 lost_samples; /* no room for a sample at the bio's start */
	__u32 sample_in; /* bios until the next latency sample */
	__u32 pad;
};

/* Latencies of a volume's sampled bios since it was watched. */
struct latencies {
	__u64 reads[LATENCY_BUCKETS];
	__u64 writes[LATENCY_BUCKETS];
	__u64 lost; /* samples whose end did not fit their start */
};

/* A sampled bio or request that is under way. */
struct sample {
	__u64 start_ns; /* CLOCK_MONOTONIC */
	__u64 end_sector; /* of a bio: the one thing about it that no split and no advance changes */
	__u32 dev;
	__u16 slot;
	__u16 is_write;
};

/* Pushed through the ring buffer when a region reaches its volume's threshold. */
struct hot {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 dev;
	__u32 region;
	__u32 reads;
	__u32 writes;
};

/* Sums over a member since it was watched, per CPU. */
struct member_counters {
	__u64 reads; /* requests completed */
	__u64 writes;
	__u64 others;
	__u64 read_bytes;
	__u64 written_bytes;
	/* From the request's start (queueing included) to its end, and how many were timed. */
	__u64 read_ns;
	__u64 write_ns;
	__u64 reads_timed;
	__u64 writes_timed;
	/* From the issue to the driver to the end, and how many were timed. */
	__u64 read_service_ns;
	__u64 write_service_ns;
	__u64 reads_served;
	__u64 writes_served;
	__u64 lost_samples; /* no room for a sample at the issue */
	__u32 sample_in; /* requests until the next sample of service latency */
	__u32 sample_one_in; /* set by user space; 0: no samples */
};

/* Which device the recorder records: user space sets it before any program is attached. */
struct recorded_device {
	__u32 dev;
	__u32 is_whole; /* with all of its partitions */
	__u64 start_sector; /* of a partition on its device */
	__u64 lost; /* bios that found the ring full */
};

/* A bio that was submitted to the recorded device. */
struct recorded_bio {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 sector; /* from the start of what is recorded */
	__u32 bytes;
	__u32 is_write;
};

_Static_assert(sizeof(struct cell) == 24, "cell");
_Static_assert(sizeof(struct volume) == 24, "volume");
_Static_assert(sizeof(struct volume_totals) == 120, "volume_totals");
_Static_assert(sizeof(struct latencies) == 3336, "latencies");
_Static_assert(sizeof(struct sample) == 24, "sample");
_Static_assert(sizeof(struct hot) == 24, "hot");
_Static_assert(sizeof(struct member_counters) == 120, "member_counters");
_Static_assert(sizeof(struct recorded_device) == 24, "recorded_device");
_Static_assert(sizeof(struct recorded_bio) == 24, "recorded_bio");

#endif
