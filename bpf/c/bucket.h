/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Token buckets: a burst, and then one event each interval. */
#pragma once
#include "abi.h"
#include "settings.h"

static __always_inline struct limit bucket_fresh(__u64 now) {
  return (struct limit){ .refilled_at = now, .tokens = cfg_limit_burst - 1 };
}

/* Whether there is a token, with `suppressed` what was left out before it. Two CPUs at once may take the same token:
 * the limit is for the reader's sake and need not be exact. */
static __always_inline int bucket_take(struct limit *limit, __u64 now, __u32 *suppressed) {
  __s64 passed = now - limit->refilled_at;
  if (passed >= (__s64)cfg_limit_refill_ns) {
    __u64 refills = (__u64)passed / cfg_limit_refill_ns;
    __u64 tokens = limit->tokens + refills;
    limit->tokens = tokens < cfg_limit_burst ? tokens : cfg_limit_burst;
    limit->refilled_at += refills * cfg_limit_refill_ns;
  }
  if (!limit->tokens) {
    limit->suppressed++;
    return 0;
  }
  limit->tokens--;
  *suppressed = limit->suppressed;
  limit->suppressed = 0;
  return 1;
}
