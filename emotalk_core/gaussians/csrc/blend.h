// Blending of the splats of one 16 x 16 tile, and its gradient; a template over the channel count.
#pragma once

#include <cmath>
#include <cstdint>

#include "raster.h"
#include "simd.h"

namespace emotalk {

constexpr int kBlockColumns = kTile / kBlockWidth;
constexpr int kBlockRows = kTile / kBlockHeight;
constexpr int kBlocks = kBlockColumns * kBlockRows;
constexpr int kMaxChannels = 16;  // of one run of the loops; more channels take several runs
constexpr float kLog2MinAlpha = -7.994353436858858f;

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
  Vec channel[C][kBlocks];
};

template <int C>
struct TileGradients {
  Vec offset[kBlocks];         // gradient that every splat gets besides its features' share
  Vec remaining[kBlocks];      // sum over this and all later splats of weight times gradient
  Vec channel[C][kBlocks];
};

// Where a splat lies in a tile: the blocks inside its box and the row terms of its exponent.
struct Footprint {
  int column0, column1, row0, row1;  // blocks, inclusive; empty if column0 > column1
  Vec dy[kBlockRows], linear[kBlockRows], constant[kBlockRows];

  Footprint(const Splat& s, const TileWork& tile, Vec lane_rows) {
    const float x = (s.x_whole - (tile.x + 0.5f)) + s.x_part;
    const float y = (s.y_whole - (tile.y + 0.5f)) + s.y_part;
    range(x, s.reach_x, kBlockWidth, column0, column1);
    range(y, s.reach_y, kBlockHeight, row0, row1);
    if (row0 > row1) column0 = kBlockColumns, column1 = -1;
    const Vec part = splat(s.y_part), slope = splat(s.xy), bend = splat(s.yy);
    const Vec peak = splat(s.log2_opacity);
    for (int row = row0; row <= row1; ++row) {
      const float origin = tile.y + 0.5f + static_cast<float>(row * kBlockHeight) - s.y_whole;
      dy[row] = (lane_rows + splat(origin)) - part;
      linear[row] = slope * dy[row];
      constant[row] = fma(bend * dy[row], dy[row], peak);
    }
  }

  static void range(float centre, float reach, int step, int& first, int& last) {
    const float low = centre - reach, high = centre + reach;
    if (!(high >= 0.f) || !(low <= kTile - 1.f)) {
      first = 1;
      last = 0;
      return;
    }
    const float from = low > 0.f ? low : 0.f;
    const int whole = static_cast<int>(from);
    first = (whole + (static_cast<float>(whole) < from)) / step;
    last = static_cast<int>(high < kTile - 1.f ? high : kTile - 1.f) / step;
  }
};

inline Vec columns_from(const Splat& s, const TileWork& tile, int column, Vec lane_columns) {
  const float origin = tile.x + 0.5f + static_cast<float>(column * kBlockWidth) - s.x_whole;
  return (lane_columns + splat(origin)) - splat(s.x_part);
}

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

template <int C>
void blend_tile(const TileWork& tile, TileValues<C>& values) {
  const Vec columns = lane_columns(), rows = lane_rows(), none = splat(0.f);
  std::uint64_t open = open_blocks(tile, values.transmittance);
  for (int b = 0; b < kBlocks; ++b) {
    values.alpha[b] = none;
    for (int c = 0; c < C; ++c) values.channel[c][b] = none;
  }
  for (std::int64_t k = 0; k < tile.count && open; ++k) {
    const Splat& s = tile.splats[tile.ranks[k]];
    const float* features = tile.features + std::int64_t(tile.ranks[k]) * tile.stride;
    const Footprint at(s, tile, rows);
    const Vec bend = splat(s.xx);
    Vec feature[C];
    for (int c = 0; c < C; ++c) feature[c] = splat(features[c]);
    for (int column = at.column0; column <= at.column1; ++column) {
      const Vec dx = columns_from(s, tile, column, columns);
      for (int row = at.row0; row <= at.row1; ++row) {
        const int b = row * kBlockColumns + column;
        if (!(open >> b & 1)) continue;
        const Vec exponent = fma(dx, fma(bend, dx, at.linear[row]), at.constant[row]);
        const Mask hit = greater_equal(exponent, splat(kLog2MinAlpha));
        if (!any(hit)) continue;
        const Vec alpha = minimum(splat(kMaxAlpha), exp2_of(exponent));
        const Vec before = values.transmittance[b];
        const Vec after = fnma(alpha, before, before);
        const Mask lit = both(hit, greater(after, splat(kMinTransmittance)));
        const Vec weight = keep(lit, alpha * before);
        const Vec next = choose(lit, after, choose(hit, minus(before), before));
        values.transmittance[b] = next;
        values.alpha[b] = values.alpha[b] + weight;
        for (int c = 0; c < C; ++c)
          values.channel[c][b] = fma(weight, feature[c], values.channel[c][b]);
        if (!any(greater(next, none))) open &= ~(std::uint64_t(1) << b);
      }
    }
  }
}

