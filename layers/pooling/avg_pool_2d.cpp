#include "strata/layers/pooling/avg_pool_2d.hpp"

#include <vector>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/pooling/sum_pool.hpp"
#include "strata/layers/kernels/scratch.hpp"
#include "strata/layers/pooling/geometry.hpp"

namespace strata {
namespace {

// 1 / (what the windows along one axis count).
template <class T>
std::vector<T> factors(Index outputs, Index window, Index stride, Index padding, Index extent,
                       bool count_padding) {
  std::vector<T> result;
  for (Index i = 0; i < outputs; ++i) {
    const Index begin = i * stride - padding;
    const Index inside = std::min(extent, begin + window) - std::max<Index>(0, begin);
    result.push_back(T{1} / static_cast<T>(count_padding ? window : inside));
  }
  return result;
}

// Runs body(first plane, planes, windows, working memory), planes in parallel.
template <class T, class Body>
void for_planes(const Pooling& pooling, bool count_include_pad, const Shape& in, const Shape& out,
                const Body& body) {
  const kernels::PoolGeometry g = kernel_geometry(pooling, in, out);
  const auto rows = factors<T>(g.out_h, g.kh, g.sh, g.ph, g.h, count_include_pad);
  const auto columns = factors<T>(g.out_w, g.kw, g.sw, g.pw, g.w, count_include_pad);
  const kernels::WeightedWindows<T> windows{g, rows.data(), columns.data()};
  const Index work = g.h * g.w + g.out_h * (g.kh * g.w + g.kw * g.out_w);
  parallel_ranges(static_cast<Index>(in[0] * in[1]), std::max<Index>(1, (Index{1} << 17) / work),
                  [&](Index begin, Index end) {
                    kernels::Scratch<T> row(windows.padded_width());
                    body(begin, end - begin, windows, row.data());
                  });
}

}  // namespace

template <class T>
AvgPool2D<T>::AvgPool2D(Size2D window, AvgPool2DOptions options)
    : pooling_("AvgPool2D", window, options.stride, options.padding),
      count_include_pad_(options.count_include_pad) {}

template <class T>
Shape AvgPool2D<T>::output_shape(const Shape& input) const {
  if (!pooling_.fits(input)) this->fail_shape(pooling_.expected(), input);
  return pooling_.output_shape(input);
}

template <class T>
std::string AvgPool2D<T>::options() const {
  return pooling_.options() + (count_include_pad_ ? "" : ", padding not counted");
}

template <class T>
Tensor<T> AvgPool2D<T>::do_infer(Tensor<T> x) const {
  const Shape in = x.shape(), out = pooling_.output_shape(in);
  auto y = empty<T>(out);
  if (uses_reference()) {
    reference::average_pool(reference_shape(pooling_, in), count_include_pad_, x.data(), y.data());
    return y;
  }
  for_planes<T>(pooling_, count_include_pad_, in, out,
                [&](Index first, Index planes, const kernels::WeightedWindows<T>& windows, T* row) {
                  const kernels::PoolGeometry& g = windows.geometry;
                  kernels::table<kernels::SumPool<T>>().sum(x.data() + first * g.h * g.w,
                                                            y.data() + first * g.out_h * g.out_w, planes,
                                                            windows, row);
                });
  return y;
}

template <class T>
Tensor<T> AvgPool2D<T>::do_backward(Tensor<T> dy, Record& record) {
  const Shape in = record.input_shape(), out = dy.shape();
  auto dx = empty<T>(in);
  if (uses_reference()) {
    reference::average_pool_backward(reference_shape(pooling_, in), count_include_pad_, dy.data(), dx.data());
    return dx;
  }
  for_planes<T>(pooling_, count_include_pad_, in, out,
                [&](Index first, Index planes, const kernels::WeightedWindows<T>& windows, T* row) {
                  const kernels::PoolGeometry& g = windows.geometry;
                  kernels::table<kernels::SumPool<T>>().spread(dy.data() + first * g.out_h * g.out_w,
                                                               dx.data() + first * g.h * g.w, planes, windows,
                                                               row);
                });
  return dx;
}

template class AvgPool2D<float>;
template class AvgPool2D<double>;

}  // namespace strata
