// Branch evaluation: blocks of 64 points, one row of 64 floats for every feature or neuron. Each
// output is one sum over the inputs in their order, so the result does not depend on threads.
#include "branch.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "simd.h"
#include "team.h"

namespace emotalk {
namespace {

constexpr int kBlockPoints = kHashBlock;
constexpr int kGroup = 4;                          // outputs whose sums are in registers at once
constexpr int kVectors = kLanes == 16 ? 4 : 2;     // vectors of points beside them
constexpr int kStep = kVectors * kLanes;           // points
constexpr int kMaxWidth = 128;                     // features, codes, neurons of one layer
static_assert(kBlockPoints % kStep == 0, "a block is whole steps");

using Rows = float[kMaxWidth][kBlockPoints];

int groups(int outputs) { return (outputs + kGroup - 1) / kGroup; }

enum After { kNothing, kRelu, kOnePlus, kOnePlusRelu };

// bfloat16 products need one more instruction set than the AVX-512 build may count on.
#if defined(EMOTALK_AVX512) && defined(__GNUC__) && !defined(__clang__)
#define EMOTALK_HALF __attribute__((target("avx512bf16")))
#endif

std::uint32_t rounded_half(float x) {  // to nearest, ties to even; weights are finite
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

#ifdef EMOTALK_HALF
// Two rows of inputs as bfloat16 side by side, the first in the lower half of every number.
EMOTALK_HALF void pair_rows(const float* first, const float* second, std::uint32_t* out) {
  for (int n = 0; n < kBlockPoints; n += kLanes) {
    const __m256i low = (__m256i)_mm512_cvtneps_pbh(load(first + n));
    __m512i both = _mm512_cvtepu16_epi32(low);
    if (second) {
      const __m256i high = (__m256i)_mm512_cvtneps_pbh(load(second + n));
      both = _mm512_or_si512(both, _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
    }
    _mm512_storeu_si512(out + n, both);
  }
}

// `dense` with bfloat16 products.
EMOTALK_HALF void dense_half(const Dense& layer, const float* in, const float* added, float* out,
                             After after) {
  alignas(64) std::uint32_t rows[kMaxWidth / 2][kBlockPoints];
  const int pairs = (layer.inputs + 1) / 2;
  for (int k = 0; k < pairs; ++k)
    pair_rows(in + 2 * k * kBlockPoints,
              2 * k + 1 < layer.inputs ? in + (2 * k + 1) * kBlockPoints : nullptr, rows[k]);
  const Vec zero = splat(0.f), one = splat(1.f);
  for (int group = 0; group < groups(layer.outputs); ++group) {
    const std::uint32_t* weights = layer.pairs.data() + std::size_t(group) * pairs * kGroup;
    const int used = std::min(kGroup, layer.outputs - group * kGroup);
    Vec sum[kGroup][kVectors];
    for (int g = 0; g < kGroup; ++g)
      for (int v = 0; v < kVectors; ++v)
        sum[g][v] = added && g < used
                        ? load(added + (group * kGroup + g) * kBlockPoints + v * kLanes)
                        : zero;
    for (int k = 0; k < pairs; ++k) {
      __m512bh x[kVectors];
      for (int v = 0; v < kVectors; ++v)
        x[v] = (__m512bh)_mm512_load_si512(rows[k] + v * kLanes);
      for (int g = 0; g < kGroup; ++g) {
        const __m512bh weight = (__m512bh)_mm512_set1_epi32(int(weights[k * kGroup + g]));
        for (int v = 0; v < kVectors; ++v) sum[g][v] = _mm512_dpbf16_ps(sum[g][v], weight, x[v]);
      }
    }
    for (int g = 0; g < used; ++g)
      for (int v = 0; v < kVectors; ++v) {
        Vec value = sum[g][v];
        if (after == kRelu || after == kOnePlusRelu) value = maximum(value, zero);
        if (after == kOnePlus || after == kOnePlusRelu) value = value + one;
        store(out + (group * kGroup + g) * kBlockPoints + v * kLanes, value);
      }
  }
}
static_assert(kStep == kBlockPoints, "dense_half takes a whole block at a step");
#endif

// Rows of outputs from rows of inputs; `added` holds rows to start from, or is null.
void dense(const Dense& layer, bool half, const float* in, const float* added, float* out,
           After after) {
#ifdef EMOTALK_HALF
  if (half) return dense_half(layer, in, added, out, after);
#else
  (void)half;
#endif
  const int inputs = layer.inputs, outputs = layer.outputs;
  const float* packed = layer.packed.data();
  const Vec zero = splat(0.f), one = splat(1.f);
  for (int group = 0; group < groups(outputs); ++group) {
    const float* weights = packed + std::size_t(group) * inputs * kGroup;
    const int rows = std::min(kGroup, outputs - group * kGroup);
    for (int at = 0; at < kBlockPoints; at += kStep) {
      Vec sum[kGroup][kVectors];
      for (int g = 0; g < kGroup; ++g)
        for (int v = 0; v < kVectors; ++v)
          sum[g][v] = added && g < rows
                          ? load(added + (group * kGroup + g) * kBlockPoints + at + v * kLanes)
                          : zero;
      for (int k = 0; k < inputs; ++k) {
        Vec x[kVectors];
        for (int v = 0; v < kVectors; ++v) x[v] = load(in + k * kBlockPoints + at + v * kLanes);
        for (int g = 0; g < kGroup; ++g) {
          const Vec weight = splat(weights[k * kGroup + g]);
          for (int v = 0; v < kVectors; ++v) sum[g][v] = fma(weight, x[v], sum[g][v]);
        }
      }
      float* target = out + group * kGroup * kBlockPoints + at;
      for (int g = 0; g < rows; ++g, target += kBlockPoints)
        for (int v = 0; v < kVectors; ++v) {
          Vec value = sum[g][v];
          if (after == kRelu || after == kOnePlusRelu) value = maximum(value, zero);
          if (after == kOnePlus || after == kOnePlusRelu) value = value + one;
          store(target + v * kLanes, value);
        }
    }
  }
}

void require(bool ok, const char* what) {
  if (!ok) throw std::invalid_argument(what);
}

// Adds a block's outputs to the rows of its points.
void add_outputs(const float* out, const float* gains, int used, const Pose& pose,
                 std::int64_t first) {
  const auto add = [&](float* rows, int width, int from) {
    if (!rows) return;
    for (int i = 0; i < width; ++i) {
      const float* column = out + (from + i) * kBlockPoints;
      for (int n = 0; n < used; ++n)
        rows[(first + n) * width + i] += column[n] * gains[from + i];
    }
  };
  add(pose.means, 3, 0);
  add(pose.quats, 4, 3);
  add(pose.scales, 3, 7);
}

}  // namespace

Dense::Dense(int outputs, int inputs, const float* weights) : inputs(inputs), outputs(outputs) {
  pack(weights);
}

void Dense::pack(const float* weights) {
  packed.assign(std::size_t(groups(outputs)) * inputs * kGroup, 0.f);
  for (int j = 0; j < outputs; ++j)
    for (int k = 0; k < inputs; ++k)
      packed[(std::size_t(j / kGroup) * inputs + k) * kGroup + j % kGroup] =
          weights[std::size_t(j) * inputs + k];
  const int count = (inputs + 1) / 2;
  pairs.assign(std::size_t(groups(outputs)) * count * kGroup, 0);
  for (int j = 0; j < outputs; ++j)
    for (int k = 0; k < inputs; ++k)
      pairs[(std::size_t(j / kGroup) * count + k / 2) * kGroup + j % kGroup] |=
          rounded_half(weights[std::size_t(j) * inputs + k]) << (k % 2 * 16);
}

bool has_half() {
#ifdef EMOTALK_HALF
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

Branch::Branch(const GridShape& shape, const float* tables, BranchLayers layers, bool half)
    : shape_(shape), tables_(tables), layers_(std::move(layers)), half_(half && has_half()) {
  const int features = kPlanes * shape.levels * shape.features;
  const int hidden = layers_.middle.inputs;
  int attended = 0;
  for (const Attention& a : layers_.attention) {
    require(a.hidden.inputs == features && a.factors.inputs == a.hidden.outputs &&
                a.hidden.outputs <= kMaxWidth, "attention: layers do not fit");
    attended += a.factors.outputs;
  }
  require(features <= kMaxWidth && hidden <= kMaxWidth && layers_.codes <= kMaxWidth,
          "branch: at most 128 features, codes and neurons");
  require(layers_.attention.empty() || attended == layers_.codes, "attention: wanted all codes");
  require(layers_.from_features.inputs == features && layers_.from_features.outputs == hidden &&
              layers_.middle.outputs == hidden && layers_.last.inputs == hidden,
          "branch: layers do not fit");
  require(layers_.from_condition.size() == std::size_t(hidden) * layers_.codes,
          "from_condition: wanted [hidden, codes]");
  require(layers_.last.outputs == 3 || layers_.last.outputs == 10, "last: wanted 3 or 10 outputs");
}

// What a block of points knows before any condition comes in.
bool Branch::look(const float* points, int used, bool half, float* hidden,
                  float* attention) const {
  alignas(64) Rows features, inner;
  if (used < kBlockPoints) std::fill_n(features[0], kMaxWidth * kBlockPoints, 0.f);
  if (!hash_block(shape_, used, points, tables_, features[0])) return false;
  for (const Attention& a : layers_.attention) {
    dense(a.hidden, half, features[0], nullptr, inner[0], kRelu);
    dense(a.factors, half, inner[0], nullptr, attention, a.relu ? kOnePlusRelu : kOnePlus);
    attention += a.factors.outputs * kBlockPoints;
  }
  dense(layers_.from_features, half, features[0], nullptr, hidden, kNothing);
  return true;
}

bool Branch::settle(std::int64_t count, const float* points) {
  const int hidden = layers_.middle.inputs;
  const std::size_t rows = hidden + (layers_.attention.empty() ? 0 : layers_.codes);
  const std::int64_t blocks = (count + kBlockPoints - 1) / kBlockPoints;
  known_.assign(blocks * rows * kBlockPoints, 0.f);
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t first = block * kBlockPoints;
    const int used = static_cast<int>(std::min<std::int64_t>(kBlockPoints, count - first));
    float* target = &known_[block * rows * kBlockPoints];
    float* attention = target + hidden * kBlockPoints;
    if (!look(points + 3 * first, used, false, target, attention)) return false;
  }
  settled_ = count;
  return true;
}

bool Branch::deform(const float* code, float gain, const Pose& pose, int threads) const {
  const int hidden = layers_.middle.inputs, codes = layers_.codes;
  const bool attended = !layers_.attention.empty();
  const std::size_t rows = hidden + (attended ? codes : 0);
  // W (A * c) = (W * c) A; without attention W c is the same for all points.
  std::vector<float> weights(layers_.from_condition);
  std::vector<float> constant(hidden, 0.f);
  for (int j = 0; j < hidden; ++j)
    for (int k = 0; k < codes; ++k)
      constant[j] += weights[std::size_t(j) * codes + k] *= code[k];
  const Dense condition(hidden, codes, weights.data());
  float gains[10];
  for (int i = 0; i < 10; ++i) gains[i] = i < 3 ? layers_.axes_gain[i] : 1.f;
  std::atomic<bool> finite{true};
  Team team(threads);
  team.each((pose.count + kBlockPoints - 1) / kBlockPoints, [&](std::size_t block) {
    alignas(64) Rows first, second;
    alignas(64) float seen[2 * kMaxWidth][kBlockPoints];
    const std::int64_t start = block * kBlockPoints;
    const int used = static_cast<int>(std::min<std::int64_t>(kBlockPoints, pose.count - start));
    const float* known = settled_ >= 0 ? &known_[block * rows * kBlockPoints] : seen[0];
    if (settled_ < 0 &&
        !look(pose.means + 3 * start, used, half_, seen[0], seen[hidden])) {
      finite = false;
      return;
    }
    if (attended) {
      dense(condition, half_, known + hidden * kBlockPoints, known, first[0], kRelu);
    } else {
      for (int j = 0; j < hidden; ++j)
        for (int n = 0; n < kBlockPoints; n += kLanes)
          store(first[j] + n, maximum(load(known + j * kBlockPoints + n) + splat(constant[j]),
                                      splat(0.f)));
    }
    dense(layers_.middle, half_, first[0], nullptr, second[0], kRelu);
    dense(layers_.last, half_, second[0], nullptr, first[0], kNothing);
    for (int j = 0; j < layers_.last.outputs; ++j)
      for (int n = 0; n < used; ++n) first[j][n] *= gain;
    add_outputs(first[0], gains, used, pose, start);
  });
  return finite;
}

}  // namespace emotalk
