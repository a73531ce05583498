// Per-Gaussian passes of the rasterizer: project and colour before blending, and the way back.
#include <algorithm>

#include "geometry.h"

namespace emotalk {
namespace {

constexpr std::int64_t kChunk = 64;  // Gaussians per task: their coefficients fit the first cache
constexpr double kColourOffset = 0.5;
constexpr float kLargestRadius = 1073741824.f;  // fits an int32

std::int64_t chunk_count(std::int64_t count) { return (count + kChunk - 1) / kChunk; }

// x * 0 is 0 for every finite number and NaN for the others.
bool non_finite(const float* values, std::int64_t count) {
  if (!values) return false;
  Vec sum = splat(0.f);
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) sum = fma(load(values + i), splat(0.f), sum);
  float lanes[kLanes];
  store(lanes, sum);
  float total = 0.f;
  for (float lane : lanes) total += lane;
  for (; i < count; ++i) total += values[i] * 0.f;
  return total != 0.f || total != total;
}

unsigned find_non_finite(const GaussianArrays& g, std::int64_t first, std::int64_t last) {
  const struct {
    const float* values;
    std::int64_t width;
  } inputs[kInputs] = {{g.means, 3}, {g.quats, 4},         {g.scales, 3},   {g.opacities, 1},
                       {g.sh, 3 * g.sh_size}, {g.residuals, 3}, {g.extra, g.extra_count}};
  unsigned found = 0;
  for (int i = 0; i < kInputs; ++i) {
    const std::int64_t width = inputs[i].width;
    const float* values = inputs[i].values;
    if (values && non_finite(values + first * width, (last - first) * width)) found |= 1u << i;
  }
  return found;
}

Lanes lanes_from(std::int64_t first, std::int64_t last) {
  Lanes lanes;
  lanes.used = static_cast<int>(std::min<std::int64_t>(kDoubles, last - first));
  for (int i = 0; i < kDoubles; ++i) lanes.index[i] = first + std::min(i, lanes.used - 1);
  return lanes;
}

// At least 1: a reach so small that float32 rounds it to 0 still belongs to a drawn splat.
std::int32_t rounded_up(float reach) {
  return static_cast<std::int32_t>(std::min(kLargestRadius, std::max(1.f, std::ceil(reach))));
}

// Four floats of a colour row: red, green, blue and one of the next coefficient.
typedef float Quad __attribute__((vector_size(16)));

Quad load_quad(const float* p) {
  Quad q;
  std::memcpy(&q, p, sizeof q);
  return q;
}

// Sum over bands of basis times coefficient. The last band is read apart: no float behind it is.
void blend_bands(const float* basis, const float* sh, int bands, float* rgb) {
  Quad even = {}, odd = {};
  const int last = bands - 1;
  for (int k = 0; k + 1 < last; k += 2) {
    even += basis[k] * load_quad(sh + 3 * k);
    odd += basis[k + 1] * load_quad(sh + 3 * k + 3);
  }
  if (last % 2) even += basis[last - 1] * load_quad(sh + 3 * last - 3);
  const Quad sum = even + odd;
  for (int c = 0; c < 3; ++c) rgb[c] = sum[c] + basis[last] * sh[3 * last + c];
}

void store_features(const GaussianArrays& gaussians, const View& view, const Geometry& g,
                    const Appearance& a, std::int64_t row, int lane, float* out) {
  const int bands = (view.sh_degree + 1) * (view.sh_degree + 1);
  const float* sh = gaussians.sh + row * gaussians.sh_size * 3;
  float basis[16];
  for (int k = 0; k < bands; ++k) basis[k] = static_cast<float>(a.basis[k][lane]);
  float rgb[3];
  blend_bands(basis, sh, bands, rgb);
  for (int c = 0; c < 3; ++c)
    *out++ = std::max(0.f, rgb[c] + static_cast<float>(kColourOffset));
  if (view.with_normals)
    for (int c = 0; c < 3; ++c) *out++ = static_cast<float>(a.camera_normal[c][lane]);
  *out++ = static_cast<float>(g.point[2][lane]);
  for (int c = 0; c < gaussians.extra_count; ++c)
    *out++ = gaussians.extra[row * gaussians.extra_count + c];
}

// Colour gradients to the coefficients and to the basis.
void sh_back(const GaussianArrays& gaussians, const View& view, const Appearance& a, int lane,
             std::int64_t row, const float* v, float* all, Real* basis_gradient) {
  const int bands = (view.sh_degree + 1) * (view.sh_degree + 1);
  const float* sh = gaussians.sh + row * gaussians.sh_size * 3;
  float* out = all ? all + row * gaussians.sh_size * 3 : nullptr;
  if (out) std::fill_n(out + 3 * bands, 3 * (gaussians.sh_size - bands), 0.f);
  for (int k = 0; k < bands; ++k) {
    basis_gradient[k][lane] = v[0] * sh[3 * k] + v[1] * sh[3 * k + 1] + v[2] * sh[3 * k + 2];
    if (!out) continue;
    const float basis = static_cast<float>(a.basis[k][lane]);
    for (int c = 0; c < 3; ++c) out[3 * k + c] = basis * v[c];
  }
}

void zero_row(const GaussianArrays& g, const GaussianGradients& out, std::int64_t row) {
  const struct {
    float* values;
    std::int64_t width;
  } arrays[] = {{out.means, 3},     {out.quats, 4},        {out.scales, 3},
                {out.opacities, 1}, {out.sh, 3 * g.sh_size}, {out.residuals, 3},
                {out.extra, g.extra_count}, {out.means2d, 2}};
  for (const auto& array : arrays)
    if (array.values) std::fill_n(array.values + row * array.width, array.width, 0.f);
}

void store_rows(const GaussianGradients& out, const Lanes& lanes, const Geometry& g,
                const GeometryGradient& v) {
  for (int lane = 0; lane < lanes.used; ++lane) {
    const std::int64_t row = lanes.index[lane];
    for (int i = 0; i < 3; ++i) {
      if (out.means) out.means[3 * row + i] = static_cast<float>(v.mean[i][lane]);
      if (out.scales) out.scales[3 * row + i] = static_cast<float>(v.scale[i][lane]);
      if (out.residuals) out.residuals[3 * row + i] = static_cast<float>(v.residual[i][lane]);
    }
    for (int i = 0; i < 4; ++i)
      if (out.quats) out.quats[4 * row + i] = static_cast<float>(v.quat[i][lane]);
    if (out.opacities)  // d log(sigmoid(x)) / dx = 1 - sigmoid(x)
      out.opacities[row] =
          static_cast<float>(v.log_opacity[lane] * (1.0 - g.opacity[lane]));
    if (out.means2d) {
      out.means2d[2 * row] = static_cast<float>(v.x[lane]);
      out.means2d[2 * row + 1] = static_cast<float>(v.y[lane]);
    }
  }
}

// Sums of d loss / d log alpha times 1, dx, dy, dx^2, dx dy, dy^2 to centre, conic and opacity.
void load_moments(const Geometry& g, const float* moments, int lane, GeometryGradient& v) {
  const double inverse = 1.0 / g.determinant[lane];
  const double A = g.yy[lane] * inverse, B = -g.xy[lane] * inverse, C = g.xx[lane] * inverse;
  v.log_opacity[lane] = moments[0];
  v.x[lane] = A * moments[1] + B * moments[2];
  v.y[lane] = B * moments[1] + C * moments[2];
  v.conic_xx[lane] = -0.5 * moments[3];
  v.conic_xy[lane] = -1.0 * moments[4];
  v.conic_yy[lane] = -0.5 * moments[5];
}

}  // namespace

