// Projection and appearance of Gaussians (3DGS, EWA splatting; conventions of gsplat).
#include "geometry.h"

#include <algorithm>
#include <limits>

namespace emotalk {
namespace {

constexpr double kLog255 = 5.541263545158426;
constexpr double kLog2E = 1.4426950408889634;
constexpr double kLargest = std::numeric_limits<double>::max();
constexpr double kTiny = 1e-12;  // shorter vectors have no direction (geometry/rotations.py)

double lane_sum(Real a) {
  double total = 0;
  for (int i = 0; i < kDoubles; ++i) total += a[i];
  return total;
}

void rotation_of(const Real* q, Real* r) {
  const Real w = q[0], x = q[1], y = q[2], z = q[3];
  r[0] = 1.0 - 2.0 * (y * y + z * z);
  r[1] = 2.0 * (x * y - w * z);
  r[2] = 2.0 * (x * z + w * y);
  r[3] = 2.0 * (x * y + w * z);
  r[4] = 1.0 - 2.0 * (x * x + z * z);
  r[5] = 2.0 * (y * z - w * x);
  r[6] = 2.0 * (x * z - w * y);
  r[7] = 2.0 * (y * z + w * x);
  r[8] = 1.0 - 2.0 * (x * x + y * y);
}

// Gradient to a unit quaternion from that of its matrix, then through the normalisation.
void rotation_back(const Geometry& g, const Real* v, Real* out) {
  const Real w = g.quat[0], x = g.quat[1], y = g.quat[2], z = g.quat[3];
  const Real n[4] = {
      2.0 * (x * (v[7] - v[5]) + y * (v[2] - v[6]) + z * (v[3] - v[1])),
      2.0 * (-2.0 * x * (v[4] + v[8]) + y * (v[1] + v[3]) + z * (v[2] + v[6]) + w * (v[7] - v[5])),
      2.0 * (x * (v[1] + v[3]) - 2.0 * y * (v[0] + v[8]) + z * (v[5] + v[7]) + w * (v[2] - v[6])),
      2.0 * (x * (v[2] + v[6]) + y * (v[5] + v[7]) - 2.0 * z * (v[0] + v[4]) + w * (v[3] - v[1]))};
  const Real along = n[0] * w + n[1] * x + n[2] * y + n[3] * z;
  for (int i = 0; i < 4; ++i) out[i] = (n[i] - along * g.quat[i]) * g.inverse_length;
}

void load_quats(const float* quats, const Lanes& lanes, Geometry& g) {
  for (int lane = 0; lane < kDoubles; ++lane)
    for (int i = 0; i < 4; ++i) g.quat[i][lane] = quats[4 * lanes.index[lane] + i];
  const Real length = root(g.quat[0] * g.quat[0] + g.quat[1] * g.quat[1] + g.quat[2] * g.quat[2] +
                           g.quat[3] * g.quat[3]);
  const Bits whole = length > kTiny;
  g.inverse_length = pick(whole, 1.0 / pick(whole, length, real(1.0)), real(0.0));
  for (int i = 0; i < 4; ++i) g.quat[i] = g.quat[i] * g.inverse_length;
  g.quat[0] = pick(whole, g.quat[0], real(1.0));
}

}  // namespace

void View::set(const float* viewmat, const float* intrinsics) {
  fx = intrinsics[0];
  fy = intrinsics[4];
  cx = intrinsics[2];
  cy = intrinsics[5];
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) rotation[3 * i + j] = viewmat[4 * i + j];
    translation[i] = viewmat[4 * i + 3];
  }
  const double* a = rotation;
  const double minors[9] = {
      a[4] * a[8] - a[5] * a[7], a[2] * a[7] - a[1] * a[8], a[1] * a[5] - a[2] * a[4],
      a[5] * a[6] - a[3] * a[8], a[0] * a[8] - a[2] * a[6], a[2] * a[3] - a[0] * a[5],
      a[3] * a[7] - a[4] * a[6], a[1] * a[6] - a[0] * a[7], a[0] * a[4] - a[1] * a[3]};
  const double determinant = a[0] * minors[0] + a[1] * minors[3] + a[2] * minors[6];
  for (int i = 0; i < 9; ++i) inverse[i] = minors[i] / determinant;
  for (int i = 0; i < 3; ++i)
    centre[i] = -(inverse[3 * i] * translation[0] + inverse[3 * i + 1] * translation[1] +
                  inverse[3 * i + 2] * translation[2]);
}

