// The rasterizer of one image: raw Gaussian parameters in, blended planes out, and back.
#pragma once

#include <cstdint>
#include <vector>

#include "team.h"

namespace emotalk {

constexpr int kTile = 16;                        // px
constexpr float kLog2MinAlpha = -7.994353436858858f;  // of 1/255; all these: conventions.py
constexpr float kMaxAlpha = 0.999f;
constexpr float kMinTransmittance = 1e-4f;
constexpr double kEps2d = 0.3;
constexpr double kNearPlane = 0.01;
constexpr double kFrustumMargin = 0.3;
constexpr float kMinCoverage = 1e-10f;
constexpr int kMoments = 6;                      // gradient sums of a splat besides its features

// Raw parameters, row-major; `residuals` and `extra` may be null.
struct GaussianArrays {
  std::int64_t count = 0;
  int sh_size = 1;       // coefficients per colour that are stored
  int extra_count = 0;
  const float* means = nullptr;
  const float* quats = nullptr;
  const float* scales = nullptr;
  const float* opacities = nullptr;
  const float* sh = nullptr;
  const float* residuals = nullptr;
  const float* extra = nullptr;
};

// Gradients of the above, all written; null where none is wanted.
struct GaussianGradients {
  float* means = nullptr;
  float* quats = nullptr;
  float* scales = nullptr;
  float* opacities = nullptr;
  float* sh = nullptr;
  float* residuals = nullptr;
  float* extra = nullptr;
  float* means2d = nullptr;
  float* viewmat = nullptr;  // [4,4]
};

struct View {
  int width = 0, height = 0, sh_degree = 0;
  bool with_normals = true;
  double fx = 0, fy = 0, cx = 0, cy = 0;
  double rotation[9] = {};  // upper left of the world-to-camera matrix
  double translation[3] = {};
  double inverse[9] = {};   // of `rotation`
  double centre[3] = {};    // camera position in the world

  void set(const float* viewmat, const float* intrinsics);
};

// Images, planar. In a backward pass the same struct carries gradients, null where there is none.
struct Planes {
  float* rgb = nullptr;
  float* alpha = nullptr;
  float* depth = nullptr;
  float* normals = nullptr;
  float* extra = nullptr;
};

struct Background {
  const float* values = nullptr;
  bool is_image = false;
};

// What the blending loops read of one visible Gaussian. The centre is split into a whole and a
// fractional part, so that distances in pixels keep their last bits on large images. The exponent
// is a sum of squares, which has no cancellation for needles: in base 2,
// log2_opacity - u^2 - v^2 with u = u_x dx + u_y dy and v = v_y dy.
struct Splat {
  float x_whole, x_part, y_whole, y_part;
  float u_x, u_y, v_y;
  float log2_opacity;
  float reach_x, reach_y;  // half extents of the box with alpha >= 1/255, px
};

struct TileWork;

// One plane of the blending loops.
struct Channel {
  int feature;        // column of the feature rows
  float* out;         // plane of values (forward) or its gradient (backward)
  const float* value; // backward: the blended plane
  bool is_depth;
  int background;     // 0..2 for rgb, -1 for none
};

// Bits of `non_finite`, in this order.
enum Input { kMeans, kQuats, kScales, kOpacities, kSh, kResiduals, kExtra, kInputs };

// One rasterization: its forward pass keeps what the backward pass needs. It holds no pointer to
// the caller's arrays; different objects may be used in different threads at the same time.
class Raster {
 public:
  // Returns a bit mask of inputs that hold NaN or infinity; the outputs are then undefined. `rgb`
  // may be the background image itself, which is then drawn over. Without `alpha` there is no way
  // back.
  unsigned forward(const GaussianArrays& gaussians, const View& view, const Background& background,
                   const Planes& out, std::int32_t* radii, float* means2d, int threads);

  // `values` are the planes that `forward` wrote.
  void backward(const GaussianArrays& gaussians, const Background& background,
                const Planes& values, const Planes& gradients, const GaussianGradients& wanted,
                float* background_gradient, int threads) const;

  // Pixels of splats that the last forward pass computed (for its arithmetic per second).
  std::int64_t pixel_splats() const { return pixel_splats_; }

 private:
  unsigned project(Team& team, const GaussianArrays& gaussians, std::int32_t* radii,
                   float* means2d, std::vector<Splat>& splats, std::vector<float>& features);
  void sort_by_depth(const std::vector<float>& features);
  void assign_tiles(Team& team, int threads);
  std::vector<Channel> channels(const Planes& planes, const Planes* values) const;
  TileWork work(std::size_t index, const float* features, int stride) const;
  void blend(Team& team, const Background& background, const Planes& out);
  void blend_back(Team& team, const std::vector<Channel>& active, const Planes& values,
                  const Planes& gradients, std::vector<float>& splat_gradients) const;
  void gather(Team& team, const Channel* run, int count, const float* sums, int padded,
              std::vector<float>& splat_gradients) const;
  void background_back(Team& team, const Background& background, const Planes& gradients,
                       float* out) const;
  void unproject(Team& team, const GaussianArrays& gaussians, const GaussianGradients& wanted,
                 const std::vector<float>& splat_gradients) const;

  std::int64_t count_ = 0, pixel_splats_ = 0;
  int feature_count_ = 0;
  int columns_ = 0, rows_ = 0;              // tiles
  View view_;
  std::vector<float> transmittance_;        // [H, W] what is left behind the last splat
  std::vector<char> drawn_;                 // [N]
  std::vector<std::int32_t> order_;         // visible Gaussians, front to back
  std::vector<Splat> splats_;               // in that order
  std::vector<float> features_;             // [V, feature_count]
  std::vector<std::int32_t> pairs_;         // per tile, ranks front to back
  std::vector<std::int64_t> tile_start_;    // [tiles + 1]
  std::vector<std::int64_t> splat_start_;   // [V + 1] into slot_of_
  std::vector<std::int32_t> slot_of_;       // where in pairs_ a splat's tiles ended up
};

}  // namespace emotalk
