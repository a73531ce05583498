// A deformation branch of the avatar (avatar/branches.py) for drawing: offsets are added to the raw
// parameters of the Gaussians block by block, so that no hidden layer ever leaves the first cache.
#pragma once

#include <cstdint>
#include <vector>

#include "hash_grid.h"

namespace emotalk {

// A linear layer without bias, packed for `dense` (branch.cpp): groups of outputs, then inputs.
struct Dense {
  int inputs = 0, outputs = 0;
  std::vector<float> packed;
  std::vector<std::uint32_t> pairs;  // the same in bfloat16, two inputs a number

  Dense() = default;
  // `weights` is [outputs, inputs], row-major.
  Dense(int outputs, int inputs, const float* weights);
  void pack(const float* weights);
};

// Factors 1 + A(H(mu)) on one condition code.
struct Attention {
  Dense hidden, factors;
  bool relu;
};

struct BranchLayers {
  std::vector<Attention> attention;  // for all conditions in their order, or empty
  Dense from_features;               // features -> hidden
  std::vector<float> from_condition; // [hidden, codes]
  Dense middle, last;                // hidden -> hidden -> 3 or 10 outputs
  int codes = 0;
  float axes_gain[3] = {};           // metres per unit of output
};

// Raw parameters that the offsets are added to; quats and scales may be null.
struct Pose {
  std::int64_t count = 0;
  float* means = nullptr;   // [count, 3]
  float* quats = nullptr;   // [count, 4]
  float* scales = nullptr;  // [count, 3]
};

// Whether products of bfloat16 numbers, summed up in float32, can be had here.
bool has_half();

class Branch {
 public:
  // `tables` must outlive the branch. With `half`, and where this processor can, `deform` multiplies
  // bfloat16 numbers. Throws std::invalid_argument if layers do not fit each other.
  Branch(const GridShape& shape, const float* tables, BranchLayers layers, bool half);

  // Keeps what the branch knows of points that do not move. False: NaN or infinity among them.
  bool settle(std::int64_t count, const float* points);

  // Adds the offsets that `code` gives, times `gain`; the points asked about are the settled ones,
  // or else pose.means as they come in. May run in several threads at the same time.
  bool deform(const float* code, float gain, const Pose& pose, int threads) const;

  std::int64_t settled() const { return settled_; }

 private:
  bool look(const float* points, int used, bool half, float* hidden, float* attention) const;

  GridShape shape_;
  const float* tables_;
  BranchLayers layers_;
  bool half_;
  std::int64_t settled_ = -1;      // number of points, or none
  std::vector<float> known_;       // blocks of [hidden + codes, kBlockPoints]
};

}  // namespace emotalk
