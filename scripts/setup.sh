#!/bin/sh
# Installs what the build needs beside Rust: cmake, ninja and a C++ compiler.
# What is there already is left alone.
#
#   scripts/setup.sh             for `cargo build`
#   scripts/setup.sh --bindgen   also libclang, for `make bindings`
set -eu

bindgen=no
for argument in "$@"; do
    case $argument in
        --bindgen) bindgen=yes ;;
        *)
            echo "usage: $0 [--bindgen]" >&2
            exit 2
            ;;
    esac
done

have() {
    command -v "$1" >/dev/null 2>&1
}

# Whether a libclang is where the Rust crate `clang-sys` looks for it.
have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    if have llvm-config; then
        set -- "$(llvm-config --libdir)"
    else
        set --
    fi
    for directory in "$@" /usr/lib /usr/lib64 /usr/lib/*-linux-gnu /usr/lib/llvm*/lib /usr/local/lib \
        /opt/homebrew/opt/llvm/lib /usr/local/opt/llvm/lib /Library/Developer/CommandLineTools/usr/lib; do
        for library in "$directory"/libclang.so "$directory"/libclang.so.* "$directory"/libclang-*.so* \
            "$directory"/libclang.dylib; do
            [ -e "$library" ] && return 0
        done
    done
    return 1
}

# macOS has a `c++` that only offers to install one.
have_compiler() {
    if [ "$(uname -s)" = Darwin ]; then
        xcode-select -p >/dev/null 2>&1
    else
        have c++ || have g++ || have clang++
    fi
}

missing=
have cmake || missing="$missing cmake"
have ninja || have ninja-build || missing="$missing ninja"
have_compiler || missing="$missing c++"
[ "$bindgen" = no ] || have_libclang || missing="$missing libclang"

if [ -z "$missing" ]; then
    echo "setup: everything is there: cmake, ninja and a C++ compiler$([ "$bindgen" = no ] || echo ", and libclang")"
    exit 0
fi
echo "setup: missing:$missing"

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        echo "setup: $*"
        "$@"
    elif have sudo; then
        echo "setup: sudo $*"
        sudo "$@"
    else
        echo "setup: this needs root, and there is no sudo: run $0 as root" >&2
        exit 1
    fi
}

# Prints the packages for $missing; takes the names for cmake, ninja, the C++
# compiler and libclang.
packages() {
    for tool in $missing; do
        case $tool in
            cmake) printf '%s ' "$1" ;;
            ninja) printf '%s ' "$2" ;;
            c++) printf '%s ' "$3" ;;
            libclang) printf '%s ' "$4" ;;
        esac
    done
}

# The lists of packages are meant to be split at spaces.
# shellcheck disable=SC2046
if have apt-get; then
    as_root apt-get update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        $(packages cmake ninja-build "g++" libclang-dev)
elif have dnf; then
    as_root dnf install -y $(packages cmake ninja-build gcc-c++ clang-devel)
elif have pacman; then
    as_root pacman -S --needed --noconfirm $(packages cmake ninja gcc clang)
elif have apk; then
    as_root apk add $(packages cmake samurai "build-base linux-headers" clang-dev)
elif [ "$(uname -s)" = Darwin ]; then
    case $missing in
        *c++*)
            echo "setup: the C++ compiler is in Apple's command line tools, whose installer opens a window:"
            echo "setup: xcode-select --install"
            xcode-select --install
            missing=$(echo "$missing" | sed 's/ c++//')
            ;;
    esac
    if [ -n "$missing" ]; then
        if ! have brew; then
            echo "setup: install Homebrew (https://brew.sh) and run this again, or install:$missing" >&2
            exit 1
        fi
        echo "setup: brew install $(packages cmake ninja "" llvm)"
        brew install $(packages cmake ninja "" llvm)
    fi
else
    echo "setup: no package manager that this script knows; install cmake 3.18+, ninja and a C++17 compiler" >&2
    exit 1
fi
echo "setup: done"
