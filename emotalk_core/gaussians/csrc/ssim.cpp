// Mean structural similarity in bands of rows: a band's blurred maps stay in the cache.
//
// The variances appear only as a sum, so four maps are blurred (x, y, x^2 + y^2, x y) and three
// come back. Bands overlap by the window and recompute there instead of waiting for each other.
#include "ssim.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "team.h"

namespace emotalk {
namespace {

constexpr int kWindow = 11, kReach = kWindow / 2;
constexpr double kSigma = 1.5;
constexpr float kC1 = 0.01f * 0.01f, kC2 = 0.03f * 0.03f;
constexpr int kBand = 32;  // rows; 10 more on each side at most
constexpr int kMaps = 4, kBackMaps = 3;

struct Window {
  float weight[kWindow];
  Window() {
    double values[kWindow], total = 0;
    for (int i = 0; i < kWindow; ++i) {
      values[i] = std::exp(-(i - kReach) * (i - kReach) / (2 * kSigma * kSigma));
      total += values[i];
    }
    for (int i = 0; i < kWindow; ++i) weight[i] = static_cast<float>(values[i] / total);
  }
};

// The window is symmetric: six products for eleven values.
void blur_row(const Window& window, const float* padded, int width, float* __restrict out) {
  const float* w = window.weight;
  for (int x = 0; x < width; ++x) {
    const float* p = padded + x;
    out[x] = w[5] * p[5] + w[0] * (p[0] + p[10]) + w[1] * (p[1] + p[9]) + w[2] * (p[2] + p[8]) +
             w[3] * (p[3] + p[7]) + w[4] * (p[4] + p[6]);
  }
}

void blur_column(const Window& window, const float* const* rows, int width,
                 float* __restrict out) {
  const float* w = window.weight;
  const float *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3], *e = rows[4], *f = rows[5],
              *g = rows[6], *h = rows[7], *i = rows[8], *j = rows[9], *k = rows[10];
  for (int x = 0; x < width; ++x)
    out[x] = w[5] * f[x] + w[0] * (a[x] + k[x]) + w[1] * (b[x] + j[x]) + w[2] * (c[x] + i[x]) +
             w[3] * (d[x] + h[x]) + w[4] * (e[x] + g[x]);
}

// The loops over a row stand in functions of their own with restricted pointers: only then does the
// compiler know that they do not overlap.
void products_of_row(const float* __restrict a, const float* __restrict b, int width,
                     float* __restrict xs, float* __restrict ys, float* __restrict squares,
                     float* __restrict products) {
  for (int x = 0; x < width; ++x) {
    xs[x] = a[x];
    ys[x] = b[x];
    squares[x] = a[x] * a[x] + b[x] * b[x];
    products[x] = a[x] * b[x];
  }
}

// SSIM and its derivatives to the blurred maps x, x^2 and x y.
void compare_row(const float* __restrict xs, const float* __restrict ys,
                 const float* __restrict squares, const float* __restrict products, int width,
                 float* __restrict value, float* __restrict to_x, float* __restrict to_xx,
                 float* __restrict to_xy) {
  for (int x = 0; x < width; ++x) {
    const float u = xs[x], v = ys[x], uv = u * v, uu_vv = u * u + v * v;
    const float luminance = 2.f * uv + kC1, luminance_base = uu_vv + kC1;
    const float contrast = 2.f * (products[x] - uv) + kC2;
    const float contrast_base = squares[x] - uu_vv + kC2;
    const float inverse = 1.f / (luminance_base * contrast_base);
    const float s = luminance * contrast * inverse;
    const float by_xx = -s * luminance_base * inverse;
    const float by_xy = 2.f * luminance * inverse;
    value[x] = s;
    to_xx[x] = by_xx;
    to_xy[x] = by_xy;
    to_x[x] = 2.f * v * contrast * inverse - 2.f * u * s * contrast_base * inverse -
              2.f * u * by_xx - v * by_xy;
  }
}

void combine_row(const float* __restrict a, const float* __restrict b,
                 const float* __restrict to_x, const float* __restrict to_xx,
                 const float* __restrict to_xy, float scale, int width, float* __restrict out) {
  for (int x = 0; x < width; ++x)
    out[x] = scale * (to_x[x] + 2.f * a[x] * to_xx[x] + b[x] * to_xy[x]);
}

// `Maps` planes of rows first..last of an image, and a row of zeros for what lies outside.
template <int Maps>
class RowStore {
 public:
  RowStore(int first, int last, int width)
      : first_(first), last_(last), width_(width), zeros_(width, 0.f),
        values_(std::size_t(Maps) * (last - first) * width) {}
  float* row(int map, int y) {
    return values_.data() + (std::size_t(map) * (last_ - first_) + (y - first_)) * width_;
  }
  // The eleven rows around y.
  void around(int map, int y, const float** rows) {
    for (int i = 0; i < kWindow; ++i) {
      const int at = y + i - kReach;
      rows[i] = at >= first_ && at < last_ ? row(map, at) : zeros_.data();
    }
  }

