/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From bytes to a struct packet. Plain TCP, UDP and SCTP are read in place; the rest by copies. */
#pragma once
#include "fragment.h"
#include "icmp.h"

enum parsed {
  PARSED,
  PARSED_UNSEEN,     /* not IP, or housekeeping: neither judged nor reported */
  PARSED_INVALID,    /* cut off or malformed, or behind more VLAN tags than are looked at */
  PARSED_EXTENSIONS, /* IPv6 extension headers cut off, or more of them than are looked at */
};
enum { MOST_EXTENSIONS = 6, MOST_VLAN_TAGS = 2 };

/* An Ethernet header, an IP header without options, ports. False: the general way has to look. */
static __always_inline int parse_plain(struct __sk_buff *skb, struct packet *p, __u32 direction) {
  const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
  const __u8 *transport;
  if (skb->protocol == network16(ETHERTYPE_IPV4)) {
    const struct ipv4_header *ip = data + ETHERNET_HEADER;
    transport = (void *)(ip + 1);
    if (transport + sizeof(struct ports) > (__u8 *)end || ip->version_length != 0x45 ||
        ip->fragment & network16(FRAGMENT_MORE | FRAGMENT_OFFSET))
      return 0;
    p->key.protocol = ip->protocol;
    set_ipv4(p, direction, ip->source, ip->destination);
  } else if (skb->protocol == network16(ETHERTYPE_IPV6)) {
    const struct ipv6_header *ip = data + ETHERNET_HEADER;
    transport = (void *)(ip + 1);
    if (transport + sizeof(struct ports) > (__u8 *)end || ip->version_class >> 4 != 6) return 0;
    p->key.protocol = ip->next;
    set_ipv6(p, direction, ip->source, ip->destination);
  } else {
    return 0;
  }
  if (p->key.protocol == PROTOCOL_TCP) {
    if (transport + TCP_FLAGS_AT + 1 > (__u8 *)end) return 0;
    p->tcp_flags = transport[TCP_FLAGS_AT];
  } else if (p->key.protocol != PROTOCOL_UDP && p->key.protocol != PROTOCOL_SCTP) {
    return 0;
  }
  const struct ports *ports = (void *)transport;
  set_ports(p, direction, ports->source, ports->destination);
  p->flags = PACKET_PORTS;
  return 1;
}

static __always_inline enum parsed parse_icmp(struct __sk_buff *skb, struct packet *p, __u32 offset) {
  struct icmp_header icmp;
  if (bpf_skb_load_bytes(skb, offset, &icmp, sizeof(icmp))) return PARSED_INVALID;
  p->icmp_type = icmp.type;
  p->icmp_code = icmp.code;
  enum icmp_class class = icmp_class(p);
  if (class == ICMP_HOUSEKEEPING) return PARSED_UNSEEN;
  if (class == ICMP_QUERY || class == ICMP_REPLY) set_ports(p, p->direction, icmp.id, icmp.id);
  if (class == ICMP_ERROR) p->flags |= PACKET_ICMP_ERROR;
  p->key.asked = asked_by(p, class);
  p->quote = offset + sizeof(icmp);
  return PARSED;
}

static __always_inline enum parsed parse_transport(struct __sk_buff *skb, struct packet *p, __u32 offset) {
  if (is_icmp(p)) return parse_icmp(skb, p, offset);
  if (!has_ports(p->key.protocol)) return PARSED;
  struct ports ports;
  if (bpf_skb_load_bytes(skb, offset, &ports, sizeof(ports))) return PARSED_INVALID;
  set_ports(p, p->direction, ports.source, ports.destination);
  p->flags |= PACKET_PORTS;
  /* a first fragment without the flags is refused too: they could follow in the next one */
  if (p->key.protocol == PROTOCOL_TCP && !(p->flags & PACKET_QUOTED) &&
      bpf_skb_load_bytes(skb, offset + TCP_FLAGS_AT, &p->tcp_flags, 1))
    return PARSED_INVALID;
  return PARSED;
}

struct datagram {
  __u32 offset; /* of what follows the IP headers */
  __u32 id;
  __u8 first;   /* the first fragment of several */
  __u8 later;   /* a fragment after the first */
};

