/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The headers of a packet that lies somewhere in the kernel's stack, as far as they are in its linear part. */
#pragma once
#include "icmp.h"
#include "skb.h"

struct headers {
  __u8 source[16];
  __u8 destination[16];
  __u16 source_port; /* network order; 0 where there is none, in later fragments and behind IPv6 extension headers */
  __u16 destination_port;
  __u8 family;
  __u8 protocol;
  __u8 tcp_flags;
  __u8 icmp_type;
  __u8 icmp_code;
  __u8 pad[3];
};

enum { PORTLESS_HEADER = 8, TCP_HEADER = TCP_FLAGS_AT + 1 };

static __always_inline void headers_ipv4(struct headers *h, const struct ipv4_header *ip) {
  __u32 *source = (__u32 *)h->source, *destination = (__u32 *)h->destination;
  h->family = 4;
  h->protocol = ip->protocol;
  source[2] = destination[2] = network32(0x0000ffff);
  source[3] = ip->source;
  destination[3] = ip->destination;
}

static __always_inline void headers_transport(struct headers *h, const __u8 *at, __u32 left) {
  __u8 bytes[TCP_HEADER] = {};
  int tcp = h->protocol == PROTOCOL_TCP;
  if (tcp ? left < TCP_HEADER : left < PORTLESS_HEADER) return;
  if (tcp)
    bpf_probe_read_kernel(bytes, TCP_HEADER, at);
  else
    bpf_probe_read_kernel(bytes, PORTLESS_HEADER, at);
  if (tcp || h->protocol == PROTOCOL_UDP || h->protocol == PROTOCOL_SCTP) {
    h->source_port = bytes[0] | bytes[1] << 8;
    h->destination_port = bytes[2] | bytes[3] << 8;
    h->tcp_flags = bytes[TCP_FLAGS_AT];
  } else if (h->protocol == (h->family == 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6)) {
    h->icmp_type = bytes[0];
    h->icmp_code = bytes[1];
  }
}

/* False: no IP packet, or housekeeping. */
static __always_inline int headers_read(const struct sk_buff *skb, struct headers *h) {
  const __u8 *head = skb->head;
  __u32 network = skb->network_header, end = skb->tail, transport;
  if (skb->protocol == network16(ETHERTYPE_IPV4)) {
    struct ipv4_header ip;
    if (network + sizeof(ip) > end || bpf_probe_read_kernel(&ip, sizeof(ip), head + network)) return 0;
    if (ip.version_length >> 4 != 4) return 0;
    headers_ipv4(h, &ip);
    if (ip.fragment & network16(FRAGMENT_OFFSET)) return 1;
    transport = network + (ip.version_length & 0xf) * 4;
  } else if (skb->protocol == network16(ETHERTYPE_IPV6)) {
    struct ipv6_header ip;
    if (network + sizeof(ip) > end || bpf_probe_read_kernel(&ip, sizeof(ip), head + network)) return 0;
    if (ip.version_class >> 4 != 6) return 0;
    h->family = 6;
    h->protocol = ip.next;
    __builtin_memcpy(h->source, ip.source, 16);
    __builtin_memcpy(h->destination, ip.destination, 16);
    transport = network + sizeof(ip);
  } else {
    return 0;
  }
  if (transport < end) headers_transport(h, head + transport, end - transport);
  return !(h->family == 6 && h->protocol == PROTOCOL_ICMPV6 && icmp6_class(h->icmp_type) == ICMP_HOUSEKEEPING);
}