void Geometry::compute(const GaussianArrays& gaussians, const View& view, const Lanes& lanes) {
  Real logit;
  for (int lane = 0; lane < kDoubles; ++lane) {
    const std::int64_t i = lanes.index[lane];
    for (int j = 0; j < 3; ++j) {
      mean[j][lane] = gaussians.means[3 * i + j];
      scale[j][lane] = gaussians.scales[3 * i + j];
    }
    logit[lane] = gaussians.opacities[i];
  }
  const Real against = exp_of(-logit) + 1.0;
  opacity = 1.0 / against;
  log_opacity = -log_of(against);
  load_quats(gaussians.quats, lanes, *this);
  rotation_of(quat, rotation);
  const double* a = view.rotation;
  for (int i = 0; i < 3; ++i) {
    scale[i] = exp_of(scale[i]);
    point[i] = a[3 * i] * mean[0] + a[3 * i + 1] * mean[1] + a[3 * i + 2] * mean[2] +
               view.translation[i];
  }
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      factor[3 * i + j] = (a[3 * i] * rotation[j] + a[3 * i + 1] * rotation[3 + j] +
                           a[3 * i + 2] * rotation[6 + j]) * scale[j];

  const Real inverse_z = 1.0 / point[2];
  const double margin_x = kFrustumMargin * 0.5 * view.width / view.fx;
  const double margin_y = kFrustumMargin * 0.5 * view.height / view.fy;
  const Real slope_x = point[0] * inverse_z, slope_y = point[1] * inverse_z;
  tan_x = smaller(larger(slope_x, real(-(view.cx / view.fx + margin_x))),
                  real((view.width - view.cx) / view.fx + margin_x));
  tan_y = smaller(larger(slope_y, real(-(view.cy / view.fy + margin_y))),
                  real((view.height - view.cy) / view.fy + margin_y));
  free_x = tan_x == slope_x;
  free_y = tan_y == slope_y;
  for (int j = 0; j < 3; ++j) {
    half[j] = view.fx * inverse_z * (factor[j] - tan_x * factor[6 + j]);
    half[3 + j] = view.fy * inverse_z * (factor[3 + j] - tan_y * factor[6 + j]);
  }
  xx = dot3(half, half) + kEps2d;
  xy = dot3(half, half + 3);
  yy = dot3(half + 3, half + 3) + kEps2d;
  determinant = xx * yy - xy * xy;
  x = view.fx * slope_x + view.cx;
  y = view.fy * slope_y + view.cy;
}

void Geometry::extents(const View& view, Real* reach_x, Real* reach_y, Bits* drawn) const {
  const Real level = larger(2.0 * (log_opacity + kLog255), real(0.0));
  *reach_x = root(level * xx);
  *reach_y = root(level * yy);
  Real rx, ry;
  for (int lane = 0; lane < kDoubles; ++lane) {
    rx[lane] = std::ceil((*reach_x)[lane]);
    ry[lane] = std::ceil((*reach_y)[lane]);
  }
  const Bits valid = (point[2] >= kNearPlane) & (opacity >= 1.0 / 255.0) & (determinant > 0.0) &
                     (determinant < kLargest) & (rx > 0.0) & (ry > 0.0);
  // Comparisons with a NaN centre are false.
  *drawn = valid & (x + rx > 0.0) & (x - rx < double(view.width)) & (y + ry > 0.0) &
           (y - ry < double(view.height));
}