static __always_inline enum parsed parse_ipv4(struct __sk_buff *skb, struct packet *p, struct datagram *d) {
  struct ipv4_header ip;
  set_ipv4(p, p->direction, 0, 0); /* what the event of an unreadable header shows: 0.0.0.0, mapped as any */
  if (bpf_skb_load_bytes(skb, d->offset, &ip, sizeof(ip))) return PARSED_INVALID;
  __u32 length = (ip.version_length & 15) * 4;
  if (ip.version_length >> 4 != 4 || length < sizeof(ip)) return PARSED_INVALID;
  set_ipv4(p, p->direction, ip.source, ip.destination);
  p->key.protocol = ip.protocol;
  d->offset += length;
  if (d->offset > skb->len) return PARSED_INVALID;
  d->id = ip.id;
  d->later = (ip.fragment & network16(FRAGMENT_OFFSET)) != 0;
  d->first = !d->later && ip.fragment & network16(FRAGMENT_MORE);
  return PARSED;
}

static __always_inline int is_extension(__u8 next) {
  return next == PROTOCOL_HOP_BY_HOP || next == PROTOCOL_ROUTING || next == PROTOCOL_DESTINATION ||
         next == PROTOCOL_FRAGMENT || next == PROTOCOL_AH;
}

static __always_inline enum parsed parse_ipv6(struct __sk_buff *skb, struct packet *p, struct datagram *d) {
  struct ipv6_header ip;
  p->family = 6;
  if (bpf_skb_load_bytes(skb, d->offset, &ip, sizeof(ip))) return PARSED_INVALID;
  if (ip.version_class >> 4 != 6) return PARSED_INVALID;
  set_ipv6(p, p->direction, ip.source, ip.destination);
  __u8 next = ip.next;
  d->offset += sizeof(ip);
  for (int i = 0; i < MOST_EXTENSIONS && is_extension(next) && !d->later; i++) {
    struct {
      __u8 next, length;
      __u16 fragment;
      __u32 id;
    } extension;
    if (bpf_skb_load_bytes(skb, d->offset, &extension, sizeof(extension))) return PARSED_EXTENSIONS;
    if (next == PROTOCOL_FRAGMENT) {
      d->id = extension.id;
      d->later = (extension.fragment & network16(FRAGMENT6_OFFSET)) != 0;
      d->first = !d->later && extension.fragment & network16(FRAGMENT6_MORE);
      d->offset += 8;
    } else {
      d->offset += next == PROTOCOL_AH ? (extension.length + 2) * 4 : (extension.length + 1) * 8;
    }
    next = extension.next;
  }
  p->key.protocol = next;
  if (d->offset > skb->len || (is_extension(next) && !d->later)) return PARSED_EXTENSIONS;
  return PARSED;
}

/* The general way, from an IP header on. */
SUBPROGRAM int parse_network(struct __sk_buff *skb, struct packet *p, __u32 offset, __u32 ethertype) {
  if (!p) return PARSED_INVALID;
  struct datagram d = { .offset = offset };
  enum parsed parsed =
      ethertype == network16(ETHERTYPE_IPV4) ? parse_ipv4(skb, p, &d) : parse_ipv6(skb, p, &d);
  if (parsed != PARSED) return parsed;
  int quoted = p->flags & PACKET_QUOTED;
  if (d.later) {
    int known = !quoted && fragment_recall(p, d.id);
    if (!is_icmp(p)) return PARSED;
    enum icmp_class class = known ? icmp_class(p) : ICMP_OTHER;
    p->key.asked = asked_by(p, class);
    return class == ICMP_HOUSEKEEPING ? PARSED_UNSEEN : PARSED;
  }
  if (d.first) {
    p->flags |= PACKET_FIRST;
    p->datagram = d.id;
  }
  return parse_transport(skb, p, d.offset);
}

static __always_inline int is_vlan(__u16 ethertype) {
  return ethertype == network16(ETHERTYPE_8021Q) || ethertype == network16(ETHERTYPE_8021AD);
}

/* The general way, from the Ethernet header on: VLAN tags inside the packet, options, fragments, extensions. */
static __noinline enum parsed parse_general(struct __sk_buff *skb, struct packet *p) {
  __u32 offset = ETHERNET_HEADER;
  __u16 ethertype = skb->protocol;
  for (int i = 0; i < MOST_VLAN_TAGS && is_vlan(ethertype); i++) {
    if (bpf_skb_load_bytes(skb, offset + 2, &ethertype, sizeof(ethertype))) return PARSED_UNSEEN;
    offset += VLAN_TAG;
  }
  if (is_vlan(ethertype)) {
    p->family = 6; /* it may hide either; an event has one, and :: is the address that says nothing */
    return PARSED_INVALID;
  }
  if (ethertype != network16(ETHERTYPE_IPV4) && ethertype != network16(ETHERTYPE_IPV6)) return PARSED_UNSEEN;
  return parse_network(skb, p, offset, ethertype);
}
