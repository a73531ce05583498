// Depth order and tile lists: which splats each 16 x 16 tile must blend, front to back.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "raster.h"

namespace emotalk {
namespace {

// Rounding of the float32 ellipse test must never lose a pixel: tiles are reached a bit too far.
constexpr float kSlack = 0.01f;          // px
constexpr float kRelativeSlack = 1e-5f;  // of the extent

struct Span {
  int first, last;  // inclusive; empty if first > last
};

// Tiles whose pixel centres (at +0.5) meet [low, high].
Span tiles_between(float low, float high, int count) {
  const float top = static_cast<float>(count * kTile);
  const float from = std::max(0.f, low - 0.5f), to = std::min(top - 1.f, high - 0.5f);
  if (!(to >= 0.f) || !(from <= to)) return {0, -1};
  return {static_cast<int>(std::ceil(from)) / kTile, static_cast<int>(to) / kTile};
}

// The ellipse u^2 + v^2 = level of a splat, where alpha = 1/255, cut into rows of tiles.
class Ellipse {
 public:
  explicit Ellipse(const Splat& s)
      : splat_(s), x_(s.x_whole + s.x_part), y_(s.y_whole + s.y_part),
        level_(std::max(0.f, s.log2_opacity - kLog2MinAlpha)), inverse_(1.f / s.u_x),
        slack_(kSlack + kRelativeSlack * std::max(s.reach_x, s.reach_y)) {
    // Height of the right-most point, where the tangent is vertical.
    widest_ = -s.u_x * s.u_y / (s.u_y * s.u_y + s.v_y * s.v_y) * s.reach_x;
  }

  Span rows(int count) const {
    return tiles_between(y_ - splat_.reach_y - slack_, y_ + splat_.reach_y + slack_, count);
  }

  // Columns of tiles that the ellipse meets inside one row of tiles.
  Span columns(int row, int count) const {
    const float top = row * kTile + 0.5f - y_, bottom = top + (kTile - 1);
    const float low = std::max(top, -splat_.reach_y), high = std::min(bottom, splat_.reach_y);
    const bool has_right = widest_ >= low && widest_ <= high;
    const bool has_left = -widest_ >= low && -widest_ <= high;
    const float right = has_right ? splat_.reach_x : std::max(edge(low, 1), edge(high, 1));
    const float left = has_left ? -splat_.reach_x : std::min(edge(low, -1), edge(high, -1));
    return tiles_between(x_ + left - slack_, x_ + right + slack_, count);
  }

 private:
  float edge(float y, float side) const {
    const float v = splat_.v_y * y;
    return (side * std::sqrt(std::max(0.f, level_ - v * v)) - splat_.u_y * y) * inverse_;
  }
  const Splat& splat_;
  float x_, y_, level_, inverse_, slack_, widest_;
};

constexpr int kRadixBits = 11;  // three passes cover a float's 32 bits
constexpr int kBuckets = 1 << kRadixBits;

}  // namespace

// Stable radix sort: depths are positive, so their bit patterns sort like the numbers.
void Raster::sort_by_depth(const std::vector<float>& features) {
  const int column = view_.with_normals ? 6 : 3;
  const std::size_t n = order_.size();
  std::vector<std::uint32_t> keys(n), other_keys(n);
  std::vector<std::int32_t> other(n);
  for (std::size_t i = 0; i < n; ++i)
    std::memcpy(&keys[i], &features[std::size_t(order_[i]) * feature_count_ + column], 4);
  for (int shift = 0; shift < 32; shift += kRadixBits) {
    std::uint32_t next[kBuckets + 1] = {};
    for (std::uint32_t key : keys) ++next[((key >> shift) & (kBuckets - 1)) + 1];
    for (int i = 0; i < kBuckets; ++i) next[i + 1] += next[i];
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint32_t to = next[(keys[i] >> shift) & (kBuckets - 1)]++;
      other_keys[to] = keys[i];
      other[to] = order_[i];
    }
    keys.swap(other_keys);
    order_.swap(other);
  }
}

// A counting sort by tile that keeps the depth order; every part of the splats counts for itself,
// so the lists do not depend on the number of threads.
void Raster::assign_tiles(Team& team, int threads) {
  const std::size_t n = splats_.size(), tiles = std::size_t(columns_) * rows_;
  const std::size_t parts = std::max<std::size_t>(1, std::min<std::size_t>(threads, n / 512));
  std::vector<std::vector<std::int32_t>> reached(parts);
  std::vector<std::vector<std::int64_t>> next(parts);
  splat_start_.assign(n + 1, 0);
  team.each(parts, [&](std::size_t part) {
    next[part].assign(tiles, 0);
    reached[part].reserve(4 * n / parts);
    for (std::size_t i = n * part / parts; i < n * (part + 1) / parts; ++i) {
      const Ellipse ellipse(splats_[i]);
      const Span rows = ellipse.rows(rows_);
      const std::size_t before = reached[part].size();
      for (int row = rows.first; row <= rows.last; ++row) {
        const Span columns = ellipse.columns(row, columns_);
        for (int column = columns.first; column <= columns.last; ++column) {
          reached[part].push_back(row * columns_ + column);
          ++next[part][row * columns_ + column];
        }
      }
      splat_start_[i + 1] = static_cast<std::int64_t>(reached[part].size() - before);
    }
  });
  for (std::size_t i = 0; i < n; ++i) splat_start_[i + 1] += splat_start_[i];
  tile_start_.assign(tiles + 1, 0);
  std::int64_t total = 0;
  for (std::size_t tile = 0; tile < tiles; ++tile) {
    tile_start_[tile] = total;
    for (std::size_t part = 0; part < parts; ++part) {
      const std::int64_t count = next[part][tile];
      next[part][tile] = total;
      total += count;
    }
  }
  tile_start_[tiles] = total;
  pairs_.resize(total);
  slot_of_.resize(total);
  team.each(parts, [&](std::size_t part) {
    std::size_t at = 0;
    for (std::size_t i = n * part / parts; i < n * (part + 1) / parts; ++i)
      for (std::int64_t k = splat_start_[i]; k < splat_start_[i + 1]; ++k) {
        const std::int64_t slot = next[part][reached[part][at++]]++;
        pairs_[slot] = static_cast<std::int32_t>(i);
        slot_of_[k] = static_cast<std::int32_t>(slot);
      }
  });
}

}  // namespace emotalk
