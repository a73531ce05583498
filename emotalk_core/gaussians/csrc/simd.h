// One vector of pixels: what the blending loops need of AVX-512, AVX2 or a portable 4-lane vector.
//
// The build compiles every source once per instruction set, into separate shared objects: one object
// that holds two of them can call the wrong copy of an inlined function and stop with SIGILL.
// A vector covers a block of 4 x kBlockHeight pixels, row by row: small Gaussians fill a block better
// than they fill one long row.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(EMOTALK_AVX512) || defined(EMOTALK_AVX2)
#include <immintrin.h>
#endif

namespace emotalk {

constexpr int kBlockWidth = 4;

#if defined(EMOTALK_AVX512)

constexpr const char* kIsa = "avx512";
constexpr int kLanes = 16;
using Vec = __m512;
using Mask = __mmask16;

inline Vec splat(float x) { return _mm512_set1_ps(x); }
inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vec a) { _mm512_storeu_ps(p, a); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec fnma(Vec a, Vec b, Vec c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
inline Vec minimum(Vec a, Vec b) { return _mm512_min_ps(a, b); }
inline Vec maximum(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Mask greater_equal(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
inline Mask greater(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
inline Mask both(Mask a, Mask b) { return _kand_mask16(a, b); }
inline bool any(Mask a) { return !_ktestz_mask16_u8(a, a); }
inline unsigned bits(Mask a) { return _cvtmask16_u32(a); }
inline Vec choose(Mask m, Vec yes, Vec no) { return _mm512_mask_blend_ps(m, no, yes); }
inline Vec keep(Mask m, Vec a) { return _mm512_maskz_mov_ps(m, a); }
inline Vec minus(Vec a) { return _mm512_or_ps(a, _mm512_set1_ps(-0.f)); }  // -|a|
inline Vec plus(Vec a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.f), a); }  // |a|
inline Vec reciprocal(Vec a) {  // one Newton step on 14 bits: 1e-7 relative
  const Vec guess = _mm512_rcp14_ps(a);
  return _mm512_fmadd_ps(guess, _mm512_fnmadd_ps(a, guess, _mm512_set1_ps(1.f)), guess);
}
inline Vec load_block(const float* p, std::ptrdiff_t stride) {
  Vec v = _mm512_castps128_ps512(_mm_loadu_ps(p));
  v = _mm512_insertf32x4(v, _mm_loadu_ps(p + stride), 1);
  v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 2 * stride), 2);
  return _mm512_insertf32x4(v, _mm_loadu_ps(p + 3 * stride), 3);
}
inline void store_block(float* p, std::ptrdiff_t stride, Vec v) {
  _mm_storeu_ps(p, _mm512_castps512_ps128(v));
  _mm_storeu_ps(p + stride, _mm512_extractf32x4_ps(v, 1));
  _mm_storeu_ps(p + 2 * stride, _mm512_extractf32x4_ps(v, 2));
  _mm_storeu_ps(p + 3 * stride, _mm512_extractf32x4_ps(v, 3));
}
inline Vec fraction(Vec x) { return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF); }
inline Vec scale_by_power(Vec p, Vec x) { return _mm512_scalef_ps(p, x); }  // p * 2^floor(x)
// Sum of the lanes of each of four vectors.
inline __m128 sum4(Vec a, Vec b, Vec c, Vec d) {
  const Vec ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const Vec cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const Vec abcd = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
  const __m256 half =
      _mm256_add_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}
inline void store_sums(float* p, Vec a, Vec b, Vec c, Vec d) {
  _mm_storeu_ps(p, sum4(a, b, c, d));
}

#elif defined(EMOTALK_AVX2)

constexpr const char* kIsa = "avx2";
constexpr int kLanes = 8;
using Vec = __m256;
using Mask = __m256;

