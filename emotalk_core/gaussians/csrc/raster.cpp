// One image forward and backward: the order of the passes and the planes they read and write.
#include "raster.h"

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <type_traits>

#include "blend.h"

namespace emotalk {
namespace {

constexpr int kRunSizes[] = {3, 4, 7, 8, 12, kMaxChannels};  // channel counts that are compiled

int padded_run(int channels) {
  for (int size : kRunSizes)
    if (channels <= size) return size;
  return kMaxChannels;
}

// Calls body with the compile-time channel count that holds `channels`.
template <class Body>
void with_run_size(int channels, Body body) {
  switch (padded_run(channels)) {
    case 3: return body(std::integral_constant<int, 3>());
    case 4: return body(std::integral_constant<int, 4>());
    case 7: return body(std::integral_constant<int, 7>());
    case 8: return body(std::integral_constant<int, 8>());
    case 12: return body(std::integral_constant<int, 12>());
    default: return body(std::integral_constant<int, kMaxChannels>());
  }
}

// A tile's pixels of one plane; tiles at the border go through a whole buffer.
class PlaneTile {
 public:
  PlaneTile(const TileWork& tile, int image_width)
      : tile_(tile), width_(image_width), whole_(tile.width == kTile && tile.height == kTile) {}

  // Block b goes to blocks[b * step].
  void load(const float* plane, Vec* blocks, int step = 1) const {
    const float* source = plane + std::int64_t(tile_.y) * width_ + tile_.x;
    if (whole_) {
      load_blocks(source, width_, blocks, step);
      return;
    }
    float buffer[kTile * kTile] = {};
    for (int y = 0; y < tile_.height; ++y)
      std::copy_n(source + std::int64_t(y) * width_, tile_.width, buffer + y * kTile);
    load_blocks(buffer, kTile, blocks, step);
  }

  void save(float* plane, const Vec* blocks, int step = 1) const {
    float* target = plane + std::int64_t(tile_.y) * width_ + tile_.x;
    if (whole_) {
      store_blocks(target, width_, blocks, step);
      return;
    }
    float buffer[kTile * kTile];
    store_blocks(buffer, kTile, blocks, step);
    for (int y = 0; y < tile_.height; ++y)
      std::copy_n(buffer + y * kTile, tile_.width, target + std::int64_t(y) * width_);
  }

