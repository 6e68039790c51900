/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What policy says about a connection: the rules of one endpoint's set, by the peer's identity, or, where that finds
 * none, for any peer, and by the peer's CIDR class. A packet is allowed if either finds an entry. */
#pragma once
#include "finding.h"

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1 << 20);
  __type(key, struct rule_key);
  __type(value, struct rule);
} rules SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 8192);
  __type(key, struct node_port);
  __type(value, __u32);
} node_ports SEC(".maps");

enum judgement {
  JUDGED_OPEN,    /* policy does not apply: the direction is not isolated, or the peer is never judged */
  JUDGED_ALLOWED,
  JUDGED_DENIED,
};

static __always_inline enum match_type match_of(__u32 prefix_len, int any_peer) {
  if (prefix_len > RULE_PREFIX_PROTOCOL) return any_peer ? MATCH_L4_ONLY : MATCH_L3_L4;
  if (prefix_len > RULE_PREFIX_PEER) return any_peer ? MATCH_PROTO_ONLY : MATCH_L3_PROTO;
  return any_peer ? MATCH_ALL : MATCH_L3_ONLY;
}

/* The rule set of one peer key, 0 where nothing allows; the most specific key so far decides the match type. */
static __always_inline __u32 rules_of(struct rule_key *key, __u32 peer, __u32 *longest, struct finding *f) {
  key->peer = peer;
  const struct rule *rule = bpf_map_lookup_elem(&rules, key);
  if (!rule) return 0;
  if (rule->prefix_len > *longest) {
    *longest = rule->prefix_len;
    f->match = match_of(rule->prefix_len, peer == IDENTITY_ANY);
  }
  return rule->rule_set;
}

/* The number of the backends that a connection from the pod to this port of the peer is rewritten to; 0: none. */
static __always_inline __u32 backends_of(const struct packet *p, const struct finding *f, __u32 port) {
  if (f->peer.flags & ADDRESS_SERVICE) return f->peer.class;
  if (!(f->peer.flags & ADDRESS_NODE) || !(p->flags & PACKET_PORTS)) return 0;
  struct node_port key = { .port = port, .protocol = p->key.protocol, .family = p->family };
  const __u32 *number = bpf_map_lookup_elem(&node_ports, &key);
  return number ? *number : 0;
}

/* Judges a connection to a service by what its backends come to. The port in the packet is the service's, so no rule
 * for a pod or a block may be asked. */
static __always_inline int judge_service(struct rule_key *key, struct finding *f, __u32 backends) {
  __u32 longest = 0;
  key->direction = DIRECTION_SERVICE;
  f->rule_set = rules_of(key, backends, &longest, f);
  if (!f->rule_set) {
    /* whoever stands behind it, known or not: a rule for any peer and every port allows that */
    key->direction = DIRECTION_EGRESS;
    key->prefix_len = RULE_PREFIX_PROTOCOL;
    f->rule_set = rules_of(key, IDENTITY_ANY, &longest, f);
    return f->rule_set ? JUDGED_ALLOWED : JUDGED_DENIED;
  }
  if (f->rule_set != RULES_LATER) return JUDGED_ALLOWED;
  f->rule_set = 0;
  f->match = MATCH_NONE;
  return JUDGED_OPEN;
}

/* Judges a connection in `direction` to `port` (of the service, network order; not looked at without
 * PACKET_PORTS). Sets the rule sets and the match type. */
SUBPROGRAM int judge(const struct packet *p, struct finding *f, __u32 direction, __u32 port) {
  if (!p || !f) return JUDGED_DENIED;
  f->rule_set = f->class_rule_set = 0;
  f->match = MATCH_NONE;
  if (f->mode == MODE_OFF || !policy_isolates(f->policy, direction)) return JUDGED_OPEN;
  __u32 identity = f->peer.identity;
  if (f->peer.flags & ADDRESS_NODE && direction == DIRECTION_INGRESS) {
    if (f->host) return JUDGED_OPEN;
    identity = IDENTITY_WORLD;
  }
  struct rule_key key = {
    /* without ports only rules for a whole protocol or for all of them can match */
    .prefix_len = p->flags & PACKET_PORTS ? RULE_PREFIX_PORT : RULE_PREFIX_PROTOCOL,
    .set = f->policy >> POLICY_SET_SHIFT & POLICY_SET_MASK,
    .direction = direction,
    .protocol = p->key.protocol,
    .port = port,
  };
  __u32 backends = direction == DIRECTION_EGRESS ? backends_of(p, f, port) : 0;
  if (backends) return judge_service(&key, f, backends);
  /* in the order of preference where two are equally specific */
  __u32 longest = 0;
  f->rule_set = rules_of(&key, identity, &longest, f);
  if (f->peer.class && !(f->peer.flags & ADDRESS_SERVICE))
    f->class_rule_set = rules_of(&key, PEER_CLASS | f->peer.class, &longest, f);
  /* what an identity finds holds what is said of any peer, and is as specific */
  if (!f->rule_set) f->rule_set = rules_of(&key, IDENTITY_ANY, &longest, f);
  return f->rule_set || f->class_rule_set ? JUDGED_ALLOWED : JUDGED_DENIED;
}

/* Which end began is not known: enough that one of the two orientations is allowed. Names no rule, since which
 * one it would be is not known either. */
static __always_inline enum judgement judge_either(const struct packet *p, struct finding *f) {
  enum judgement judged = judge(p, f, p->direction, destination_port(p));
  if (judged == JUDGED_DENIED && judge(p, f, opposite(p->direction), source_port(p)) != JUDGED_DENIED)
    judged = JUDGED_ALLOWED;
  f->rule_set = f->class_rule_set = 0;
  f->match = MATCH_NONE;
  return judged;
}
