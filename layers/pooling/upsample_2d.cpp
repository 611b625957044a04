#include "strata/layers/pooling/upsample_2d.hpp"

#include <vector>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/pooling/sum_pool.hpp"
#include "strata/layers/kernels/scratch.hpp"
#include "strata/layers/reference/upsample.hpp"

namespace strata {
namespace {

Index planes_of(const Shape& images) {
  return static_cast<Index>(images[0] * images[1]);
}
Size2D size_of(const Shape& images) {
  return {static_cast<Index>(images[2]), static_cast<Index>(images[3])};
}

// Runs body(first plane, planes, windows, working memory), planes in parallel: each pixel of the small image
// is a window of the large one.
template <class T, class Body>
void for_planes(const Shape& small, Size2D scale, const Body& body) {
  const auto h = static_cast<Index>(small[2]), w = static_cast<Index>(small[3]);
  if (h * w == 0) return;
  const std::vector<T> ones(static_cast<std::size_t>(std::max(h, w)), T{1});
  const kernels::WeightedWindows<T> windows{
      {h * scale.h, w * scale.w, scale.h, scale.w, scale.h, scale.w, 0, 0, h, w}, ones.data(), ones.data()};
  parallel_ranges(static_cast<Index>(small[0] * small[1]),
                  std::max<Index>(1, (Index{1} << 17) / (h * w * scale.h * scale.w)),
                  [&](Index begin, Index end) {
                    kernels::Scratch<T> row(windows.padded_width());
                    body(begin, end - begin, windows, row.data());
                  });
}

}  // namespace

template <class T>
Upsample2D<T>::Upsample2D(Size2D scale) : scale_(scale) {
  if (scale.h < 1 || scale.w < 1)
    throw ArgumentError("Upsample2D: expected a scale of at least 1x1, got " + to_string(scale));
}

template <class T>
Shape Upsample2D<T>::output_shape(const Shape& input) const {
  if (input.size() != 4) this->fail_shape("(N, C, H, W)", input);
  const auto output = detail::checked_shape(
      {input[0], input[1], detail::Checked(input[2]) * scale_.h, detail::Checked(input[3]) * scale_.w});
  if (!output) this->fail_shape(detail::kCountable, input);
  return *output;
}

template <class T>
Tensor<T> Upsample2D<T>::do_infer(Tensor<T> x) const {
  auto y = empty<T>(output_shape(x.shape()));
  if (uses_reference()) {
    reference::upsample(planes_of(x.shape()), size_of(x.shape()), scale_, x.data(), y.data());
    return y;
  }
  for_planes<T>(
      x.shape(), scale_, [&](Index first, Index planes, const kernels::WeightedWindows<T>& windows, T* row) {
        const kernels::PoolGeometry& g = windows.geometry;
        kernels::table<kernels::SumPool<T>>().spread(x.data() + first * g.out_h * g.out_w,
                                                     y.data() + first * g.h * g.w, planes, windows, row);
      });
  return y;
}

template <class T>
Tensor<T> Upsample2D<T>::do_backward(Tensor<T> dy, Record& record) {
  auto dx = empty<T>(record.input_shape());
  if (uses_reference()) {
    reference::upsample_backward(planes_of(dx.shape()), size_of(dx.shape()), scale_, dy.data(), dx.data());
    return dx;
  }
  for_planes<T>(
      dx.shape(), scale_, [&](Index first, Index planes, const kernels::WeightedWindows<T>& windows, T* row) {
        const kernels::PoolGeometry& g = windows.geometry;
        kernels::table<kernels::SumPool<T>>().sum(
            dy.data() + first * g.h * g.w, dx.data() + first * g.out_h * g.out_w, planes, windows, row);
      });
  return dx;
}

template class Upsample2D<float>;
template class Upsample2D<double>;

}  // namespace strata