 private:
  static void load_blocks(const float* source, std::ptrdiff_t stride, Vec* blocks, int step) {
    for (int row = 0; row < kBlockRows; ++row, source += stride * kBlockHeight)
      for (int column = 0; column < kBlockColumns; ++column, blocks += step)
        *blocks = load_block(source + column * kBlockWidth, stride);
  }
  static void store_blocks(float* target, std::ptrdiff_t stride, const Vec* blocks, int step) {
    for (int row = 0; row < kBlockRows; ++row, target += stride * kBlockHeight)
      for (int column = 0; column < kBlockColumns; ++column, blocks += step)
        store_block(target + column * kBlockWidth, stride, *blocks);
  }
  const TileWork& tile_;
  int width_;
  bool whole_;
};

// Asks for the pixels of a tile before they are needed: sixteen short rows of every plane lie too
// far apart for the processor to see a pattern.
void prefetch_tile(const float* plane, int x, int y, int width, int height) {
  const int bottom = std::min(y + kTile, height);
  for (; y < bottom; ++y) __builtin_prefetch(plane + std::int64_t(y) * width + x);
}

// Background of one colour channel in a tile.
void load_background(const Background& background, int colour, std::int64_t plane_size,
                     const PlaneTile& pixels, Vec* blocks) {
  if (background.is_image) {
    pixels.load(background.values + colour * plane_size, blocks);
  } else {
    std::fill_n(blocks, kBlocks, splat(background.values[colour]));
  }
}

// The channels' columns of the feature rows, side by side and padded with zeros.
std::vector<float> pack(const std::vector<float>& features, std::size_t rows, int width,
                        const Channel* channels, int count, int padded) {
  std::vector<float> packed(rows * padded, 0.f);
  for (std::size_t row = 0; row < rows; ++row)
    for (int c = 0; c < count; ++c)
      packed[row * padded + c] = features[row * width + channels[c].feature];
  return packed;
}

}  // namespace

// Every plane that is there, in the order of the features.
std::vector<Channel> Raster::channels(const Planes& planes, const Planes* values) const {
  const std::int64_t size = std::int64_t(view_.width) * view_.height;
  std::vector<Channel> list;
  const auto add = [&](int feature, float* plane, const float* value, int index, bool is_depth,
                       int colour) {
    if (plane)
      list.push_back({feature, plane + index * size, value ? value + index * size : nullptr,
                      is_depth, colour});
  };
  const int depth = view_.with_normals ? 6 : 3;
  for (int c = 0; c < 3; ++c) add(c, planes.rgb, values ? values->rgb : nullptr, c, false, c);
  if (view_.with_normals)
    for (int c = 0; c < 3; ++c)
      add(3 + c, planes.normals, values ? values->normals : nullptr, c, false, -1);
  add(depth, planes.depth, values ? values->depth : nullptr, 0, true, -1);
  for (int c = depth + 1; c < feature_count_; ++c)
    add(c, planes.extra, values ? values->extra : nullptr, c - depth - 1, false, -1);
  return list;
}

unsigned Raster::forward(const GaussianArrays& gaussians, const View& view,
                         const Background& background, const Planes& out, std::int32_t* radii,
                         float* means2d, int threads) {
  count_ = gaussians.count;
  view_ = view;
  feature_count_ = (view.with_normals ? 7 : 4) + gaussians.extra_count;
  columns_ = (view.width + kTile - 1) / kTile;
  rows_ = (view.height + kTile - 1) / kTile;
  Team team(threads);
  std::vector<Splat> splats(count_);
  std::vector<float> features(count_ * feature_count_);
  const unsigned wrong = project(team, gaussians, radii, means2d, splats, features);
  if (wrong) return wrong;

  order_.clear();
  drawn_.resize(count_);
  for (std::int64_t i = 0; i < count_; ++i) {
    drawn_[i] = radii[2 * i] > 0;
    if (drawn_[i]) order_.push_back(static_cast<std::int32_t>(i));
  }
  sort_by_depth(features);
  splats_.resize(order_.size());
  features_.resize(order_.size() * feature_count_);
  for (std::size_t rank = 0; rank < order_.size(); ++rank) {
    splats_[rank] = splats[order_[rank]];
    std::copy_n(&features[std::size_t(order_[rank]) * feature_count_], feature_count_,
                &features_[rank * feature_count_]);
  }
  assign_tiles(team, threads);
  blend(team, background, out);
  return 0;
}

void Raster::blend(Team& team, const Background& background, const Planes& out) {
  const std::vector<Channel> all = channels(out, nullptr);
  const std::int64_t size = std::int64_t(view_.width) * view_.height;
  if (out.alpha) transmittance_.resize(size);
  std::vector<std::int64_t> computed(std::size_t(columns_) * rows_, 0);
  for (std::size_t first = 0; first < all.size(); first += kMaxChannels) {
    const Channel* run = &all[first];
    const int count = static_cast<int>(std::min<std::size_t>(kMaxChannels, all.size() - first));
    const int padded = padded_run(count);
    const std::vector<float> packed =
        pack(features_, splats_.size(), feature_count_, run, count, padded);
    with_run_size(count, [&](auto constant) {
      constexpr int C = decltype(constant)::value;
      team.each(std::size_t(columns_) * rows_, [&](std::size_t index) {
        const TileWork tile = work(index, packed.data(), padded);
        TileValues<C> values;
        computed[index] = blend_tile<C>(tile, values);
        const PlaneTile pixels(tile, view_.width);
        for (Vec& through : values.transmittance) through = plus(through);
        if (first == 0 && out.alpha) {
          pixels.save(out.alpha, values.alpha);
          pixels.save(transmittance_.data(), values.transmittance);
        }
        for (int c = 0; c < count; ++c) {
          Vec* blocks = values.channel[0] + c;
          Vec behind[kBlocks];
          if (run[c].background >= 0)
            load_background(background, run[c].background, size, pixels, behind);
          for (int b = 0; b < kBlocks; ++b) {
            if (run[c].is_depth)
              blocks[b * C] = blocks[b * C] / maximum(values.alpha[b], splat(kMinCoverage));
            if (run[c].background >= 0)
              blocks[b * C] = fma(values.transmittance[b], behind[b], blocks[b * C]);
          }
          pixels.save(run[c].out, blocks, C);
        }
      });
    });
  }
  pixel_splats_ = std::accumulate(computed.begin(), computed.end(), std::int64_t(0));
}

TileWork Raster::work(std::size_t index, const float* features, int stride) const {
  TileWork tile;
  tile.x = static_cast<int>(index % columns_) * kTile;
  tile.y = static_cast<int>(index / columns_) * kTile;
  tile.width = std::min(kTile, view_.width - tile.x);
  tile.height = std::min(kTile, view_.height - tile.y);
  tile.ranks = pairs_.data() + tile_start_[index];
  tile.count = tile_start_[index + 1] - tile_start_[index];
  tile.splats = splats_.data();
  tile.features = features;
  tile.stride = stride;
  return tile;
}

void Raster::backward(const GaussianArrays& gaussians, const Background& background,
                      const Planes& values, const Planes& gradients,
                      const GaussianGradients& wanted, float* background_gradient,
                      int threads) const {
  Team team(threads);
  const std::vector<Channel> active = channels(gradients, &values);
  // Rows of kMoments + feature_count_ sums, one for every Gaussian.
  std::vector<float> splat_gradients(count_ * (kMoments + feature_count_), 0.f);
  if (!active.empty() || gradients.alpha)
    blend_back(team, active, values, gradients, splat_gradients);
  if (background_gradient)
    background_back(team, background, gradients, background_gradient);
  unproject(team, gaussians, wanted, splat_gradients);
}

// Gradient of the loss to the weights of the splats in one tile, before any splat is visited.
template <int C>
static void load_gradients(const PlaneTile& pixels, const Channel* run, int count,
                           const Planes& values, const float* alpha_gradient,
                           TileGradients<C>& g) {
  Vec alpha[kBlocks], value[kBlocks];
  pixels.load(values.alpha, alpha);
  if (alpha_gradient) pixels.load(alpha_gradient, g.offset);
  for (int b = 0; b < kBlocks; ++b) {
    if (!alpha_gradient) g.offset[b] = splat(0.f);
    g.remaining[b] = g.offset[b] * alpha[b];
  }
  for (int c = 0; c < C; ++c) {
    Vec* gradient = g.channel[0] + c;
    if (c >= count) {
      for (int b = 0; b < kBlocks; ++b) gradient[b * C] = splat(0.f);
      continue;
    }
    pixels.load(run[c].out, gradient, C);
    pixels.load(run[c].value, value);
    for (int b = 0; b < kBlocks; ++b) {
      if (run[c].is_depth) {
        // depth = sum(w z) / sum(w): each splat gets (z - depth) / alpha, and these sum to 0.
        gradient[b * C] = gradient[b * C] / maximum(alpha[b], splat(kMinCoverage));
        g.offset[b] = fnma(gradient[b * C], value[b], g.offset[b]);
      } else {
        g.remaining[b] = fma(gradient[b * C], value[b], g.remaining[b]);
      }
    }
  }
}

void Raster::blend_back(Team& team, const std::vector<Channel>& active, const Planes& values,
                        const Planes& gradients, std::vector<float>& splat_gradients) const {
  for (std::size_t first = 0; first == 0 || first < active.size(); first += kMaxChannels) {
    const Channel* run = active.data() + first;
    const int count = static_cast<int>(std::min<std::size_t>(kMaxChannels, active.size() - first));
    const int stride = padded_run(count), padded = (kMoments + stride + 3) / 4 * 4;
    const std::vector<float> packed =
        pack(features_, splats_.size(), feature_count_, run, count, stride);
    const std::size_t slots = pairs_.size() * padded;
    const std::unique_ptr<float[]> sums(new float[slots]);  // every slot is written below
    with_run_size(count, [&](auto constant) {
      constexpr int C = decltype(constant)::value;
      team.each(std::size_t(columns_) * rows_, [&](std::size_t index) {
        const TileWork tile = work(index, packed.data(), stride);
        if (index + 1 < std::size_t(columns_) * rows_) {
          const TileWork next = work(index + 1, packed.data(), stride);
          for (int c = 0; c < count; ++c) {
            prefetch_tile(run[c].out, next.x, next.y, view_.width, view_.height);
            prefetch_tile(run[c].value, next.x, next.y, view_.width, view_.height);
          }
        }
        if (tile.count == 0) return;
        const PlaneTile pixels(tile, view_.width);
        TileGradients<C> g;
        load_gradients<C>(pixels, run, count, values, first == 0 ? gradients.alpha : nullptr, g);
        blend_tile_back<C>(tile, g, sums.get() + tile_start_[index] * padded, padded);
      });
    });
    gather(team, run, count, sums.get(), padded, splat_gradients);
  }
}

// Adds up what the tiles found for each splat, always in the same order, and files the sums under
// the Gaussian's own row. Colours that were clamped at 0 pass no gradient on.
void Raster::gather(Team& team, const Channel* run, int count, const float* sums, int padded,
                    std::vector<float>& splat_gradients) const {
  constexpr std::size_t kChunk = 512;
  constexpr std::int64_t kAhead = 24;  // slots lie apart in memory, and so do the rows
  constexpr std::size_t kRowsAhead = 8;
  const std::size_t n = splats_.size();
  const int width = kMoments + feature_count_;
  team.each((n + kChunk - 1) / kChunk, [&](std::size_t chunk) {
    for (std::size_t i = chunk * kChunk; i < std::min(n, (chunk + 1) * kChunk); ++i) {
      if (i + kRowsAhead < n)
        __builtin_prefetch(&splat_gradients[std::size_t(order_[i + kRowsAhead]) * width], 1);
      float total[kMoments + kMaxChannels + 2] = {};
      for (std::int64_t k = splat_start_[i]; k < splat_start_[i + 1]; ++k) {
        if (k + kAhead < static_cast<std::int64_t>(slot_of_.size()))
          __builtin_prefetch(sums + std::int64_t(slot_of_[k + kAhead]) * padded);
        const float* slot = sums + std::int64_t(slot_of_[k]) * padded;
        for (int j = 0; j < padded; j += 4)
          for (int lane = 0; lane < 4; ++lane) total[j + lane] += slot[j + lane];
      }
      float* out = &splat_gradients[std::size_t(order_[i]) * width];
      for (int j = 0; j < kMoments; ++j) out[j] += total[j];
      for (int c = 0; c < count; ++c) {
        const bool clamped =
            run[c].background >= 0 && !(features_[i * feature_count_ + run[c].feature] > 0.f);
        out[kMoments + run[c].feature] += clamped ? 0.f : total[kMoments + c];
      }
    }
  });
}

// The background is seen through what the splats leave.
void Raster::background_back(Team& team, const Background& background, const Planes& gradients,
                             float* out) const {
  const std::int64_t size = std::int64_t(view_.width) * view_.height;
  std::fill_n(out, background.is_image ? 3 * size : 3, 0.f);
  if (!gradients.rgb) return;
  std::vector<std::array<double, 3>> rows(view_.height);
  team.each(view_.height, [&](std::size_t y) {
    for (int c = 0; c < 3; ++c) {
      const float* g = gradients.rgb + c * size + y * view_.width;
      const float* through = transmittance_.data() + y * view_.width;
      double total = 0;
      for (int x = 0; x < view_.width; ++x) {
        const float seen = g[x] * through[x];
        if (background.is_image) out[c * size + y * view_.width + x] = seen;
        total += seen;
      }
      rows[y][c] = total;
    }
  });
  if (background.is_image) return;
  for (int c = 0; c < 3; ++c) {
    double total = 0;
    for (const auto& row : rows) total += row[c];
    out[c] = static_cast<float>(total);
  }
}

}  // namespace emotalk
