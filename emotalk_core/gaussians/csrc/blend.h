// Blending of the splats of one 16 x 16 tile, and its gradient; a template over the channel count.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "raster.h"
#include "simd.h"

namespace emotalk {

constexpr int kBlockColumns = kTile / kBlockWidth;
constexpr int kBlockRows = kTile / kBlockHeight;
constexpr int kBlocks = kBlockColumns * kBlockRows;
constexpr int kMaxChannels = 16;  // of one run of the loops; more channels take several runs

// One tile and the splats that reach it. Features are rows of `stride` floats.
struct TileWork {
  int x, y;                    // first pixel
  int width, height;           // pixels inside the image
  const std::int32_t* ranks;
  std::int64_t count;
  const Splat* splats;
  const float* features;
  int stride;
};

// A pixel that is closed keeps its last transmittance with a minus sign, so that nothing behind it
// is lit and what the background shows through stays exact.
// Block b covers columns 4 (b % 4).. and rows kBlockHeight (b / 4).. of the tile.
template <int C>
struct TileValues {
  Vec transmittance[kBlocks];
  Vec alpha[kBlocks];
  Vec channel[kBlocks][C];  // a block's channels side by side: no two of them 4 KiB apart
};

template <int C>
struct TileGradients {
  Vec offset[kBlocks];         // gradient that every splat gets besides its features' share
  Vec remaining[kBlocks];      // sum over this and all later splats of weight times gradient
  Vec channel[kBlocks][C];
};

// Coordinates of the pixels and of the block centres of a tile, px from its corner.
struct Pixels {
  static constexpr int kGroups = kBlocks / kLanes;
  Vec x[kBlockColumns], y[kBlockRows];
  Vec centre_x[kGroups], centre_y[kGroups];

  Pixels() {
    for (int column = 0; column < kBlockColumns; ++column)
      x[column] = lane_columns() + splat(column * kBlockWidth + 0.5f);
    for (int row = 0; row < kBlockRows; ++row)
      y[row] = lane_rows() + splat(row * kBlockHeight + 0.5f);
    for (int group = 0; group < kGroups; ++group) {
      float xs[kLanes], ys[kLanes];
      for (int lane = 0; lane < kLanes; ++lane) {
        const int b = group * kLanes + lane;
        xs[lane] = b % kBlockColumns * kBlockWidth + 0.5f * kBlockWidth;
        ys[lane] = b / kBlockColumns * kBlockHeight + 0.5f * kBlockHeight;
      }
      centre_x[group] = load(xs);
      centre_y[group] = load(ys);
    }
  }
};

// A splat as seen from a tile: u = u_0 + u_x x + u_y y and v = v_0 + v_y y, px from the corner.
struct Local {
  float x, y;
  float u_0, u_x, u_y, v_0, v_y;
  float peak;

  Local() = default;
  Local(const Splat& s, const TileWork& tile)
      : x((s.x_whole - tile.x) + s.x_part), y((s.y_whole - tile.y) + s.y_part), u_x(s.u_x),
        u_y(s.u_y), v_y(s.v_y), peak(s.log2_opacity) {
    u_0 = -(u_x * x + u_y * y);
    v_0 = -v_y * y;
  }

  Vec exponent(Vec px, Vec py) const {
    const Vec u = fma(splat(u_x), px, fma(splat(u_y), py, splat(u_0)));
    const Vec v = fma(splat(v_y), py, splat(v_0));
    return fnma(u, u, fnma(v, v, splat(peak)));
  }

