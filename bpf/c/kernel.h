/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the programs need to know of the kernel: types, map and helper numbers, the context, packet headers. Our
 * own, so that a build needs clang and nothing else. Numbers: include/uapi/linux/bpf.h. */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed int __s32;
typedef signed long long __s64;

#define NULL ((void *)0)
#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
/* A function that the verifier judges once, by its types, and not again for each way that leads to it. Its pointers may
 * be NULL as far as the verifier knows; five arguments at most, and a result. */
#define SUBPROGRAM __attribute__((noinline))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/* How a map is told to the loader in BTF. */
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the programs are written for little-endian machines"
#endif
#define network16(x) ((__u16)((((x) & 0xff) << 8) | (((x) >> 8) & 0xff)))
#define network32(x) ((__u32)__builtin_bswap32(x))

enum {
  BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_ARRAY = 6, BPF_MAP_TYPE_LRU_HASH = 9,
  BPF_MAP_TYPE_LPM_TRIE = 11, BPF_MAP_TYPE_RINGBUF = 27
};
enum { BPF_F_NO_PREALLOC = 1 << 0, BPF_F_MMAPABLE = 1 << 10 };
enum { BPF_ANY = 0 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0 };
/* UNSPEC is TCX_NEXT as well: the next program of the hook decides. */
enum { TC_ACT_UNSPEC = -1, TC_ACT_SHOT = 2 };

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static __u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static long (*const bpf_skb_load_bytes)(const void *skb, __u32 offset, void *to, __u32 length) = (void *)26;
static void *(*const bpf_ringbuf_reserve)(void *ring, __u64 size, __u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, __u64 flags) = (void *)132;
static __u64 (*const bpf_ringbuf_query)(void *ring, __u64 flags) = (void *)134;
static long (*const bpf_probe_read_kernel)(void *to, __u32 size, const void *from) = (void *)113;
static long (*const bpf_probe_read_kernel_str)(void *to, __u32 size, const void *from) = (void *)115;
static long (*const bpf_snprintf)(char *to, __u32 size, const char *format, __u64 *values, __u32 values_size) =
    (void *)165;
static __u64 (*const bpf_ktime_get_coarse_ns)(void) = (void *)160; /* since 5.11; half the cost of ktime_get_ns */

struct __sk_buff {
  __u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
  __u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end, napi_id;
  __u32 family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port, data_meta;
  __u64 flow_keys, tstamp;
  __u32 wire_len, gso_segs;
};

enum { ETHERNET_HEADER = 14, ETHERNET_TYPE = 12, VLAN_TAG = 4 };
enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_IPV6 = 0x86dd, ETHERTYPE_8021Q = 0x8100, ETHERTYPE_8021AD = 0x88a8 };
enum {
  PROTOCOL_HOP_BY_HOP = 0, PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ROUTING = 43,
  PROTOCOL_FRAGMENT = 44, PROTOCOL_AH = 51, PROTOCOL_ICMPV6 = 58, PROTOCOL_DESTINATION = 60, PROTOCOL_SCTP = 132
};
enum { TCP_FIN = 1 << 0, TCP_SYN = 1 << 1, TCP_RST = 1 << 2, TCP_ACK = 1 << 4, TCP_FLAGS_AT = 13 };

struct ipv4_header {
  __u8 version_length, tos;
  __u16 length, id, fragment;
  __u8 ttl, protocol;
  __u16 checksum;
  __u32 source, destination;
};
struct ipv6_header {
  __u8 version_class, class_flow[3];
  __u16 length;
  __u8 next, hops;
  __u32 source[4], destination[4];
};
struct ports {
  __u16 source, destination;
};
struct icmp_header {
  __u8 type, code;
  __u16 checksum, id, sequence;
};
enum { FRAGMENT_OFFSET = 0x1fff, FRAGMENT_MORE = 0x2000, FRAGMENT6_OFFSET = 0xfff8, FRAGMENT6_MORE = 0x0001 };
