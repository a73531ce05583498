// The Python face of the kernels: types and shapes are checked here and the GIL is released.
//
// Compiled once per instruction set; EMOTALK_MODULE is the module's name.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <limits>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "branch.h"
#include "hash_grid.h"
#include "raster.h"
#include "simd.h"
#include "ssim.h"

namespace nb = nanobind;

namespace {

template <int... Sizes>
using Array = nb::ndarray<float, nb::shape<Sizes...>, nb::c_contig, nb::device::cpu>;
template <int... Sizes>
using Maybe = std::optional<Array<Sizes...>>;
using AnyRank = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Radii = nb::ndarray<std::int32_t, nb::shape<-1, 2>, nb::c_contig, nb::device::cpu>;

// numpy gives an empty array any address: the kernels test for null only where null means absent.
template <class T>
float* pointer(std::optional<T>& array) {
  return array ? array->data() : nullptr;
}

void require(bool ok, const char* what) {
  if (!ok) throw std::invalid_argument(what);
}

emotalk::Background background_of(const AnyRank& array, int width, int height) {
  const bool image = array.ndim() == 3;
  require(array.ndim() == 1 || image, "background: wanted [3] or [3,H,W]");
  require(array.shape(0) == 3, "background: wanted three channels");
  require(!image || (array.shape(1) == std::size_t(height) && array.shape(2) == std::size_t(width)),
          "background: wanted the size of the image");
  return {array.data(), image};
}

// The arrays of a Gaussian set, as forward and backward get them.
struct Gaussians {
  Array<-1, 3> means;
  Array<-1, 4> quats;
  Array<-1, 3> scales;
  Array<-1> opacities;
  Array<-1, -1, 3> sh;
  Maybe<-1, 3> residuals;
  Array<-1, -1> extra;

  emotalk::GaussianArrays arrays() {
    const std::size_t n = means.shape(0);
    require(quats.shape(0) == n && scales.shape(0) == n && opacities.shape(0) == n &&
                sh.shape(0) == n && extra.shape(0) == n && (!residuals || residuals->shape(0) == n),
            "gaussians: every array needs the same number of rows");
    require(n < std::size_t(std::numeric_limits<std::int32_t>::max()), "gaussians: too many");
    emotalk::GaussianArrays out;
    out.count = static_cast<std::int64_t>(n);
    out.sh_size = static_cast<int>(sh.shape(1));
    out.extra_count = static_cast<int>(extra.shape(1));
    out.means = means.data();
    out.quats = quats.data();
    out.scales = scales.data();
    out.opacities = opacities.data();
    out.sh = sh.data();
    out.residuals = pointer(residuals);
    out.extra = extra.data();
    return out;
  }
};

// Images of one size; as gradients any of them may be absent.
struct Images {
  Maybe<3, -1, -1> rgb;
  Maybe<-1, -1> alpha;
  Maybe<-1, -1> depth;
  Maybe<3, -1, -1> normals;
  Maybe<-1, -1, -1> extra;

  emotalk::Planes planes(int width, int height, int extra_count) {
    const auto fits = [&](const auto& array) {
      if (!array) return true;
      const std::size_t last = array->ndim() - 1;
      return array->shape(last) == std::size_t(width) &&
             array->shape(last - 1) == std::size_t(height);
    };
    require(fits(rgb) && fits(alpha) && fits(depth) && fits(normals) && fits(extra),
            "images: wanted the camera's size");
    require(!extra || extra->shape(0) == std::size_t(extra_count), "extra: channel count differs");
    return {pointer(rgb), pointer(alpha), pointer(depth), pointer(normals), pointer(extra)};
  }
};

class PyRaster {
 public:
  PyRaster(const Array<4, 4>& viewmat, const Array<3, 3>& intrinsics, int width, int height,
           int sh_degree, bool with_normals) {
    require(width > 0 && height > 0 && width <= 32768 && height <= 32768, "camera: image size");
    require(sh_degree >= 0 && sh_degree <= 3, "sh_degree: wanted 0..3");
    view_.width = width;
    view_.height = height;
    view_.sh_degree = sh_degree;
    view_.with_normals = with_normals;
    view_.set(viewmat.data(), intrinsics.data());
  }

