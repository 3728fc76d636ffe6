// How numbers are rounded for tensor cores.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

inline uint32_t bits_of(float v) {
  uint32_t b;
  std::memcpy(&b, &v, 4);
  return b;
}
inline float float_of(uint32_t b) {
  float v;
  std::memcpy(&v, &b, 4);
  return v;
}

// round_tf32 rounds to 10 bits of fraction, ties away from 0.
inline unsigned round_tf32(float v) { return std::isfinite(v) ? (bits_of(v) + 0x1000) & ~0x1fffu : bits_of(v); }

inline unsigned round_bf16(float v) {
  if (std::isnan(v)) return 0x7fff;
  uint32_t b = bits_of(v);
  return (b + 0x7fff + (b >> 16 & 1)) >> 16;
}
