// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* What a run costs before a program does anything. */
char license_text[] __attribute__((section("license"), used)) = "Dual BSD/GPL";

__attribute__((section("classifier"), used)) int empty(void *skb) { return -1; }
