// Mean structural similarity, row by row: only the rows that a window still needs are kept.
//
// The variances appear only as a sum, so four maps are blurred (x, y, x^2 + y^2, x y) and three
// come back. Every map is blurred along its rows when it is made and across them four rows at a
// time, which reads each row four times instead of eleven. Bands of rows are shared among threads;
// they overlap by the window and recompute there instead of waiting for each other.
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
constexpr int kBand = 128;  // rows; 10 more are read on each side
constexpr int kStep = 4;    // rows that are blurred together
constexpr int kRing = 32;   // rows kept: window, step and the lag between the two blurs
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

// Four outputs from fourteen rows.
void blur_columns(const Window& window, const float* const* rows, int width, int stride,
                  float* __restrict out) {
  const float* w = window.weight;
  for (int x = 0; x < width; ++x) {
    float value[kWindow + kStep - 1];
    for (int i = 0; i < kWindow + kStep - 1; ++i) value[i] = rows[i][x];
    for (int y = 0; y < kStep; ++y) {
      const float* v = value + y;
      out[y * stride + x] = w[5] * v[5] + w[0] * (v[0] + v[10]) + w[1] * (v[1] + v[9]) +
                            w[2] * (v[2] + v[8]) + w[3] * (v[3] + v[7]) + w[4] * (v[4] + v[6]);
    }
  }
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

// Eight sums side by side: one alone would wait for every addition.
double sum_of_row(const float* values, int width) {
  constexpr int kSums = 8;
  double sums[kSums] = {};
  int x = 0;
  for (; x + kSums <= width; x += kSums)
    for (int i = 0; i < kSums; ++i) sums[i] += values[x + i];
  for (; x < width; ++x) sums[0] += values[x];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

void combine_row(const float* __restrict a, const float* __restrict b,
                 const float* __restrict to_x, const float* __restrict to_xx,
                 const float* __restrict to_xy, float scale, int width, float* __restrict out) {
  for (int x = 0; x < width; ++x)
    out[x] = scale * (to_x[x] + 2.f * a[x] * to_xx[x] + b[x] * to_xy[x]);
}

// The last kRing rows of `Maps` planes; rows outside first..last read as zeros.
template <int Maps>
class Ring {
 public:
  Ring(int first, int last, int width)
      : first_(first), last_(last), width_(width), zeros_(width, 0.f),
        values_(std::size_t(Maps) * kRing * width) {}
  float* row(int map, int y) {
    return values_.data() + (std::size_t(map) * kRing + y % kRing) * width_;
  }
  // The rows that kStep outputs from y on need.
  void around(int map, int y, const float** rows) {
    for (int i = 0; i < kWindow + kStep - 1; ++i) {
      const int at = y + i - kReach;
      rows[i] = at >= first_ && at < last_ ? row(map, at) : zeros_.data();
    }
  }

 private:
  int first_, last_, width_;
  std::vector<float> zeros_, values_;
};

// Rows first..last of one channel.
class Band {
 public:
  Band(const Window& window, int height, int width, const float* image, const float* target,
       int first, int last, bool with_gradient)
      : window_(window), width_(width), stride_(width + 2 * kReach), image_(image),
        target_(target), first_(first), last_(last),
        from_(std::max(0, first - (with_gradient ? kReach : 0))),
        to_(std::min(height, last + (with_gradient ? kReach : 0))),
        low_(std::max(0, from_ - kReach)), high_(std::min(height, to_ + kReach)),
        blurred_(low_, high_, width), back_(from_, to_, with_gradient ? width : 0),
        padded_(std::size_t(kMaps) * stride_, 0.f),
        derivative_(std::size_t(kBackMaps) * stride_, 0.f),
        mean_(std::size_t(kMaps) * kStep * width), value_(width) {}

  // Sum of SSIM over the rows; with a gradient plane also d(sum)/d(image) * scale.
  double run(float* gradient, float scale) {
    double total = 0;
    int read = low_, written = first_;
    for (int y = from_; y < to_; y += kStep) {
      const int end = std::min(y + kStep, to_);
      for (; read < std::min(high_, end + kReach); ++read) blur_inputs(read);
      total += compare(y, end, gradient != nullptr);
      if (!gradient) continue;
      while (written < last_ && (end == to_ || written + kStep + kReach <= end)) {
        combine(written, std::min(written + kStep, last_), gradient, scale);
        written += kStep;
      }
    }
    return total;
  }

 private:
  void blur_inputs(int y) {
    float* first = padded_.data() + kReach;
    products_of_row(image_ + std::size_t(y) * width_, target_ + std::size_t(y) * width_, width_,
                    first, first + stride_, first + 2 * stride_, first + 3 * stride_);
    for (int map = 0; map < kMaps; ++map)
      blur_row(window_, padded_.data() + std::size_t(map) * stride_, width_, blurred_.row(map, y));
  }

  template <int Maps>
  void blur_across(Ring<Maps>& ring, int y) {
    for (int map = 0; map < Maps; ++map) {
      const float* rows[kWindow + kStep - 1];
      ring.around(map, y, rows);
      blur_columns(window_, rows, width_, kMaps * width_, mean_.data() + map * width_);
    }
  }

  // SSIM of rows y..end. Its derivatives to the blurred maps are blurred along the rows right away.
  double compare(int y, int end, bool with_gradient) {
    blur_across(blurred_, y);
    double total = 0;
    for (int row = y; row < end; ++row) {
      const float* xs = mean_.data() + std::size_t(row - y) * kMaps * width_;
      float* to_x = derivative_.data() + kReach;
      compare_row(xs, xs + width_, xs + 2 * width_, xs + 3 * width_, width_, value_.data(), to_x,
                  to_x + stride_, to_x + 2 * stride_);
      if (row >= first_ && row < last_) total += sum_of_row(value_.data(), width_);
      if (!with_gradient) continue;
      for (int map = 0; map < kBackMaps; ++map)
        blur_row(window_, derivative_.data() + std::size_t(map) * stride_, width_,
                 back_.row(map, row));
    }
    return total;
  }

  void combine(int y, int end, float* gradient, float scale) {
    blur_across(back_, y);
    for (int row = y; row < end; ++row) {
      const std::size_t at = std::size_t(row) * width_;
      const float* to_x = mean_.data() + std::size_t(row - y) * kMaps * width_;
      combine_row(image_ + at, target_ + at, to_x, to_x + width_, to_x + 2 * width_, scale, width_,
                  gradient + at);
    }
  }

  const Window& window_;
  int width_, stride_;
  const float *image_, *target_;
  int first_, last_;  // rows of this band
  int from_, to_;     // rows whose SSIM reaches the gradient of the band
  int low_, high_;    // rows that those read
  Ring<kMaps> blurred_;
  Ring<kBackMaps> back_;
  std::vector<float> padded_, derivative_, mean_, value_;
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
    const int last = std::min(height, first + kBand);
    Band band(window, height, width, image + channel * plane, target + channel * plane, first,
              last, gradient != nullptr);
    totals[task] = band.run(gradient ? gradient + channel * plane : nullptr,
                            static_cast<float>(1.0 / count));
  });
  double total = 0;
  for (double part : totals) total += part;
  return total / count;
}

}  // namespace emotalk
