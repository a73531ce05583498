// Tri-plane multi-resolution grids. Every table is filled by one task and every point by one task,
// so the result depends neither on the number of threads nor on their order.
#include "hash_grid.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "team.h"

namespace emotalk {
namespace {

constexpr std::int64_t kChunk = kHashBlock;
constexpr std::uint32_t kPrime = 2654435761u;  // Mueller et al. 2022
constexpr int kAxisU[kPlanes] = {0, 1, 0}, kAxisV[kPlanes] = {1, 2, 2};  // xy, yz, xz

// Cells and fractions of a chunk of points on every level and axis. The position is computed in
// float64: in float32 a point near a cell border would land in the wrong cell on fine levels.
struct Cells {
  std::int32_t cell[3][kMaxLevels][kChunk];
  float part[3][kMaxLevels][kChunk];
  bool inside[3][kChunk];

  bool compute(const GridShape& shape, const float* points, std::int64_t count) {
    bool finite = true;
    for (int axis = 0; axis < 3; ++axis) {
      double unit[kChunk];
      for (std::int64_t n = 0; n < count; ++n) {
        const double u = points[3 * n + axis] / (2.0 * shape.bound) + 0.5;
        finite &= std::isfinite(u);
        inside[axis][n] = u >= 0.0 && u <= 1.0;
        unit[n] = u > 0.0 ? (u < 1.0 ? u : 1.0) : 0.0;
      }
      for (int level = 0; level < shape.levels; ++level) {
        const std::int32_t last = shape.resolutions[level] - 2;
        const double scale = shape.resolutions[level] - 1;
        for (std::int64_t n = 0; n < count; ++n) {
          const double at = unit[n] * scale;
          const std::int32_t whole = std::min(static_cast<std::int32_t>(at), last);
          cell[axis][level][n] = whole;
          part[axis][level][n] = static_cast<float>(at - whole);
        }
      }
    }
    return finite;
  }
};

// Table entries of the four corners of a cell.
class Corners {
 public:
  Corners(const GridShape& shape, int level)
      : side_(shape.resolutions[level]),
        mask_(static_cast<std::uint32_t>(shape.sizes[level]) - 1u),
        dense_(std::int64_t(side_) * side_ <= shape.sizes[level]) {}

  bool dense() const { return dense_; }
  void dense_at(std::int32_t column, std::int32_t row, std::uint32_t* index) const {
    index[0] = static_cast<std::uint32_t>(row * side_ + column);
    index[1] = index[0] + 1;
    index[2] = index[0] + side_;
    index[3] = index[2] + 1;
  }
  void hashed_at(std::int32_t column, std::int32_t row, std::uint32_t* index) const {
    const std::uint32_t x = column, low = std::uint32_t(row) * kPrime, high = low + kPrime;
    index[0] = (x ^ low) & mask_;
    index[1] = ((x + 1) ^ low) & mask_;
    index[2] = (x ^ high) & mask_;
    index[3] = ((x + 1) ^ high) & mask_;
  }