  unsigned forward(Gaussians& gaussians, const AnyRank& background, Images& out, Radii radii,
                   Array<-1, 2> means2d, int threads) {
    const emotalk::GaussianArrays arrays = gaussians.arrays();
    const emotalk::Planes planes = out.planes(view_.width, view_.height, arrays.extra_count);
    require(planes.rgb && (planes.normals || !view_.with_normals), "images: no place for an output");
    require(arrays.sh_size >= (view_.sh_degree + 1) * (view_.sh_degree + 1), "sh: too few bands");
    require(radii.shape(0) == std::size_t(arrays.count) &&
                means2d.shape(0) == std::size_t(arrays.count), "radii, means2d: wanted N rows");
    const emotalk::Background behind = background_of(background, view_.width, view_.height);
    can_go_back_ = planes.alpha != nullptr;
    nb::gil_scoped_release release;
    return raster_.forward(arrays, view_, behind, planes, radii.data(), means2d.data(), threads);
  }

  void backward(Gaussians& gaussians, const AnyRank& background, Images& values, Images& gradients,
                Gaussians& wanted, Maybe<-1, 2> means2d, Maybe<4, 4> viewmat,
                std::optional<AnyRank> background_gradient, int threads) {
    const emotalk::GaussianArrays arrays = gaussians.arrays();
    require(can_go_back_, "images: forward drew without alpha");
    const emotalk::GaussianArrays out = wanted.arrays();
    require(out.count == arrays.count && out.sh_size == arrays.sh_size &&
                out.extra_count == arrays.extra_count, "gradients: wanted the shapes of the inputs");
    require(!means2d || means2d->shape(0) == std::size_t(arrays.count), "means2d: wanted N rows");
    const emotalk::Background behind = background_of(background, view_.width, view_.height);
    require(!background_gradient || background_gradient->size() == background.size(),
            "background gradient: wanted the background's shape");
    const emotalk::Planes images = values.planes(view_.width, view_.height, arrays.extra_count);
    const emotalk::Planes slopes = gradients.planes(view_.width, view_.height, arrays.extra_count);
    emotalk::GaussianGradients target;
    target.means = wanted.means.data();
    target.quats = wanted.quats.data();
    target.scales = wanted.scales.data();
    target.opacities = wanted.opacities.data();
    target.sh = wanted.sh.data();
    target.residuals = pointer(wanted.residuals);
    target.extra = wanted.extra.data();
    target.means2d = pointer(means2d);
    target.viewmat = pointer(viewmat);
    float* background_target = pointer(background_gradient);
    nb::gil_scoped_release release;
    raster_.backward(arrays, behind, images, slopes, target, background_target, threads);
  }

  std::int64_t pixel_splats() const { return raster_.pixel_splats(); }

