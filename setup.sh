#!/bin/sh
# Installs the system libraries the build needs, where that is possible, and says what to do elsewhere.
set -eu

if ! command -v cargo >/dev/null 2>&1; then
    echo "error: cargo is not installed; get Rust 1.95 or newer with rustup (https://rustup.rs)" >&2
    exit 1
fi

have_openblas() {
    command -v pkg-config >/dev/null 2>&1 && pkg-config --exists openblas
}

have_openblas && command -v cc >/dev/null 2>&1 && exit 0

if command -v apt-get >/dev/null 2>&1; then
    sudo=""
    [ "$(id -u)" -eq 0 ] || sudo="sudo"
    echo "installing OpenBLAS, pkg-config and a C compiler with apt-get" >&2
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq libopenblas-dev pkg-config gcc >/dev/null
    have_openblas && exit 0
fi

cat >&2 <<'HELP'
error: OpenBLAS with its pkg-config file is not installed
hint:
  Fedora      dnf install openblas-devel pkgconf gcc
  Arch        pacman -S openblas pkgconf gcc
  macOS       brew install openblas pkg-config
              export PKG_CONFIG_PATH="$(brew --prefix openblas)/lib/pkgconfig"
HELP
exit 1
