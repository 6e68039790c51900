/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Packets from a pod must carry one of its own addresses. */
#pragma once
#include "finding.h"

enum { DHCP_CLIENT = 68, DHCP_SERVER = 67, DHCP6_CLIENT = 546, DHCP6_SERVER = 547 };

static __always_inline int is_dhcp(const struct packet *p) {
  if (p->key.protocol != PROTOCOL_UDP || !(p->flags & PACKET_PORTS)) return 0;
  __u16 client = p->family == 4 ? network16(DHCP_CLIENT) : network16(DHCP6_CLIENT);
  __u16 server = p->family == 4 ? network16(DHCP_SERVER) : network16(DHCP6_SERVER);
  return p->key.local_port == client && p->key.remote_port == server;
}

/* Whether the pod's side of the packet, whichever way it goes, is no address that this pod may send from. */
SUBPROGRAM int local_is_foreign(const struct packet *p, const struct endpoint *endpoint, const struct finding *f) {
  if (!p || !endpoint || !f) return 0;
  if (f->mode == MODE_OFF || !policy_has(f->policy, POLICY_CHECK_SOURCE)) return 0;
  const struct address *own = bpf_map_lookup_elem(&addresses, p->key.local);
  if (own && own->endpoint == endpoint->id) return 0;
  const __u32 *words = (const __u32 *)p->key.local;
  return !is_link_local(words) && !is_unspecified(words) && !is_dhcp(p);
}
