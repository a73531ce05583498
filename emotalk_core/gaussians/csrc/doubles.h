// A few Gaussians at once in float64: the per-Gaussian geometry is ill-conditioned for thin
// Gaussians (the determinant of a covariance), and costs little beside the pixels.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "simd.h"

namespace emotalk {

constexpr int kDoubles = kLanes / 2;
typedef double Real __attribute__((vector_size(8 * kDoubles)));
typedef std::int64_t Bits __attribute__((vector_size(8 * kDoubles)));

inline Real real(double x) { return x - Real{}; }
inline Real pick(Bits mask, Real yes, Real no) { return mask ? yes : no; }
inline Real larger(Real a, Real b) { return pick(a > b, a, b); }
inline Real smaller(Real a, Real b) { return pick(a < b, a, b); }
inline Bits as_bits(Real a) {
  Bits b;
  std::memcpy(&b, &a, sizeof b);
  return b;
}
inline Real as_real(Bits a) {
  Real b;
  std::memcpy(&b, &a, sizeof b);
  return b;
}
inline Real root(Real a) {
  Real r;
  for (int i = 0; i < kDoubles; ++i) r[i] = std::sqrt(a[i]);
  return r;
}
inline Real dot3(const Real* a, const Real* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

// exp, relative error 1e-14; the argument is clamped to where the result is a normal number.
inline Real exp_of(Real x) {
  constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  x = smaller(larger(x, real(-700.0)), real(700.0));
  const Real shifted = x * 1.4426950408889634 + kMagic;
  const Real n = shifted - kMagic;
  const Real r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
  Real p = real(1.0 / 479001600.0);
  constexpr double kInverseFactorials[] = {1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0,
                                           1.0 / 40320.0,    1.0 / 5040.0,    1.0 / 720.0,
                                           1.0 / 120.0,      1.0 / 24.0,      1.0 / 6.0,
                                           0.5,              1.0,             1.0};
  for (double c : kInverseFactorials) p = p * r + c;
  // The low bits of `shifted` hold n; moved up they add n to the exponent.
  return as_real(as_bits(p) + (as_bits(shifted) << 52));
}

// Natural logarithm of x >= 1, relative error 1e-14.
inline Real log_of(Real x) {
  const Bits bits = as_bits(x);
  const Bits above = (bits & 0xfffffffffffffLL) > 0x6a09e667f3bccLL;  // mantissa above sqrt(2)
  const Bits power = ((bits >> 52) & 0x7ff) - 1023 - above;           // a true mask is -1
  const Bits scaled = (bits & 0xfffffffffffffLL) | ((above + 1023) << 52);
  const Real m = as_real(scaled);
  const Real s = (m - 1.0) / (m + 1.0);
  const Real ss = s * s;
  Real p = real(1.0 / 17.0);
  for (int k = 15; k >= 1; k -= 2) p = p * ss + 1.0 / k;
  return 2.0 * s * p + __builtin_convertvector(power, Real) * 0.6931471805599453;
}

}  // namespace emotalk
