// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Never loaded: its type information has every type of abi.h, for tests/abi.rs to compare. A program's own object
 * has only those that it uses. Held by value, because what is only pointed at may be left out. */
#include "abi.h"

struct every_type {
  struct endpoint endpoint;
  struct settings settings;
  struct address address;
  struct cidr_key cidr_key;
  struct node_port node_port;
  struct rule_key rule_key;
  struct rule rule;
  struct connection_key connection_key;
  struct connection connection;
  struct fragment_key fragment_key;
  struct fragment fragment;
  struct limit_key limit_key;
  struct limit limit;
  struct event event;
  struct place place;
  enum direction direction;
  enum policy_flag policy_flag;
  enum mode mode;
  enum address_flag address_flag;
  enum identity identity;
  enum connection_flag connection_flag;
  enum event_kind event_kind;
  enum event_verdict event_verdict;
  enum event_point event_point;
  enum event_state event_state;
  enum match_type match_type;
  enum drop_code drop_code;
  enum event_flag event_flag;
  enum counter counter;
};

struct every_type every_type;
