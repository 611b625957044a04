#include "strata/layers/max_pool_planes.hpp"

#include "strata/framework/instruction_set.hpp"

namespace strata {
template <class T>
MaxPoolPlanes<T>::MaxPoolPlanes(const Pooling& pooling) : pooling_(pooling) {
  if (pooling.window.h * pooling.window.w > 256) positions_ = Tensor<std::uint32_t>();
}

template <class T>
void MaxPoolPlanes<T>::begin(const Shape& in) {
  const Shape out = pooling_.output_shape(in);
  geometry_ = kernel_geometry(pooling_, in, out);
  std::visit([&]<class Position>(Tensor<Position>& positions) { positions = empty<Position>(out); },
             positions_);
}

template <class T>
void MaxPoolPlanes<T>::forward(Index first, Index count, const T* x_planes, T* y_planes) {
  std::visit(
      [&]<class Position>(Tensor<Position>& positions) {
        kernels::table<kernels::MaxPool<T, Position>>().forward(
            x_planes, y_planes, positions.data() + first * plane_out(), count, geometry_);
      },
      positions_);
}

template <class T>
void MaxPoolPlanes<T>::backward(Index first, Index count, const T* dy_planes, T* dx_planes) const {
  std::visit(
      [&]<class Position>(const Tensor<Position>& positions) {
        kernels::table<kernels::MaxPool<T, Position>>().backward(
            dy_planes, positions.data() + first * plane_out(), dx_planes, count, geometry_);
      },
      positions_);
}

template <class T>
void MaxPoolPlanes<T>::end() {
  std::visit([]<class Position>(Tensor<Position>& positions) { positions = Tensor<Position>(); }, positions_);
}

template class MaxPoolPlanes<float>;
template class MaxPoolPlanes<double>;

}  // namespace strata