// Writes kMoments + C sums of every splat of the tile, `padded` floats apart.
template <int C>
void blend_tile_back(const TileWork& tile, TileGradients<C>& gradients, float* sums, int padded) {
  constexpr int kSums = (kMoments + C + 3) / 4 * 4;
  const Vec columns = lane_columns(), rows = lane_rows(), one = splat(1.f), none = splat(0.f);
  Vec transmittance[kBlocks];
  std::uint64_t open = open_blocks(tile, transmittance);
  std::int64_t k = 0;
  for (; k < tile.count && open; ++k, sums += padded) {
    const Splat& s = tile.splats[tile.ranks[k]];
    const float* features = tile.features + std::int64_t(tile.ranks[k]) * tile.stride;
    const Footprint at(s, tile, rows);
    const Vec bend = splat(s.xx);
    Vec feature[C], total[kSums];
    for (int c = 0; c < C; ++c) feature[c] = splat(features[c]);
    for (int i = 0; i < kSums; ++i) total[i] = none;
    bool touched = false;
    for (int column = at.column0; column <= at.column1; ++column) {
      const Vec dx = columns_from(s, tile, column, columns);
      Vec sum = none, sum_y = none, sum_yy = none;  // dx is the same in every row: added below
      for (int row = at.row0; row <= at.row1; ++row) {
        const int b = row * kBlockColumns + column;
        if (!(open >> b & 1)) continue;
        const Vec exponent = fma(dx, fma(bend, dx, at.linear[row]), at.constant[row]);
        const Mask hit = greater_equal(exponent, splat(kLog2MinAlpha));
        if (!any(hit)) continue;
        touched = true;
        const Vec raw = exp2_of(exponent);
        const Vec alpha = minimum(splat(kMaxAlpha), raw);
        const Vec before = transmittance[b];
        const Vec after = fnma(alpha, before, before);
        const Mask lit = both(hit, greater(after, splat(kMinTransmittance)));
        const Vec weight = keep(lit, alpha * before);
        const Vec next = choose(lit, after, choose(hit, minus(before), before));
        transmittance[b] = next;
        Vec gain = gradients.offset[b];
        for (int c = 0; c < C; ++c) gain = fma(gradients.channel[c][b], feature[c], gain);
        const Vec share = weight * gain;
        const Vec behind = gradients.remaining[b] - share;
        gradients.remaining[b] = behind;
        const Vec slope = fnma(behind * alpha, reciprocal(one - alpha), share);
        const Vec v = keep(both(lit, greater(splat(kMaxAlpha), raw)), slope);
        const Vec vy = v * at.dy[row];
        sum = sum + v;
        sum_y = sum_y + vy;
        sum_yy = fma(vy, at.dy[row], sum_yy);
        for (int c = 0; c < C; ++c)
          total[kMoments + c] = fma(weight, gradients.channel[c][b], total[kMoments + c]);
        if (!any(greater(next, none))) open &= ~(std::uint64_t(1) << b);
      }
      total[0] = total[0] + sum;
      total[1] = fma(dx, sum, total[1]);
      total[2] = total[2] + sum_y;
      total[3] = fma(dx * dx, sum, total[3]);
      total[4] = fma(dx, sum_y, total[4]);
      total[5] = total[5] + sum_yy;
    }
    if (touched) {
      for (int i = 0; i < kSums; i += 4)
        store_sums(sums + i, total[i], total[i + 1], total[i + 2], total[i + 3]);
    } else {
      for (int i = 0; i < kSums; ++i) sums[i] = 0.f;
    }
  }
  for (; k < tile.count; ++k, sums += padded)
    for (int i = 0; i < kSums; ++i) sums[i] = 0.f;
}

}  // namespace emotalk
