#include "strata/layers/max_pool_2d.hpp"

#include "strata/framework/instruction_set.hpp"
#include "strata/framework/parallel.hpp"
#include "strata/layers/kernels/max_pool.hpp"

namespace strata {
namespace {

// Runs body(planes begin, end) over the N * C planes.
template <class Body>
void for_planes(const Shape& in, const Shape& out, const Body& body) {
  const auto values = static_cast<Index>(in[2] * in[3] + out[2] * out[3]);
  parallel_ranges(static_cast<Index>(in[0] * in[1]), std::max<Index>(1, (Index{1} << 16) / values), body);
}

template <class T, class Position>
Tensor<T> pool(const Pooling& pooling, const Tensor<T>& x, Tensor<Position>& positions) {
  const Shape in = x.shape(), out = pooling.output_shape(in);
  const kernels::PoolGeometry g = kernel_geometry(pooling, in, out);
  const auto& kernel = kernels::table<kernels::MaxPool<T, Position>>();
  auto y = empty<T>(out);
  positions = empty<Position>(out);
  for_planes(in, out, [&](Index begin, Index end) {
    const Index to = begin * g.out_h * g.out_w;
    kernel.forward(x.data() + begin * g.h * g.w, y.data() + to, positions.data() + to, end - begin, g);
  });
  return y;
}

}  // namespace

template <class T>
MaxPool2D<T>::MaxPool2D(Size2D window, MaxPool2DOptions options)
    : pooling_("MaxPool2D", window, options.stride, options.padding) {
  if (window.h * window.w > 256) positions_ = Tensor<std::uint32_t>();
}

template <class T>
Shape MaxPool2D<T>::output_shape(const Shape& input) const {
  if (!pooling_.fits(input)) this->fail_shape(pooling_.expected(), input);
  return pooling_.output_shape(input);
}

template <class T>
Tensor<T> MaxPool2D<T>::do_forward(Tensor<T> x) {
  return std::visit([&](auto& positions) { return pool(pooling_, x, positions); }, positions_);
}

template <class T>
Tensor<T> MaxPool2D<T>::do_infer(Tensor<T> x) const {
  auto scratch = positions_;
  return std::visit([&](auto& positions) { return pool(pooling_, x, positions); }, scratch);
}

template <class T>
Tensor<T> MaxPool2D<T>::do_backward(Tensor<T> dy) {
  const Shape in = this->input_shape(), out = dy.shape();
  const kernels::PoolGeometry g = kernel_geometry(pooling_, in, out);
  auto dx = empty<T>(in);
  std::visit(
      [&]<class Position>(Tensor<Position>& positions) {
        const auto& kernel = kernels::table<kernels::MaxPool<T, Position>>();
        for_planes(in, out, [&](Index begin, Index end) {
          const Index from = begin * g.out_h * g.out_w;
          kernel.backward(dy.data() + from, positions.data() + from, dx.data() + begin * g.h * g.w,
                          end - begin, g);
        });
        positions = Tensor<Position>();
      },
      positions_);
  return dx;
}

template class MaxPool2D<float>;
template class MaxPool2D<double>;

}  // namespace strata
