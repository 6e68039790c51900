/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ICMP: which messages are housekeeping, which answer which, which quote another packet. */
#pragma once
#include "packet.h"

enum icmp_class { ICMP_OTHER, ICMP_QUERY, ICMP_REPLY, ICMP_ERROR, ICMP_HOUSEKEEPING };

static __always_inline enum icmp_class icmp4_class(__u8 type) {
  switch (type) {
  case 8: case 13: case 15: case 17: return ICMP_QUERY; /* echo, timestamp, information, address mask */
  case 0: case 14: case 16: case 18: return ICMP_REPLY;
  case 3: case 4: case 5: case 11: case 12: return ICMP_ERROR;
  default: return ICMP_OTHER;
  }
}

/* Housekeeping: multicast listeners, neighbours and routers. Without it a pod has no network at all. */
static __always_inline enum icmp_class icmp6_class(__u8 type) {
  if (type == 128) return ICMP_QUERY;
  if (type == 129) return ICMP_REPLY;
  if (type >= 1 && type <= 4) return ICMP_ERROR;
  if ((type >= 130 && type <= 137) || type == 143) return ICMP_HOUSEKEEPING;
  return ICMP_OTHER;
}

/* Each ICMP in its own family only: ICMPv6 in IPv4 is a protocol like any other, no housekeeping. */
static __always_inline int is_icmp(const struct packet *p) {
  return p->key.protocol == (p->family == 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6);
}

static __always_inline enum icmp_class icmp_class(const struct packet *p) {
  return p->family == 4 ? icmp4_class(p->icmp_type) : icmp6_class(p->icmp_type);
}

/* A query and its reply share an entry; whatever else travels one way only, and rides on no other's entry. */
static __always_inline __u8 asked_by(const struct packet *p, enum icmp_class class) {
  return class == ICMP_REPLY ? opposite(p->direction) : p->direction;
}
