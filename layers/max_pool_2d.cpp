#include "strata/layers/max_pool_2d.hpp"

#include "strata/framework/parallel.hpp"

namespace strata {
namespace {

// Runs body(first plane, planes) over all planes of x.
template <class T, class Body>
void for_planes(const MaxPoolPlanes<T>& planes, const Shape& in, const Body& body) {
  const Index values = planes.plane_in() + planes.plane_out();
  parallel_ranges(static_cast<Index>(in[0] * in[1]), std::max<Index>(1, (Index{1} << 16) / values),
                  [&](Index begin, Index end) { body(begin, end - begin); });
}

template <class T>
Tensor<T> pool(const Pooling& pooling, const Tensor<T>& x, MaxPoolPlanes<T>& planes) {
  auto y = empty<T>(pooling.output_shape(x.shape()));
  planes.begin(x.shape());
  for_planes(planes, x.shape(), [&](Index first, Index count) {
    planes.forward(first, count, x.data() + first * planes.plane_in(), y.data() + first * planes.plane_out());
  });
  return y;
}

}  // namespace

template <class T>
MaxPool2D<T>::MaxPool2D(Size2D window, MaxPool2DOptions options)
    : pooling_("MaxPool2D", window, options.stride, options.padding), planes_(pooling_) {}

template <class T>
Shape MaxPool2D<T>::output_shape(const Shape& input) const {
  if (!pooling_.fits(input)) this->fail_shape(pooling_.expected(), input);
  return pooling_.output_shape(input);
}

template <class T>
Tensor<T> MaxPool2D<T>::do_forward(Tensor<T> x) {
  return pool(pooling_, x, planes_);
}

template <class T>
Tensor<T> MaxPool2D<T>::do_infer(Tensor<T> x) const {
  MaxPoolPlanes<T> planes(pooling_);
  return pool(pooling_, x, planes);
}

template <class T>
Tensor<T> MaxPool2D<T>::do_backward(Tensor<T> dy) {
  auto dx = empty<T>(this->input_shape());
  for_planes(planes_, this->input_shape(), [&](Index first, Index count) {
    planes_.backward(first, count, dy.data() + first * planes_.plane_out(),
                     dx.data() + first * planes_.plane_in());
  });
  planes_.end();
  return dx;
}

template class MaxPool2D<float>;
template class MaxPool2D<double>;

}  // namespace strata
