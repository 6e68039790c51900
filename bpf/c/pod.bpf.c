// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Observes and polices a pod from the host end of its veth. What comes in there leaves the pod (egress); what goes
 * out there reaches it (ingress). Passes every packet on to the next program of the hook, unless an enforced policy
 * drops it. */
#include "path.h"

char license_text[] SEC("license") = "Dual BSD/GPL";

SEC("classifier") int from_pod(struct __sk_buff *skb) { return handle(skb, DIRECTION_EGRESS); }
SEC("classifier") int to_pod(struct __sk_buff *skb) { return handle(skb, DIRECTION_INGRESS); }
