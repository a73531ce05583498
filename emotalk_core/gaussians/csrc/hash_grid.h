// Tri-plane multi-resolution grids (hash_grid.py): bilinear look-ups and their gradients.
#pragma once

#include <cstdint>

namespace emotalk {

constexpr int kPlanes = 3;
constexpr int kMaxLevels = 24;

struct GridShape {
  int levels = 0, features = 1;
  double bound = 1.0;                            // metres
  std::int32_t resolutions[kMaxLevels] = {};
  std::int32_t sizes[kMaxLevels] = {};           // entries; below resolution^2: hashed
  std::int64_t offsets[kPlanes * kMaxLevels] = {};  // first entry of each (plane, level)
};

// out: [count, 3 * levels * features]. Returns false if a point is NaN or infinite.
bool hash_forward(const GridShape& shape, std::int64_t count, const float* points,
                  const float* tables, float* out, int threads);

constexpr int kHashBlock = 64;  // points whose cells fit the first-level cache

// At most kHashBlock points; out: rows of kHashBlock floats, one for every plane, level and feature.
// What lies behind the last point is left as it was.
bool hash_block(const GridShape& shape, int count, const float* points, const float* tables,
                float* out);

// Any of the two gradients may be null; both are overwritten.
void hash_backward(const GridShape& shape, std::int64_t count,
                   const float* points, const float* tables, const float* gradient,
                   float* table_gradient, float* point_gradient, int threads);

// Feature counts that are compiled.
bool hash_supports(int features);

}  // namespace emotalk