void Geometry::splats(const Real& reach_x, const Real& reach_y, Splat* out) const {
  // Cholesky factor of the inverse covariance, scaled from exp(-q / 2) to powers of two.
  const Real u_x = root(0.5 * kLog2E * yy / determinant);
  const Real u_y = -0.5 * kLog2E * xy / (determinant * u_x);
  const Real v_y = root(0.5 * kLog2E / yy);
  const Real log2_opacity = kLog2E * log_opacity;
  for (int lane = 0; lane < kDoubles; ++lane) {
    Splat& s = out[lane];
    s.x_whole = static_cast<float>(std::floor(x[lane]));
    s.y_whole = static_cast<float>(std::floor(y[lane]));
    s.x_part = static_cast<float>(x[lane] - s.x_whole);
    s.y_part = static_cast<float>(y[lane] - s.y_whole);
    s.u_x = static_cast<float>(u_x[lane]);
    s.u_y = static_cast<float>(u_y[lane]);
    s.v_y = static_cast<float>(v_y[lane]);
    s.log2_opacity = static_cast<float>(log2_opacity[lane]);
    s.reach_x = static_cast<float>(reach_x[lane]);
    s.reach_y = static_cast<float>(reach_y[lane]);
  }
}

void Appearance::compute(const GaussianArrays& gaussians, const View& view, const Lanes& lanes,
                         const Geometry& g) {
  for (int i = 0; i < 3; ++i) offset[i] = g.mean[i] - view.centre[i];
  inverse_distance = 1.0 / larger(root(dot3(offset, offset)), real(kTiny));
  for (int i = 0; i < 3; ++i) direction[i] = offset[i] * inverse_distance;
  const Real x = direction[0], y = direction[1], z = direction[2];
  basis[0] = real(0.2820947917738781);
  if (view.sh_degree >= 1) {
    basis[1] = -0.4886025119029199 * y;
    basis[2] = 0.4886025119029199 * z;
    basis[3] = -0.4886025119029199 * x;
  }
  if (view.sh_degree >= 2) {
    basis[4] = 1.0925484305920792 * x * y;
    basis[5] = -1.0925484305920792 * y * z;
    basis[6] = 0.31539156525252005 * (2.0 * z * z - x * x - y * y);
    basis[7] = -1.0925484305920792 * x * z;
    basis[8] = 0.5462742152960396 * (x * x - y * y);
  }
  if (view.sh_degree >= 3) {
    basis[9] = -0.5900435899266435 * y * (3.0 * x * x - y * y);
    basis[10] = 2.890611442640554 * x * y * z;
    basis[11] = -0.4570457994644658 * y * (4.0 * z * z - x * x - y * y);
    basis[12] = 0.3731763325901154 * z * (2.0 * z * z - 3.0 * x * x - 3.0 * y * y);
    basis[13] = -0.4570457994644658 * x * (4.0 * z * z - x * x - y * y);
    basis[14] = 1.445305721320277 * z * (x * x - y * y);
    basis[15] = -0.5900435899266435 * x * (x * x - 3.0 * y * y);
  }
  if (!view.with_normals) return;
  is_axis[0] = (g.scale[0] <= g.scale[1]) & (g.scale[0] <= g.scale[2]);
  is_axis[1] = ~is_axis[0] & (g.scale[1] <= g.scale[2]);
  is_axis[2] = ~is_axis[0] & ~is_axis[1];
  Real axis[3];
  for (int i = 0; i < 3; ++i)
    axis[i] = pick(is_axis[0], g.rotation[3 * i],
                   pick(is_axis[1], g.rotation[3 * i + 1], g.rotation[3 * i + 2]));
  sign = pick(dot3(axis, offset) > 0.0, real(-1.0), real(1.0));
  Real raw[3];
  for (int i = 0; i < 3; ++i) {
    raw[i] = sign * axis[i];
    if (gaussians.residuals)
      for (int lane = 0; lane < kDoubles; ++lane)
        raw[i][lane] += gaussians.residuals[3 * lanes.index[lane] + i];
  }
  inverse_normal_length = 1.0 / larger(root(dot3(raw, raw)), real(kTiny));
  for (int i = 0; i < 3; ++i) normal[i] = raw[i] * inverse_normal_length;
  const double* a = view.rotation;
  for (int i = 0; i < 3; ++i)
    camera_normal[i] = a[3 * i] * normal[0] + a[3 * i + 1] * normal[1] + a[3 * i + 2] * normal[2];
}

