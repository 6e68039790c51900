#!/usr/bin/env bash
# Makes a Debian or Ubuntu machine ready to build, demo and test Palomar. Says what it installs and changes;
# does nothing where all is there already. Usage: scripts/setup.sh build|run|bench [more of them]
set -euo pipefail
# where Debian keeps what only root runs; not on everybody's PATH
PATH=$PATH:/usr/sbin:/sbin

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

have_clang() {
  local name
  for name in "${PALOMAR_CLANG:-clang}" clang clang-{14..21}; do
    if command -v "$name" >/dev/null 2>&1 && "$name" --print-targets 2>/dev/null | grep '^ *bpf ' >/dev/null; then return 0; fi
  done
  return 1
}

# Debian 12 and Ubuntu 22.04 call it clang-14; later releases have the plain name at 14 or newer.
clang_package() { if apt-cache show clang-14 >/dev/null 2>&1; then echo clang-14; else echo clang; fi; }

packages=()
need() { command -v "$1" >/dev/null 2>&1 || packages+=("$2"); }

mount_bpffs=no
for purpose in "$@"; do
  case "$purpose" in
    build)
      if ! command -v cargo >/dev/null 2>&1; then
        echo "setup: cargo is missing: install Rust with rustup (https://rustup.rs), then run this again" >&2
        exit 1
      fi
      need cc gcc
      need make make
      if ! have_clang; then packages+=(CLANG); fi
      [ -e /usr/include/stdio.h ] || packages+=(libc6-dev)
      ;;
    run)
      need ip iproute2
      need tc iproute2
      need nft nftables
      need curl curl
      need setpriv util-linux
      [ -x /bin/kill ] || packages+=(procps)
      mount_bpffs=yes
      ;;
    bench)
      need tcpdump tcpdump
      ;;
    *)
      echo "setup: unknown purpose '$purpose'; choose from: build, run, bench" >&2
      exit 1
      ;;
  esac
done

if [ "${#packages[@]}" -gt 0 ]; then
  echo "setup: refreshing the package lists (apt-get update)"
  as_root apt-get update -qq
  for at in "${!packages[@]}"; do
    if [ "${packages[$at]}" = CLANG ]; then packages[at]=$(clang_package); fi
  done
  echo "setup: installing with apt: ${packages[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

if [ "$mount_bpffs" = yes ] && [ "$(stat -f -c %t /sys/fs/bpf 2>/dev/null)" != cafe4a11 ]; then
  echo "setup: mounting the BPF file system (mount -t bpf bpf /sys/fs/bpf)"
  as_root mount -t bpf bpf /sys/fs/bpf
fi