unsigned Raster::project(Team& team, const GaussianArrays& gaussians, std::int32_t* radii,
                         float* means2d, std::vector<Splat>& splats,
                         std::vector<float>& features) {
  const std::int64_t chunks = chunk_count(count_);
  std::vector<unsigned> wrong(chunks, 0);
  team.each(chunks, [&](std::size_t chunk) {
    const std::int64_t first = chunk * kChunk, last = std::min(count_, first + kChunk);
    wrong[chunk] = find_non_finite(gaussians, first, last);
    if (wrong[chunk]) return;
    Geometry geometry;
    Appearance appearance;
    for (std::int64_t start = first; start < last; start += kDoubles) {
      const Lanes lanes = lanes_from(start, last);
      geometry.compute(gaussians, view_, lanes);
      appearance.compute(gaussians, view_, lanes, geometry);
      Real reach_x, reach_y;
      Bits drawn;
      Splat found[kDoubles];
      geometry.extents(view_, &reach_x, &reach_y, &drawn);
      geometry.splats(reach_x, reach_y, found);
      for (int lane = 0; lane < lanes.used; ++lane) {
        const std::int64_t row = lanes.index[lane];
        radii[2 * row] = radii[2 * row + 1] = 0;
        means2d[2 * row] = means2d[2 * row + 1] = 0.f;
        if (!drawn[lane]) continue;
        splats[row] = found[lane];
        radii[2 * row] = rounded_up(found[lane].reach_x);
        radii[2 * row + 1] = rounded_up(found[lane].reach_y);
        means2d[2 * row] = static_cast<float>(geometry.x[lane]);
        means2d[2 * row + 1] = static_cast<float>(geometry.y[lane]);
        store_features(gaussians, view_, geometry, appearance, row, lane,
                       &features[row * feature_count_]);
      }
    }
  });
  unsigned all = 0;
  for (unsigned bits : wrong) all |= bits;
  return all;
}