void sh_direction_gradient(const Real* direction, const Real* w, int degree, Real* out) {
  const Real x = direction[0], y = direction[1], z = direction[2];
  const Real xx = x * x, yy = y * y, zz = z * z, xy = x * y, xz = x * z, yz = y * z;
  Real gx = real(0.0), gy = real(0.0), gz = real(0.0);
  if (degree >= 1) {
    gx -= 0.4886025119029199 * w[3];
    gy -= 0.4886025119029199 * w[1];
    gz += 0.4886025119029199 * w[2];
  }
  if (degree >= 2) {
    const Real a = 1.0925484305920792 * w[4], b = 1.0925484305920792 * w[5],
               c = 0.6307831305050401 * w[6], d = 1.0925484305920792 * w[7],
               e = 1.0925484305920792 * w[8];
    gx += a * y - c * x - d * z + e * x;
    gy += a * x - b * z - c * y - e * y;
    gz += 2.0 * c * z - b * y - d * x;
  }
  if (degree >= 3) {
    const Real a = 0.5900435899266435 * w[9], b = 2.890611442640554 * w[10],
               c = 0.4570457994644658 * w[11], d = 0.3731763325901154 * w[12],
               e = 0.4570457994644658 * w[13], f = 1.445305721320277 * w[14],
               h = 0.5900435899266435 * w[15];
    gx += -6.0 * a * xy + b * yz + 2.0 * c * xy - 6.0 * d * xz - e * (4.0 * zz - 3.0 * xx - yy) +
          2.0 * f * xz - 3.0 * h * (xx - yy);
    gy += -3.0 * a * (xx - yy) + b * xz - c * (4.0 * zz - xx - 3.0 * yy) - 6.0 * d * yz +
          2.0 * e * xy - 2.0 * f * yz + 6.0 * h * xy;
    gz += b * xy - 8.0 * c * yz + d * (6.0 * zz - 3.0 * xx - 3.0 * yy) - 8.0 * e * xz +
          f * (xx - yy);
  }
  out[0] = gx;
  out[1] = gy;
  out[2] = gz;
}

void appearance_back(const View& view, const Appearance& a, GeometryGradient& v,
                     ViewGradient& camera) {
  const Real along = dot3(v.direction, a.direction);
  for (int i = 0; i < 3; ++i) {
    const Real offset = (v.direction[i] - along * a.direction[i]) * a.inverse_distance;
    v.mean[i] += offset;
    camera.centre[i] -= lane_sum(offset);
  }
  if (!view.with_normals) return;
  Real normal[3];
  for (int i = 0; i < 3; ++i) {
    normal[i] = view.rotation[i] * v.camera_normal[0] + view.rotation[3 + i] * v.camera_normal[1] +
                view.rotation[6 + i] * v.camera_normal[2];
    for (int j = 0; j < 3; ++j)
      camera.rotation[3 * i + j] += lane_sum(v.camera_normal[i] * a.normal[j]);
  }
  const Real radial = dot3(normal, a.normal);
  for (int i = 0; i < 3; ++i) {
    v.residual[i] = (normal[i] - radial * a.normal[i]) * a.inverse_normal_length;
    const Real axis = a.sign * v.residual[i];
    for (int j = 0; j < 3; ++j) v.rotation[3 * i + j] += pick(a.is_axis[j], axis, real(0.0));
  }
}

