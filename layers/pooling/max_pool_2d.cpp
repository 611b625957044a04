#include "strata/layers/pooling/max_pool_2d.hpp"

#include <algorithm>

#include "strata/framework/runtime/parallel.hpp"
#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/pooling/max_pool_parts.hpp"
#include "strata/layers/pooling/geometry.hpp"

namespace strata {
namespace {

using Places = std::vector<Index>;  // of the maxima, as the reference keeps them

// Runs body(first plane, planes) over all planes of x.
template <class T, class Body>
void for_planes(const MaxPoolParts<T>& parts, const Shape& in, const Body& body) {
  constexpr Index kLeast = Index{1} << 13, kMost = Index{1} << 16, kPieces = 4;
  const Index values = parts.plane_in() + parts.plane_out(), planes = static_cast<Index>(in[0] * in[1]);
  const Index grain = std::clamp(planes * values / kPieces, kLeast, kMost) / values;
  parallel_ranges(planes, std::max<Index>(1, grain),
                  [&](Index begin, Index end) { body(begin, end - begin); });
}

template <class T>
Tensor<T> pool(const Pooling& pooling, const Tensor<T>& x, MaxPoolParts<T>& parts) {
  auto y = empty<T>(pooling.output_shape(x.shape()));
  for_planes(parts, x.shape(), [&](Index first, Index count) {
    parts.forward(first, count, x.data() + first * parts.plane_in(), y.data() + first * parts.plane_out());
  });
  return y;
}

}  // namespace

template <class T>
MaxPool2D<T>::MaxPool2D(Size2D window, MaxPool2DOptions options)
    : pooling_("MaxPool2D", window, options.stride, options.padding) {}

template <class T>
Shape MaxPool2D<T>::output_shape(const Shape& input) const {
  if (!pooling_.fits(input)) this->fail_shape(pooling_.expected(), input);
  return pooling_.output_shape(input);
}

template <class T>
MaxPoolParts<T> MaxPool2D<T>::parts(const Shape& x) const {
  return {kernel_geometry(pooling_, x, pooling_.output_shape(x)), x};
}

template <class T>
Tensor<T> MaxPool2D<T>::do_forward(Tensor<T> x, Record& record) {
  if (uses_reference()) {
    auto y = empty<T>(pooling_.output_shape(x.shape()));
    reference::max_pool(reference_shape(pooling_, x.shape()), x.data(), y.data(),
                        record.keep(Places(y.size())).data());
    return y;
  }
  return pool(pooling_, x, record.keep(parts(x.shape())));
}

template <class T>
Tensor<T> MaxPool2D<T>::do_infer(Tensor<T> x) const {
  if (uses_reference()) {
    auto y = empty<T>(pooling_.output_shape(x.shape()));
    reference::max_pool<T>(reference_shape(pooling_, x.shape()), x.data(), y.data(), nullptr);
    return y;
  }
  MaxPoolParts<T> of_x = parts(x.shape());
  return pool(pooling_, x, of_x);
}

template <class T>
Tensor<T> MaxPool2D<T>::do_backward(Tensor<T> dy, Record& record) {
  auto dx = empty<T>(record.input_shape());
  if (record.keeps<Places>()) {
    reference::max_pool_backward(reference_shape(pooling_, dx.shape()), dy.data(),
                                 record.kept<Places>().data(), dx.data());
    return dx;
  }
  const auto of_x = record.take<MaxPoolParts<T>>();
  for_planes(of_x, dx.shape(), [&](Index first, Index count) {
    of_x.backward(first, count, dy.data() + first * of_x.plane_out(), dx.data() + first * of_x.plane_in());
  });
  return dx;
}

template class MaxPool2D<float>;
template class MaxPool2D<double>;

}  // namespace strata