 private:
  int first_, last_, width_;
  std::vector<float> zeros_, values_;
};

class Band {
 public:
  Band(const Window& window, int height, int width, const float* image, const float* target)
      : window_(window), height_(height), width_(width), image_(image), target_(target) {}

  // Sum of SSIM over rows first..last; with a gradient plane also d(sum)/d(image) * scale.
  double run(int first, int last, float* gradient, float scale) {
    const int margin = gradient ? kReach : 0;
    const int from = std::max(0, first - margin), to = std::min(height_, last + margin);
    RowStore<kMaps> blurred = blur_inputs(from, to);
    RowStore<kBackMaps> back(from, to, gradient ? width_ : 0);
    double total = 0;
    for (int y = from; y < to; ++y) {
      const double row = compare(blurred, y, gradient ? &back : nullptr);
      if (y >= first && y < last) total += row;
    }
    if (gradient)
      for (int y = first; y < last; ++y) combine(back, y, gradient + std::size_t(y) * width_, scale);
    return total;
  }

 private:
  RowStore<kMaps> blur_inputs(int from, int to) {
    const int low = std::max(0, from - kReach), high = std::min(height_, to + kReach);
    RowStore<kMaps> store(low, high, width_);
    const int stride = width_ + 2 * kReach;
    std::vector<float> padded(std::size_t(kMaps) * stride, 0.f);
    float *xs = padded.data() + kReach, *ys = xs + stride, *squares = ys + stride;
    for (int y = low; y < high; ++y) {
      products_of_row(image_ + std::size_t(y) * width_, target_ + std::size_t(y) * width_, width_,
                      xs, ys, squares, squares + stride);
      for (int map = 0; map < kMaps; ++map)
        blur_row(window_, padded.data() + std::size_t(map) * stride, width_, store.row(map, y));
    }
    return store;
  }

  // SSIM of one row; with `back` also its derivatives to the blurred maps x, x^2 and x y, which
  // are blurred along the row right away.
  double compare(RowStore<kMaps>& store, int y, RowStore<kBackMaps>* back) {
    const int stride = width_ + 2 * kReach;
    mean_.resize(std::size_t(kMaps) * width_);
    derivative_.resize(std::size_t(kBackMaps) * stride);
    values_.resize(width_);
    for (int map = 0; map < kMaps; ++map) {
      const float* rows[kWindow];
      store.around(map, y, rows);
      blur_column(window_, rows, width_, mean_.data() + std::size_t(map) * width_);
    }
    const float* xs = mean_.data();
    float* to_x = derivative_.data() + kReach;
    compare_row(xs, xs + width_, xs + 2 * width_, xs + 3 * width_, width_, values_.data(), to_x,
                to_x + stride, to_x + 2 * stride);
    if (back)
      for (int map = 0; map < kBackMaps; ++map)
        blur_row(window_, derivative_.data() + std::size_t(map) * stride, width_,
                 back->row(map, y));
    double total = 0;
    for (int x = 0; x < width_; ++x) total += values_[x];
    return total;
  }

  void combine(RowStore<kBackMaps>& back, int y, float* gradient, float scale) {
    float* blurred = mean_.data();
    for (int map = 0; map < kBackMaps; ++map) {
      const float* rows[kWindow];
      back.around(map, y, rows);
      blur_column(window_, rows, width_, blurred + std::size_t(map) * width_);
    }
    combine_row(image_ + std::size_t(y) * width_, target_ + std::size_t(y) * width_, blurred,
                blurred + width_, blurred + 2 * width_, scale, width_, gradient);
  }

  const Window& window_;
  int height_, width_;
  const float *image_, *target_;
  std::vector<float> mean_, derivative_, values_;
};

}  // namespace

double ssim(int channels, int height, int width, const float* image, const float* target,
            float* gradient, int threads) {
  const Window window;
  const std::size_t plane = std::size_t(height) * width;
  const int bands = (height + kBand - 1) / kBand;
  const double count = double(channels) * plane;
  std::vector<double> totals(std::size_t(channels) * bands);
  Team team(threads);
  team.each(totals.size(), [&](std::size_t task) {
    const std::size_t channel = task / bands;
    const int first = static_cast<int>(task % bands) * kBand;
    Band band(window, height, width, image + channel * plane, target + channel * plane);
    totals[task] = band.run(first, std::min(height, first + kBand),
                            gradient ? gradient + channel * plane : nullptr,
                            static_cast<float>(1.0 / count));
  });
  double total = 0;
  for (double part : totals) total += part;
  return total / count;
}

}  // namespace emotalk