 private:
  std::int32_t side_;
  std::uint32_t mask_;
  bool dense_;
};

// Calls body(n, index[4], u, v) for the points of a chunk on one plane and level.
template <class Body>
void for_corners(const GridShape& shape, const Cells& cells, int plane, int level,
                 std::int64_t count, Body body) {
  const Corners corners(shape, level);
  const std::int32_t* columns = cells.cell[kAxisU[plane]][level];
  const std::int32_t* rows = cells.cell[kAxisV[plane]][level];
  const float* us = cells.part[kAxisU[plane]][level];
  const float* vs = cells.part[kAxisV[plane]][level];
  std::uint32_t index[4];
  if (corners.dense()) {
    for (std::int64_t n = 0; n < count; ++n) {
      corners.dense_at(columns[n], rows[n], index);
      body(n, index, us[n], vs[n]);
    }
  } else {
    for (std::int64_t n = 0; n < count; ++n) {
      corners.hashed_at(columns[n], rows[n], index);
      body(n, index, us[n], vs[n]);
    }
  }
}

// Feature j of point n goes to out[n * point_step + j * feature_step].
template <int F>
void encode(const GridShape& shape, const Cells& cells, const float* tables, std::int64_t count,
            float* out, std::int64_t point_step, std::int64_t feature_step) {
  for (int plane = 0; plane < kPlanes; ++plane)
    for (int level = 0; level < shape.levels; ++level) {
      const int unit = plane * shape.levels + level;
      const float* table = tables + shape.offsets[unit] * F;
      for_corners(shape, cells, plane, level, count,
                  [&](std::int64_t n, const std::uint32_t* index, float u, float v) {
                    for (int f = 0; f < F; ++f) {
                      const float a = table[index[0] * F + f], b = table[index[1] * F + f];
                      const float c = table[index[2] * F + f], d = table[index[3] * F + f];
                      const float low = a + u * (b - a), high = c + u * (d - c);
                      out[n * point_step + (unit * F + f) * feature_step] = low + v * (high - low);
                    }
                  });
    }
}

template <int F>
void encode_back_points(const GridShape& shape, const Cells& cells, const float* tables,
                        const float* gradient, std::int64_t count, float* out) {
  const int width = kPlanes * shape.levels * F;
  float sums[3][kChunk] = {};
  for (int plane = 0; plane < kPlanes; ++plane)
    for (int level = 0; level < shape.levels; ++level) {
      const int unit = plane * shape.levels + level;
      const float* table = tables + shape.offsets[unit] * F;
      const float scale = static_cast<float>((shape.resolutions[level] - 1) / (2.0 * shape.bound));
      float* sum_u = sums[kAxisU[plane]];
      float* sum_v = sums[kAxisV[plane]];
      for_corners(shape, cells, plane, level, count,
                  [&](std::int64_t n, const std::uint32_t* index, float u, float v) {
                    float du = 0.f, dv = 0.f;
                    for (int f = 0; f < F; ++f) {
                      const float g = gradient[n * width + unit * F + f];
                      const float a = table[index[0] * F + f], b = table[index[1] * F + f];
                      const float c = table[index[2] * F + f], d = table[index[3] * F + f];
                      du += g * ((b - a) + v * ((d - c) - (b - a)));
                      dv += g * ((c - a) + u * ((d - b) - (c - a)));
                    }
                    sum_u[n] += du * scale;
                    sum_v[n] += dv * scale;
                  });
    }
  for (std::int64_t n = 0; n < count; ++n)
    for (int axis = 0; axis < 3; ++axis)
      out[3 * n + axis] = cells.inside[axis][n] ? sums[axis][n] : 0.f;
}

// Gradient of one (plane, level) table from all points. `columns` is the gradient, feature-major.
template <int F>
void fill_table(const GridShape& shape, int unit, std::int64_t count, const float* points,
                const float* columns, float* table) {
  const int plane = unit / shape.levels, level = unit % shape.levels;
  std::fill(table, table + std::int64_t(shape.sizes[level]) * F, 0.f);
  GridShape single;  // the cells of this level only
  single.levels = 1;
  single.bound = shape.bound;
  single.resolutions[0] = shape.resolutions[level];
  single.sizes[0] = shape.sizes[level];
  Cells cells;
  for (std::int64_t first = 0; first < count; first += kChunk) {
    const std::int64_t used = std::min(kChunk, count - first);
    cells.compute(single, points + 3 * first, used);
    for_corners(single, cells, plane, 0, used,
                [&](std::int64_t n, const std::uint32_t* index, float u, float v) {
                  for (int f = 0; f < F; ++f) {
                    const float g = columns[(std::int64_t(unit) * F + f) * count + first + n];
                    const float top = g * v, bottom = g - top;
                    table[index[0] * F + f] += bottom - bottom * u;
                    table[index[1] * F + f] += bottom * u;
                    table[index[2] * F + f] += top - top * u;
                    table[index[3] * F + f] += top * u;
                  }
                });
  }
}

template <class Body>
void with_features(int features, Body body) {
  switch (features) {
    case 1: return body(std::integral_constant<int, 1>());
    case 2: return body(std::integral_constant<int, 2>());
    case 4: return body(std::integral_constant<int, 4>());
    default: return body(std::integral_constant<int, 8>());
  }
}

std::size_t chunk_count(std::int64_t count) { return (count + kChunk - 1) / kChunk; }

}  // namespace

bool hash_supports(int features) {
  return features == 1 || features == 2 || features == 4 || features == 8;
}

bool hash_forward(const GridShape& shape, std::int64_t count, const float* points,
                  const float* tables, float* out, int threads) {
  Team team(threads);
  std::vector<char> finite(chunk_count(count), 1);
  with_features(shape.features, [&](auto constant) {
    constexpr int F = decltype(constant)::value;
    const int width = kPlanes * shape.levels * F;
    team.each(chunk_count(count), [&](std::size_t chunk) {
      const std::int64_t first = chunk * kChunk, used = std::min(kChunk, count - first);
      Cells cells;
      finite[chunk] = cells.compute(shape, points + 3 * first, used);
      encode<F>(shape, cells, tables, used, out + first * width, width, 1);
    });
  });
  return std::all_of(finite.begin(), finite.end(), [](char ok) { return ok != 0; });
}

bool hash_block(const GridShape& shape, int count, const float* points, const float* tables,
                float* out) {
  Cells cells;
  const bool finite = cells.compute(shape, points, count);
  with_features(shape.features, [&](auto constant) {
    encode<decltype(constant)::value>(shape, cells, tables, count, out, 1, kHashBlock);
  });
  return finite;
}

void hash_backward(const GridShape& shape, std::int64_t count, const float* points,
                   const float* tables, const float* gradient, float* table_gradient,
                   float* point_gradient, int threads) {
  Team team(threads);
  with_features(shape.features, [&](auto constant) {
    constexpr int F = decltype(constant)::value;
    const int width = kPlanes * shape.levels * F;
    std::vector<float> columns(table_gradient ? count * width : 0);
    team.each(chunk_count(count), [&](std::size_t chunk) {
      const std::int64_t first = chunk * kChunk, used = std::min(kChunk, count - first);
      const float* rows = gradient + first * width;
      if (table_gradient)
        for (int j = 0; j < width; ++j)
          for (std::int64_t n = 0; n < used; ++n) columns[j * count + first + n] = rows[n * width + j];
      if (!point_gradient) return;
      Cells cells;
      cells.compute(shape, points + 3 * first, used);
      encode_back_points<F>(shape, cells, tables, rows, used, point_gradient + 3 * first);
    });
    if (!table_gradient) return;
    team.each(kPlanes * shape.levels, [&](std::size_t unit) {
      fill_table<F>(shape, static_cast<int>(unit), count, points, columns.data(),
                    table_gradient + shape.offsets[unit] * F);
    });
  });
}

}  // namespace emotalk
