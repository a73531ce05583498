// Projection and appearance of a few Gaussians at once, in float64, with their derivatives.
#pragma once

#include "doubles.h"
#include "raster.h"

namespace emotalk {

// Rows of the Gaussians that a batch works on; lanes past `used` repeat the last one.
struct Lanes {
  std::int64_t index[kDoubles];
  int used = 0;
};

// Image-space geometry and all that its derivative needs again.
struct Geometry {
  Real mean[3], point[3];            // world; camera space
  Real quat[4], inverse_length;      // unit quaternion; 0 where there was no direction to keep
  Real rotation[9], scale[3];
  Real factor[9];                    // view rotation * rotation * scale
  Real tan_x, tan_y;                 // x/z and y/z, clamped to the frustum
  Bits free_x, free_y;               // true where the clamp does nothing
  Real half[6];                      // projection Jacobian * factor
  Real xx, xy, yy, determinant;      // covariance with kEps2d, px^2
  Real x, y;                         // centre, px
  Real opacity, log_opacity;

  void compute(const GaussianArrays& gaussians, const View& view, const Lanes& lanes);

  // gsplat's culling: near plane, opacity, degenerate covariance, box off the image.
  void extents(const View& view, Real* reach_x, Real* reach_y, Bits* drawn) const;

  // The splats of all lanes; those that are not drawn hold anything.
  void splats(const Real& reach_x, const Real& reach_y, Splat* out) const;
};

// Colour basis and normal, as seen from the camera.
struct Appearance {
  Real offset[3], direction[3], inverse_distance;
  Real basis[16];
  Bits is_axis[3];                   // which column is the shortest axis
  Real sign;                         // -1 where the axis was flipped
  Real normal[3], inverse_normal_length;
  Real camera_normal[3];

  void compute(const GaussianArrays& gaussians, const View& view, const Lanes& lanes,
               const Geometry& geometry);
};

// Gradient of one batch while it walks back from the image to the parameters.
struct GeometryGradient {
  Real x{}, y{};                     // centre, px
  Real conic_xx{}, conic_xy{}, conic_yy{};
  Real log_opacity{};
  Real point[3]{}, mean[3]{}, rotation[9]{}, scale[3]{}, quat[4]{};
  Real direction[3]{}, camera_normal[3]{}, residual[3]{};
};

// Sums over Gaussians: gradients to the camera.
struct ViewGradient {
  double rotation[9] = {}, translation[3] = {}, centre[3] = {};
  void add(const ViewGradient& other);
  void store(const View& view, float* viewmat) const;
};

// Gradient of sum_k basis[k] * weights[k] to the unit direction.
void sh_direction_gradient(const Real* direction, const Real* weights, int degree, Real* gradient);

// Walk back through Appearance and Geometry. Every lane must hold a drawn Gaussian (finite values).
void appearance_back(const View& view, const Appearance& appearance, GeometryGradient& gradient,
                     ViewGradient& camera);
void geometry_back(const View& view, const Geometry& geometry, GeometryGradient& gradient,
                   ViewGradient& camera);

}  // namespace emotalk