void geometry_back(const View& view, const Geometry& g, GeometryGradient& v,
                   ViewGradient& camera) {
  // Covariance: Q = C^-1, so dC = -Q dQ Q; the off-diagonal gradient is shared by both entries.
  const Real inverse = 1.0 / g.determinant;
  const Real A = g.yy * inverse, B = -g.xy * inverse, C = g.xx * inverse;
  const Real share = 0.5 * v.conic_xy;
  const Real t00 = A * v.conic_xx + B * share, t01 = A * share + B * v.conic_yy;
  const Real t10 = B * v.conic_xx + C * share, t11 = B * share + C * v.conic_yy;
  const Real cov_xx = -(t00 * A + t01 * B), cov_xy = -(t00 * B + t01 * C);
  const Real cov_yy = -(t10 * B + t11 * C);

  const Real inverse_z = 1.0 / g.point[2];
  const Real fx = view.fx * inverse_z, fy = view.fy * inverse_z;
  Real factor[9];
  Real tan_x = real(0.0), tan_y = real(0.0), z = real(0.0);
  for (int j = 0; j < 3; ++j) {
    const Real up = 2.0 * (cov_xx * g.half[j] + cov_xy * g.half[3 + j]);
    const Real down = 2.0 * (cov_xy * g.half[j] + cov_yy * g.half[3 + j]);
    factor[j] = fx * up;
    factor[3 + j] = fy * down;
    factor[6 + j] = -(fx * g.tan_x * up + fy * g.tan_y * down);
    tan_x -= fx * g.factor[6 + j] * up;
    tan_y -= fy * g.factor[6 + j] * down;
    z -= (up * g.half[j] + down * g.half[3 + j]) * inverse_z;
  }
  const Real slope_x = v.x * view.fx + pick(g.free_x, tan_x, real(0.0));
  const Real slope_y = v.y * view.fy + pick(g.free_y, tan_y, real(0.0));
  v.point[0] += slope_x * inverse_z;
  v.point[1] += slope_y * inverse_z;
  v.point[2] += z - (slope_x * g.point[0] + slope_y * g.point[1]) * inverse_z * inverse_z;

  const double* a = view.rotation;
  for (int i = 0; i < 3; ++i) {
    v.mean[i] += a[i] * v.point[0] + a[3 + i] * v.point[1] + a[6 + i] * v.point[2];
    camera.translation[i] += lane_sum(v.point[i]);
    for (int j = 0; j < 3; ++j) {
      Real sum = v.point[i] * g.mean[j];
      for (int k = 0; k < 3; ++k) sum += factor[3 * i + k] * g.rotation[3 * j + k] * g.scale[k];
      camera.rotation[3 * i + j] += lane_sum(sum);
      const Real world = a[i] * factor[j] + a[3 + i] * factor[3 + j] + a[6 + i] * factor[6 + j];
      v.scale[j] += world * g.rotation[3 * i + j] * g.scale[j];  // to the logarithm
      v.rotation[3 * i + j] += world * g.scale[j];
    }
  }
  rotation_back(g, v.rotation, v.quat);
}

void ViewGradient::add(const ViewGradient& other) {
  for (int i = 0; i < 9; ++i) rotation[i] += other.rotation[i];
  for (int i = 0; i < 3; ++i) translation[i] += other.translation[i];
  for (int i = 0; i < 3; ++i) centre[i] += other.centre[i];
}

// The centre is -inverse(rotation) * translation.
void ViewGradient::store(const View& view, float* viewmat) const {
  std::fill(viewmat, viewmat + 16, 0.f);
  for (int i = 0; i < 3; ++i) {
    const double back = -(view.inverse[i] * centre[0] + view.inverse[3 + i] * centre[1] +
                          view.inverse[6 + i] * centre[2]);
    viewmat[4 * i + 3] = static_cast<float>(translation[i] + back);
    for (int j = 0; j < 3; ++j)
      viewmat[4 * i + j] = static_cast<float>(rotation[3 * i + j] + back * view.centre[j]);
  }
}

}  // namespace emotalk
