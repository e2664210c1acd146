// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The recorder: every read and write of data that is submitted to one device, in the order of
 * time, as far as it fits a ring. An object of its own, so that nothing of it is in the kernel
 * unless someone records.
 *
 * Invariants:
 *  - A bio is recorded once, before it is split or merged, as block_bio_queue fires.
 *  - What the ring had no room for is counted.
 *  - Nobody is woken: the reader looks often enough for the ring it asked for.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "record.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct recorded_device);
} recorded SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* bytes; user space sets its own before the load */
} bios SEC(".maps");

/*
 * Whether a bio is one of the device's. One that was submitted to a partition still names it here,
 * while its sector counts from the start of the whole device (blk_partition_remap).
 */
static __always_inline bool is_recorded(struct bio *bio, struct recorded_device *device)
{
	struct block_device *bdev = bio->bi_bdev;

	if (device->is_whole)
		return bdev->bd_disk->part0->bd_dev == device->dev;
	return bdev->bd_dev == device->dev;
}

SEC("tp_btf/block_bio_queue")
int BPF_PROG(tierd_record_bio, struct bio *bio)
{
	__u32 zero = 0, op = bio->bi_opf & REQ_OP_MASK;
	struct recorded_device *device = bpf_map_lookup_elem(&recorded, &zero);
	struct recorded_bio *record;

	if (!device || op > REQ_OP_WRITE || !bio->bi_iter.bi_size || !is_recorded(bio, device))
		return 0;
	record = bpf_ringbuf_reserve(&bios, sizeof(*record), 0);
	if (!record) {
		__sync_fetch_and_add(&device->lost, 1);
		return 0;
	}
	record->time_ns = bpf_ktime_get_ns();
	record->sector = bio->bi_iter.bi_sector - device->start_sector;
	record->bytes = bio->bi_iter.bi_size;
	record->is_write = op == REQ_OP_WRITE;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}