 private:
  emotalk::View view_;
  emotalk::Raster raster_;
  bool can_go_back_ = false;
};

emotalk::GridShape grid_shape(const std::vector<int>& resolutions, const std::vector<int>& sizes,
                              double bound, const Array<-1, -1>& tables) {
  emotalk::GridShape shape;
  require(!resolutions.empty() && resolutions.size() <= emotalk::kMaxLevels &&
              resolutions.size() == sizes.size(), "levels: wanted 1..24");
  shape.levels = static_cast<int>(resolutions.size());
  shape.features = static_cast<int>(tables.shape(1));
  shape.bound = bound;
  require(emotalk::hash_supports(shape.features), "features: wanted 1, 2, 4 or 8");
  std::int64_t total = 0;
  for (int plane = 0; plane < emotalk::kPlanes; ++plane)
    for (int level = 0; level < shape.levels; ++level) {
      const std::int64_t side = resolutions[level], size = sizes[level];
      require(side >= 2 && side <= 32768, "resolution: wanted 2..32768");
      require(size >= side * side || (size > 0 && (size & (size - 1)) == 0),
              "table size: wanted resolution^2 or a power of two");
      shape.resolutions[level] = resolutions[level];
      shape.sizes[level] = sizes[level];
      shape.offsets[plane * shape.levels + level] = total;
      total += size;
    }
  require(std::int64_t(tables.shape(0)) == total, "tables: wanted the sum of all sizes");
  return shape;
}

bool hash_forward(const Array<-1, 3>& points, const Array<-1, -1>& tables, Array<-1, -1> out,
                  const std::vector<int>& resolutions, const std::vector<int>& sizes, double bound,
                  int threads) {
  const emotalk::GridShape shape = grid_shape(resolutions, sizes, bound, tables);
  require(out.shape(0) == points.shape(0) &&
              int(out.shape(1)) == emotalk::kPlanes * shape.levels * shape.features,
          "out: wanted [N, 3 levels features]");
  nb::gil_scoped_release release;
  return emotalk::hash_forward(shape, points.shape(0), points.data(), tables.data(), out.data(),
                               threads);
}

void hash_backward(const Array<-1, 3>& points, const Array<-1, -1>& tables,
                   const Array<-1, -1>& gradient, Maybe<-1, -1> table_gradient,
                   Maybe<-1, 3> point_gradient, const std::vector<int>& resolutions,
                   const std::vector<int>& sizes, double bound, int threads) {
  const emotalk::GridShape shape = grid_shape(resolutions, sizes, bound, tables);
  require(gradient.shape(0) == points.shape(0) &&
              int(gradient.shape(1)) == emotalk::kPlanes * shape.levels * shape.features,
          "gradient: wanted [N, 3 levels features]");
  require(!table_gradient || (table_gradient->shape(0) == tables.shape(0) &&
                              table_gradient->shape(1) == tables.shape(1)),
          "table gradient: wanted the shape of the tables");
  require(!point_gradient || point_gradient->shape(0) == points.shape(0),
          "point gradient: wanted the shape of the points");
  float* to_tables = pointer(table_gradient);
  float* to_points = pointer(point_gradient);
  nb::gil_scoped_release release;
  emotalk::hash_backward(shape, points.shape(0), points.data(), tables.data(), gradient.data(),
                         to_tables, to_points, threads);
}

emotalk::Dense dense_of(const Array<-1, -1>& weights) {
  return {static_cast<int>(weights.shape(0)), static_cast<int>(weights.shape(1)), weights.data()};
}

using PyAttention = std::tuple<Array<-1, -1>, Array<-1, -1>, bool>;  // hidden, factors, relu

emotalk::BranchLayers branch_layers(const std::vector<PyAttention>& attention,
                                    const Array<-1, -1>& from_features,
                                    const Array<-1, -1>& from_condition,
                                    const Array<-1, -1>& middle, const Array<-1, -1>& last,
                                    const Array<3>& axes_gain) {
  emotalk::BranchLayers layers;
  for (const auto& [hidden, factors, relu] : attention)
    layers.attention.push_back({dense_of(hidden), dense_of(factors), relu});
  layers.from_features = dense_of(from_features);
  layers.codes = static_cast<int>(from_condition.shape(1));
  layers.from_condition.assign(from_condition.data(),
                               from_condition.data() + from_condition.size());
  layers.middle = dense_of(middle);
  layers.last = dense_of(last);
  std::copy_n(axes_gain.data(), 3, layers.axes_gain);
  return layers;
}

class PyBranch {
 public:
  PyBranch(const Array<-1, -1>& tables, const std::vector<int>& resolutions,
           const std::vector<int>& sizes, double bound, const std::vector<PyAttention>& attention,
           const Array<-1, -1>& from_features, const Array<-1, -1>& from_condition,
           const Array<-1, -1>& middle, const Array<-1, -1>& last, const Array<3>& axes_gain,
           bool half)
      : tables_(tables),
        branch_(grid_shape(resolutions, sizes, bound, tables), tables.data(),
                branch_layers(attention, from_features, from_condition, middle, last, axes_gain),
                half),
        codes_(from_condition.shape(1)),
        outputs_(last.shape(0)) {}

  bool settle(const Array<-1, 3>& points) {
    nb::gil_scoped_release release;
    return branch_.settle(points.shape(0), points.data());
  }

  bool deform(const Array<-1>& code, float gain, Array<-1, 3> means, Maybe<-1, 4> quats,
              Maybe<-1, 3> scales, int threads) const {
    const std::size_t n = means.shape(0);
    require(code.shape(0) == codes_, "code: wanted as many numbers as the branch's conditions");
    require(branch_.settled() < 0 || std::size_t(branch_.settled()) == n,
            "means: wanted the settled points");
    require((quats && scales) == (outputs_ == 10) && !quats == !scales,
            "quats, scales: wanted where the branch gives them");
    require((!quats || quats->shape(0) == n) && (!scales || scales->shape(0) == n),
            "quats, scales: wanted N rows");
    const emotalk::Pose pose{std::int64_t(n), means.data(), pointer(quats), pointer(scales)};
    const float* values = code.data();
    nb::gil_scoped_release release;
    return branch_.deform(values, gain, pose, threads);
  }