inline Vec splat(float x) { return _mm256_set1_ps(x); }
inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Vec a) { _mm256_storeu_ps(p, a); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec fnma(Vec a, Vec b, Vec c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a b
inline Vec minimum(Vec a, Vec b) { return _mm256_min_ps(a, b); }
inline Vec maximum(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Mask greater_equal(Vec a, Vec b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
inline Mask greater(Vec a, Vec b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
inline Mask both(Mask a, Mask b) { return _mm256_and_ps(a, b); }
inline bool any(Mask a) { return _mm256_movemask_ps(a) != 0; }
inline unsigned bits(Mask a) { return static_cast<unsigned>(_mm256_movemask_ps(a)); }
inline Vec choose(Mask m, Vec yes, Vec no) { return _mm256_blendv_ps(no, yes, m); }
inline Vec keep(Mask m, Vec a) { return _mm256_and_ps(m, a); }
inline Vec minus(Vec a) { return _mm256_or_ps(a, _mm256_set1_ps(-0.f)); }  // -|a|
inline Vec plus(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.f), a); }  // |a|
inline Vec reciprocal(Vec a) { return _mm256_div_ps(_mm256_set1_ps(1.f), a); }
inline Vec load_block(const float* p, std::ptrdiff_t stride) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + stride), 1);
}
inline void store_block(float* p, std::ptrdiff_t stride, Vec v) {
  _mm_storeu_ps(p, _mm256_castps256_ps128(v));
  _mm_storeu_ps(p + stride, _mm256_extractf128_ps(v, 1));
}
inline Vec fraction(Vec x) { return _mm256_sub_ps(x, _mm256_floor_ps(x)); }
inline Vec scale_by_power(Vec p, Vec x) {  // p * 2^floor(x) for floor(x) in -126..127
  const __m256i power = _mm256_cvtps_epi32(_mm256_floor_ps(_mm256_max_ps(x, splat(-126.f))));
  const __m256i bits = _mm256_slli_epi32(_mm256_add_epi32(power, _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(bits));
}
// Sum of the lanes of each of four vectors.
inline void store_sums(float* p, Vec a, Vec b, Vec c, Vec d) {
  const Vec ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
  const Vec cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
  const Vec abcd = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
  _mm_storeu_ps(p, _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1)));
}

#else

constexpr const char* kIsa = "baseline";
constexpr int kLanes = 4;
typedef float Vec __attribute__((vector_size(16)));  // SSE2 on x86-64, NEON on arm64
typedef std::int32_t Mask __attribute__((vector_size(16)));

inline Vec splat(float x) { return Vec{x, x, x, x}; }
inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, Vec a) { std::memcpy(p, &a, sizeof a); }
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec fnma(Vec a, Vec b, Vec c) { return c - a * b; }
inline Mask greater_equal(Vec a, Vec b) { return a >= b; }
inline Mask greater(Vec a, Vec b) { return a > b; }
inline Mask both(Mask a, Mask b) { return a & b; }
inline bool any(Mask a) { return (a[0] | a[1] | a[2] | a[3]) != 0; }
inline unsigned bits(Mask a) { return (a[0] & 1) | (a[1] & 2) | (a[2] & 4) | (a[3] & 8); }
inline Vec choose(Mask m, Vec yes, Vec no) { return m ? yes : no; }
inline Vec keep(Mask m, Vec a) { return m ? a : splat(0.f); }
inline Vec minimum(Vec a, Vec b) { return choose(a < b, a, b); }
inline Vec maximum(Vec a, Vec b) { return choose(a > b, a, b); }
inline Vec minus(Vec a) { return choose(a > splat(0.f), -a, a); }  // -|a|
inline Vec plus(Vec a) { return choose(a < splat(0.f), -a, a); }  // |a|
inline Vec reciprocal(Vec a) { return splat(1.f) / a; }
inline Vec load_block(const float* p, std::ptrdiff_t) { return load(p); }
inline void store_block(float* p, std::ptrdiff_t, Vec v) { store(p, v); }
inline Vec floor_of(Vec x) {  // |x| far below 2^31 where it counts; clamped before the conversion
  const Vec bounded = minimum(maximum(x, splat(-126.f)), splat(127.f));
  const Mask cut = __builtin_convertvector(bounded, Mask);
  const Vec back = __builtin_convertvector(cut, Vec);
  return back - keep(back > bounded, splat(1.f));
}
inline Vec fraction(Vec x) { return maximum(x, splat(-126.f)) - floor_of(x); }
inline Vec scale_by_power(Vec p, Vec x) {
  const Mask bits = (__builtin_convertvector(floor_of(x), Mask) + 127) << 23;
  Vec power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}
inline void store_sums(float* p, Vec a, Vec b, Vec c, Vec d) {
  const Vec all[4] = {a, b, c, d};
  for (int i = 0; i < 4; ++i) p[i] = (all[i][0] + all[i][1]) + (all[i][2] + all[i][3]);
}

#endif

constexpr int kBlockHeight = kLanes / kBlockWidth;

// 2^x for x <= 1: minimax polynomial of degree 5 on the fraction, relative error below 2e-7.
inline Vec exp2_of(Vec x) {
  const Vec f = fraction(x);
  Vec p = splat(0.0018775765784084797f);
  p = fma(p, f, splat(0.008989340625703335f));
  p = fma(p, f, splat(0.05582631751894951f));
  p = fma(p, f, splat(0.24015361070632935f));
  p = fma(p, f, splat(0.6931530833244324f));
  p = fma(p, f, splat(0.9999999403953552f));
  return scale_by_power(p, x);
}

// x and y of the lanes inside a block, px.
inline Vec lane_columns() {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = static_cast<float>(i % kBlockWidth);
  return load(lanes);
}
inline Vec lane_rows() {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = static_cast<float>(i / kBlockWidth);
  return load(lanes);
}

}  // namespace emotalk