void Raster::unproject(Team& team, const GaussianArrays& gaussians,
                       const GaussianGradients& wanted,
                       const std::vector<float>& splat_gradients) const {
  const int width = kMoments + feature_count_;
  const int depth_column = view_.with_normals ? 6 : 3;
  const std::int64_t chunks = chunk_count(count_);
  std::vector<ViewGradient> cameras(chunks);
  team.each(chunks, [&](std::size_t chunk) {
    const std::int64_t first = chunk * kChunk, last = std::min(count_, first + kChunk);
    std::int64_t next = first;
    while (true) {
      Lanes lanes;
      for (; next < last && lanes.used < kDoubles; ++next) {
        if (!drawn_[next]) {
          zero_row(gaussians, wanted, next);
          continue;
        }
        lanes.index[lanes.used++] = next;
      }
      if (lanes.used == 0) return;
      for (int i = lanes.used; i < kDoubles; ++i) lanes.index[i] = lanes.index[lanes.used - 1];
      Geometry geometry;
      Appearance appearance;
      geometry.compute(gaussians, view_, lanes);
      appearance.compute(gaussians, view_, lanes, geometry);
      GeometryGradient v;
      Real basis_gradient[16] = {};
      for (int lane = 0; lane < lanes.used; ++lane) {
        const float* moments = &splat_gradients[std::size_t(lanes.index[lane]) * width];
        const float* features = moments + kMoments;
        load_moments(geometry, moments, lane, v);
        sh_back(gaussians, view_, appearance, lane, lanes.index[lane], features, wanted.sh,
                basis_gradient);
        if (view_.with_normals)
          for (int i = 0; i < 3; ++i) v.camera_normal[i][lane] = features[3 + i];
        v.point[2][lane] = features[depth_column];
        if (wanted.extra)
          std::copy_n(features + depth_column + 1, gaussians.extra_count,
                      wanted.extra + lanes.index[lane] * gaussians.extra_count);
      }
      sh_direction_gradient(appearance.direction, basis_gradient, view_.sh_degree, v.direction);
      appearance_back(view_, appearance, v, cameras[chunk]);
      geometry_back(view_, geometry, v, cameras[chunk]);
      store_rows(wanted, lanes, geometry, v);
    }
  });
  if (!wanted.viewmat) return;
  ViewGradient total;
  for (const ViewGradient& part : cameras) total.add(part);
  total.store(view_, wanted.viewmat);
}

}  // namespace emotalk
