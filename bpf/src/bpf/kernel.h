/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The few kernel types that the probe reads, cut by hand to the fields it uses. The loader finds
 * each field in the running kernel's BTF (preserve_access_index), so neither order nor size here
 * has to agree with any kernel; a field that is missing there fails the load.
 */
#ifndef TIERD_KERNEL_H
#define TIERD_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
#define true 1
#define false 0

/* include/uapi/linux/bpf.h */
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
};
enum {
	BPF_F_MMAPABLE = 1 << 10,
	BPF_F_INNER_MAP = 1 << 12,
};
enum {
	BPF_RB_NO_WAKEUP = 1,
};

/* include/linux/blk_types.h: the low eight bits of bi_opf and cmd_flags. */
#define REQ_OP_MASK 0xff
enum req_op {
	REQ_OP_READ = 0,
	REQ_OP_WRITE = 1,
	REQ_OP_FLUSH = 2,
	REQ_OP_DISCARD = 3,
	REQ_OP_SECURE_ERASE = 5,
	REQ_OP_WRITE_ZEROES = 9,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct gendisk;

struct block_device {
	__u32 bd_dev;
	struct gendisk *bd_disk;
};

struct gendisk {
	struct block_device *part0;
};

struct request_queue {
	struct gendisk *disk;
};

struct bvec_iter {
	__u64 bi_sector;
	__u32 bi_size;
};

struct bio {
	struct bio *bi_next;
	struct block_device *bi_bdev;
	__u32 bi_opf;
	struct bvec_iter bi_iter;
};

struct request {
	struct request_queue *q;
	struct bio *bio;
	struct block_device *part;
	__u32 cmd_flags;
	__u32 __data_len;
	__u64 start_time_ns;
	__u64 io_start_time_ns;
};

#pragma clang attribute pop

#endif