 private:
  Array<-1, -1> tables_;  // keeps the memory alive that the branch reads
  emotalk::Branch branch_;
  std::size_t codes_, outputs_;
};

double ssim(const Array<-1, -1, -1>& image, const Array<-1, -1, -1>& target,
            Maybe<-1, -1, -1> gradient, int threads) {
  for (int axis = 0; axis < 3; ++axis)
    require(image.shape(axis) == target.shape(axis) && image.shape(axis) > 0 &&
                (!gradient || gradient->shape(axis) == image.shape(axis)),
            "image, target, gradient: wanted one shape, nothing empty");
  float* to_image = pointer(gradient);
  nb::gil_scoped_release release;
  return emotalk::ssim(int(image.shape(0)), int(image.shape(1)), int(image.shape(2)), image.data(),
                       target.data(), to_image, threads);
}

// The best instruction set of this processor that the kernels are built for.
const char* best_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    return "avx512";
  if (avx2) return "avx2";
#endif
  return "baseline";
}

}  // namespace

NB_MODULE(EMOTALK_MODULE, m) {
  using namespace nb::literals;
  // A graph that lives until the interpreter ends still holds a Raster: that is no leak of ours.
  nb::set_leak_warnings(false);
  m.attr("isa") = emotalk::kIsa;
  m.attr("sources") = EMOTALK_SOURCES;
  m.def("best_isa", &best_isa);
  nb::class_<Gaussians>(m, "Gaussians")
      .def(nb::init<Array<-1, 3>, Array<-1, 4>, Array<-1, 3>, Array<-1>, Array<-1, -1, 3>,
                    Maybe<-1, 3>, Array<-1, -1>>(),
           "means"_a, "quats"_a, "scales"_a, "opacities"_a, "sh"_a, "residuals"_a.none(),
           "extra"_a);
  nb::class_<Images>(m, "Images")
      .def(nb::init<Maybe<3, -1, -1>, Maybe<-1, -1>, Maybe<-1, -1>, Maybe<3, -1, -1>,
                    Maybe<-1, -1, -1>>(),
           "rgb"_a.none(), "alpha"_a.none(), "depth"_a.none(), "normals"_a.none(),
           "extra"_a.none());
  nb::class_<PyRaster>(m, "Raster")
      .def(nb::init<const Array<4, 4>&, const Array<3, 3>&, int, int, int, bool>(), "viewmat"_a,
           "intrinsics"_a, "width"_a, "height"_a, "sh_degree"_a, "with_normals"_a)
      .def("forward", &PyRaster::forward, "gaussians"_a, "background"_a, "out"_a, "radii"_a,
           "means2d"_a, "threads"_a)
      .def("backward", &PyRaster::backward, "gaussians"_a, "background"_a, "values"_a,
           "gradients"_a, "wanted"_a, "means2d"_a.none(), "viewmat"_a.none(),
           "background_gradient"_a.none(), "threads"_a)
      .def_prop_ro("pixel_splats", &PyRaster::pixel_splats);
  m.def("hash_forward", &hash_forward, "points"_a, "tables"_a, "out"_a, "resolutions"_a, "sizes"_a,
        "bound"_a, "threads"_a);
  m.def("hash_backward", &hash_backward, "points"_a, "tables"_a, "gradient"_a,
        "table_gradient"_a.none(), "point_gradient"_a.none(), "resolutions"_a, "sizes"_a,
        "bound"_a, "threads"_a);
  m.def("has_half", &emotalk::has_half);
  nb::class_<PyBranch>(m, "Branch")
      .def(nb::init<const Array<-1, -1>&, const std::vector<int>&, const std::vector<int>&, double,
                    const std::vector<PyAttention>&, const Array<-1, -1>&, const Array<-1, -1>&,
                    const Array<-1, -1>&, const Array<-1, -1>&, const Array<3>&, bool>(),
           "tables"_a, "resolutions"_a, "sizes"_a, "bound"_a, "attention"_a, "from_features"_a,
           "from_condition"_a, "middle"_a, "last"_a, "axes_gain"_a, "half"_a)
      .def("settle", &PyBranch::settle, "points"_a)
      .def("deform", &PyBranch::deform, "code"_a, "gain"_a, "means"_a, "quats"_a.none(),
           "scales"_a.none(), "threads"_a);
  m.def("ssim", &ssim, "image"_a, "target"_a, "gradient"_a.none(), "threads"_a);
}
