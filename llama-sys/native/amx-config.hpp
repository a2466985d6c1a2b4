// Forced into ggml's AMX kernels when GCC compiles them.
//
// GCC's _tile_loadconfig tells the optimizer that it reads 8 bytes of the 64-byte tile
// configuration, so that most of the stores into it are dropped and the CPU faults on what
// is left (seen with GCC 12 on Sapphire Rapids; reported upstream, ggml-org/llama.cpp#20824).

#pragma once

#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__) && defined(__AMX_TILE__)

static inline __attribute__((always_inline)) void tile_loadconfig_whole(const void * config) {
    __asm__ volatile("ldtilecfg\t%X0" ::"m"(*static_cast<const char(*)[64]>(config)));
}

#define _tile_loadconfig(config) tile_loadconfig_whole(config)

#endif