  // Bits of the blocks that the splat may light. The exponent is concave, so inside a block it
  // stays below its tangent at the centre; the splat's box sorts out what that bound leaves.
  std::uint64_t blocks(const Pixels& pixels, float reach_x, float reach_y) const {
    constexpr float kSlack = 0.01f;  // px, and in the exponent: rounding must not lose a pixel
    constexpr float kHalfWidth = 0.5f * (kBlockWidth - 1), kHalfHeight = 0.5f * (kBlockHeight - 1);
    const Vec far_x = splat(reach_x + kHalfWidth + kSlack);
    const Vec far_y = splat(reach_y + kHalfHeight + kSlack);
    std::uint64_t found = 0;
    for (int group = 0; group < Pixels::kGroups; ++group) {
      const Vec dx = pixels.centre_x[group] - splat(x), dy = pixels.centre_y[group] - splat(y);
      const Vec u = fma(splat(u_x), dx, splat(u_y) * dy), v = splat(v_y) * dy;
      const Vec slope_x = plus(u * splat(2.f * kHalfWidth * u_x));
      const Vec slope_y = plus(fma(u, splat(2.f * kHalfHeight * u_y),
                                   v * splat(2.f * kHalfHeight * v_y)));
      const Vec exponent = fnma(u, u, fnma(v, v, splat(peak + kSlack)));
      const Mask near = both(greater_equal(far_x, plus(dx)), greater_equal(far_y, plus(dy)));
      const Mask may = both(near, greater_equal(exponent + slope_x + slope_y,
                                                splat(kLog2MinAlpha)));
      found |= std::uint64_t(bits(may)) << (group * kLanes);
    }
    return found;
  }
};

// The next splats of a tile with the blocks that each may light and their features. They are
// gathered ahead of their use: the blending loops then wait neither for memory nor for a late
// branch.
template <int C>
struct Batch {
  static constexpr int kSize = 64;
  int count;
  Local local[kSize];
  std::uint64_t reached[kSize];    // bits of blocks, by splat
  float feature[kSize][C];

  void fill(const TileWork& tile, const Pixels& pixels, std::int64_t first) {
    count = static_cast<int>(std::min<std::int64_t>(kSize, tile.count - first));
    for (int i = 0; i < count; ++i) {
      const std::int64_t rank = tile.ranks[first + i];
      const Splat& s = tile.splats[rank];
      local[i] = Local(s, tile);
      reached[i] = local[i].blocks(pixels, s.reach_x, s.reach_y);
      std::memcpy(feature[i], tile.features + rank * tile.stride, sizeof feature[i]);
    }
    std::fill(reached + count, reached + kSize, 0);
  }

