/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A packet as the programs see it: the key of its connection, and what an event shows besides. */
#pragma once
#include "abi.h"
#include "kernel.h"

enum packet_flag {
  PACKET_PORTS = 1 << 0,      /* the ports in the key are ports of the protocol */
  PACKET_ICMP_ERROR = 1 << 1, /* quotes the packet that it is about */
  PACKET_QUOTED = 1 << 2,     /* is itself such a quotation: its headers may be cut after 8 bytes of transport */
  PACKET_FIRST = 1 << 3,      /* the first fragment of several */
};

struct packet {
  struct connection_key key;
  __u8 direction; /* enum direction */
  __u8 family;    /* 4 or 6; 0 until known, and of no event */
  __u8 tcp_flags; /* 0 in later fragments */
  __u8 flags;     /* enum packet_flag */
  __u8 icmp_type;
  __u8 icmp_code;
  __u8 pad[6];
  __u32 quote;    /* ICMP errors: offset of the quoted packet */
  __u32 datagram; /* PACKET_FIRST: its identification */
  __u64 now;      /* coarse: of a clock tick */
};

/* Index of a direction in the pairs of a connection. */
static __always_inline __u32 index_of(__u32 direction) { return direction == DIRECTION_EGRESS; }

static __always_inline __u32 opposite(__u32 direction) {
  return direction == DIRECTION_EGRESS ? DIRECTION_INGRESS : DIRECTION_EGRESS;
}

static __always_inline __u16 source_port(const struct packet *p) {
  return p->direction == DIRECTION_EGRESS ? p->key.local_port : p->key.remote_port;
}

static __always_inline __u16 destination_port(const struct packet *p) {
  return p->direction == DIRECTION_EGRESS ? p->key.remote_port : p->key.local_port;
}

/* The direction is an argument to these so that the fast path, which knows it, has no branch on it. */
static __always_inline void set_ports(struct packet *p, __u32 direction, __u16 source, __u16 destination) {
  int out = direction == DIRECTION_EGRESS;
  p->key.local_port = out ? source : destination;
  p->key.remote_port = out ? destination : source;
}

static __always_inline void set_ipv4(struct packet *p, __u32 direction, __u32 source, __u32 destination) {
  int out = direction == DIRECTION_EGRESS;
  __u32 *local = (__u32 *)p->key.local, *remote = (__u32 *)p->key.remote;
  p->family = 4;
  local[2] = remote[2] = network32(0x0000ffff);
  local[3] = out ? source : destination;
  remote[3] = out ? destination : source;
}

static __always_inline void set_ipv6(struct packet *p, __u32 direction, const __u32 *source,
                                     const __u32 *destination) {
  int out = direction == DIRECTION_EGRESS;
  p->family = 6;
  __builtin_memcpy(p->key.local, out ? source : destination, 16);
  __builtin_memcpy(p->key.remote, out ? destination : source, 16);
}

static __always_inline int has_ports(__u8 protocol) {
  return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

/* A TCP packet that opens a connection. */
static __always_inline int is_pure_syn(const struct packet *p) {
  return (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}
