#include "strata/layers/avg_pool_2d.hpp"

#include "strata/framework/parallel.hpp"

namespace strata {
namespace {

// The part of a window that lies inside the image: [begin, end) along one axis.
struct Span {
  Index begin, end;
};

Span span(Index output, Index window, Index stride, Index padding, Index extent) {
  const Index begin = output * stride - padding;
  return {std::max<Index>(0, begin), std::min(extent, begin + window)};
}

// Runs body(plane, output index, rows, columns, 1 / divisor) for every output, planes in parallel.
template <class Body>
void for_windows(const Pooling& pooling, bool count_include_pad, const Shape& in, const Shape& out,
                 const Body& body) {
  const auto h = static_cast<Index>(in[2]), w = static_cast<Index>(in[3]);
  const auto out_h = static_cast<Index>(out[2]), out_w = static_cast<Index>(out[3]);
  const Index work = h * w + out_h * out_w * pooling.window.h * pooling.window.w;
  const Index grain = std::max<Index>(1, (Index{1} << 16) / work);
  parallel_ranges(static_cast<Index>(in[0] * in[1]), grain, [&](Index plane, Index planes_end) {
    for (; plane < planes_end; ++plane)
      for (Index i = 0; i < out_h; ++i) {
        const Span rows = span(i, pooling.window.h, pooling.stride.h, pooling.padding.h, h);
        for (Index j = 0; j < out_w; ++j) {
          const Span columns = span(j, pooling.window.w, pooling.stride.w, pooling.padding.w, w);
          const Index divisor = count_include_pad ? pooling.window.h * pooling.window.w
                                                  : (rows.end - rows.begin) * (columns.end - columns.begin);
          body(plane, (plane * out_h + i) * out_w + j, rows, columns, 1 / static_cast<double>(divisor));
        }
      }
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
  auto y = empty<T>(pooling_.output_shape(x.shape()));
  const auto h = static_cast<Index>(x.shape()[2]), w = static_cast<Index>(x.shape()[3]);
  for_windows(pooling_, count_include_pad_, x.shape(), y.shape(),
              [from = x.data(), to = y.data(), h, w](Index plane, Index output, Span rows, Span columns,
                                                     double factor) {
                double sum = 0;
                for (Index row = rows.begin; row < rows.end; ++row)
                  for (Index column = columns.begin; column < columns.end; ++column)
                    sum += static_cast<double>(from[(plane * h + row) * w + column]);
                to[output] = static_cast<T>(sum * factor);
              });
  return y;
}

template <class T>
Tensor<T> AvgPool2D<T>::do_backward(Tensor<T> dy) {
  auto dx = full<T>(this->input_shape(), T{0});
  const auto h = static_cast<Index>(dx.shape()[2]), w = static_cast<Index>(dx.shape()[3]);
  for_windows(pooling_, count_include_pad_, dx.shape(), dy.shape(),
              [from = dy.data(), to = dx.data(), h, w](Index plane, Index output, Span rows, Span columns,
                                                       double factor) {
                const auto share = static_cast<T>(static_cast<double>(from[output]) * factor);
                for (Index row = rows.begin; row < rows.end; ++row)
                  for (Index column = columns.begin; column < columns.end; ++column)
                    to[(plane * h + row) * w + column] += share;
              });
  return dx;
}

template class AvgPool2D<float>;
template class AvgPool2D<double>;

}  // namespace strata