  // Bits of the splats that may light a block.
  std::uint64_t in_block(int block) const {
    std::uint64_t found = 0;
    for (int i = 0; i < kSize; ++i) found |= (reached[i] >> block & 1) << i;
    return found;
  }
};

// Transmittance 1 inside the image and 0 outside; returns the bits of blocks that are inside.
inline std::uint64_t open_blocks(const TileWork& tile, Vec* transmittance) {
  const Vec columns = lane_columns(), rows = lane_rows();
  const Vec width = splat(static_cast<float>(tile.width));
  const Vec height = splat(static_cast<float>(tile.height));
  std::uint64_t open = 0;
  for (int b = 0; b < kBlocks; ++b) {
    const Vec x = columns + splat(static_cast<float>(b % kBlockColumns * kBlockWidth));
    const Vec y = rows + splat(static_cast<float>(b / kBlockColumns * kBlockHeight));
    const Mask inside = both(greater(width, x), greater(height, y));
    transmittance[b] = keep(inside, splat(1.f));
    if (any(inside)) open |= std::uint64_t(1) << b;
  }
  return open;
}

// Blends a batch into one block; the sums stay in registers. Returns false once no pixel is open and
// adds the number of splats it looked at to `visits`.
template <int C>
bool blend_block(const Batch<C>& batch, std::uint64_t splats, Vec px, Vec py, Vec& transmittance,
                 Vec& alpha_sum, Vec* channel, std::int64_t& visits) {
  Vec before = transmittance, total = alpha_sum, blended[C];
  for (int c = 0; c < C; ++c) blended[c] = channel[c];
  bool open = true;
  visits += __builtin_popcountll(splats);
  for (; splats && open; splats &= splats - 1) {
    const int i = __builtin_ctzll(splats);
    const Vec exponent = batch.local[i].exponent(px, py);
    const Mask hit = greater_equal(exponent, splat(kLog2MinAlpha));
    const Vec alpha = minimum(splat(kMaxAlpha), exp2_of(exponent));
    const Vec after = fnma(alpha, before, before);
    const Mask lit = both(hit, greater(after, splat(kMinTransmittance)));
    const Vec weight = keep(lit, alpha * before);
    before = choose(lit, after, choose(hit, minus(before), before));
    total = total + weight;
    for (int c = 0; c < C; ++c) blended[c] = fma(weight, splat(batch.feature[i][c]), blended[c]);
    open = any(greater(before, splat(0.f)));
  }
  visits -= __builtin_popcountll(splats);
  transmittance = before;
  alpha_sum = total;
  for (int c = 0; c < C; ++c) channel[c] = blended[c];
  return open;
}

// Returns how many pixels of splats were computed.
template <int C>
std::int64_t blend_tile(const TileWork& tile, TileValues<C>& values) {
  const Pixels pixels;
  std::uint64_t open = open_blocks(tile, values.transmittance);
  for (int b = 0; b < kBlocks; ++b) {
    values.alpha[b] = splat(0.f);
    for (int c = 0; c < C; ++c) values.channel[b][c] = splat(0.f);
  }
  Batch<C> batch;
  std::int64_t visits = 0;
  for (std::int64_t first = 0; first < tile.count && open; first += batch.kSize) {
    batch.fill(tile, pixels, first);
    for (std::uint64_t left = open; left; left &= left - 1) {
      const int b = __builtin_ctzll(left);
      if (!blend_block<C>(batch, batch.in_block(b), pixels.x[b % kBlockColumns],
                          pixels.y[b / kBlockColumns], values.transmittance[b], values.alpha[b],
                          values.channel[b], visits))
        open &= ~(std::uint64_t(1) << b);
    }
  }
  return visits * kLanes;
}

// Adds what one splat does to the loss through one block to its sums.
template <int C>
void block_back(const Local& local, Vec px, Vec py, const Vec* feature, Vec& transmittance,
                Vec offset, Vec& remaining, const Vec* gradient, Vec* total) {
  const Vec exponent = local.exponent(px, py);
  const Mask hit = greater_equal(exponent, splat(kLog2MinAlpha));
  const Vec raw = exp2_of(exponent);
  const Vec alpha = minimum(splat(kMaxAlpha), raw);
  const Vec before = transmittance;
  const Vec after = fnma(alpha, before, before);
  const Mask lit = both(hit, greater(after, splat(kMinTransmittance)));
  const Vec weight = keep(lit, alpha * before);
  transmittance = choose(lit, after, choose(hit, minus(before), before));
  Vec gain = offset;
  for (int c = 0; c < C; ++c) gain = fma(gradient[c], feature[c], gain);
  const Vec share = weight * gain;
  const Vec behind = remaining - share;
  remaining = behind;
  const Vec slope = fnma(behind * alpha, reciprocal(splat(1.f) - alpha), share);
  const Vec v = keep(both(lit, greater(splat(kMaxAlpha), raw)), slope);
  const Vec dx = px - splat(local.x), dy = py - splat(local.y);
  const Vec vx = v * dx, vy = v * dy;
  total[0] = total[0] + v;
  total[1] = total[1] + vx;
  total[2] = total[2] + vy;
  total[3] = fma(vx, dx, total[3]);
  total[4] = fma(vx, dy, total[4]);
  total[5] = fma(vy, dy, total[5]);
  for (int c = 0; c < C; ++c) total[kMoments + c] = fma(weight, gradient[c], total[kMoments + c]);
}

// Writes kMoments + C sums of every splat of the tile, `padded` floats apart.
template <int C>
void blend_tile_back(const TileWork& tile, TileGradients<C>& gradients, float* sums, int padded) {
  constexpr int kSums = (kMoments + C + 3) / 4 * 4;
  const Vec none = splat(0.f);
  const Pixels pixels;
  Vec transmittance[kBlocks];
  std::uint64_t open = open_blocks(tile, transmittance);
  Batch<C> batch;
  std::int64_t first = 0;
  for (; first < tile.count && open; first += batch.kSize) {
    batch.fill(tile, pixels, first);
    for (int i = 0; i < batch.count; ++i, sums += padded) {
      Vec feature[C], total[kSums];
      for (int c = 0; c < C; ++c) feature[c] = splat(batch.feature[i][c]);
      for (int j = 0; j < kSums; ++j) total[j] = none;
      for (std::uint64_t left = batch.reached[i] & open; left; left &= left - 1) {
        const int b = __builtin_ctzll(left);
        block_back<C>(batch.local[i], pixels.x[b % kBlockColumns], pixels.y[b / kBlockColumns],
                      feature, transmittance[b], gradients.offset[b], gradients.remaining[b],
                      gradients.channel[b], total);
        if (!any(greater(transmittance[b], none))) open &= ~(std::uint64_t(1) << b);
      }
      for (int j = 0; j < kSums; j += 4)
        store_sums(sums + j, total[j], total[j + 1], total[j + 2], total[j + 3]);
    }
  }
  for (first = std::min(first, tile.count); first < tile.count; ++first, sums += padded)
    std::fill_n(sums, kSums, 0.f);
}

}  // namespace emotalk
