#include "strata/layers/max_pool_planes.hpp"

#include "strata/framework/instruction_set.hpp"
#include "strata/layers/kernels/max_pool_pixels.hpp"

namespace strata {

template <class T>
MaxPoolPlanes<T>::MaxPoolPlanes(const Pooling& pooling) : pooling_(pooling) {
  if (pooling.window.h * pooling.window.w > 256) positions_ = Tensor<std::uint32_t>();
}

template <class T>
void MaxPoolPlanes<T>::begin(const Shape& in) {
  const Shape out = pooling_.output_shape(in);
  channels_ = static_cast<Index>(in[1]);
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
void MaxPoolPlanes<T>::forward_pixels(Index first, Index count, const T* x_images, T* y_images) {
  std::visit(
      [&]<class Position>(Tensor<Position>& positions) {
        kernels::table<kernels::MaxPoolPixels<T, Position>>().forward(
            x_images, y_images, positions.data() + first * channels_ * plane_out(), count, channels_,
            geometry_);
      },
      positions_);
}

template <class T>
void MaxPoolPlanes<T>::backward_pixels(Index first, Index count, const T* dy_images, T* dx_images) const {
  std::visit(
      [&]<class Position>(const Tensor<Position>& positions) {
        kernels::table<kernels::MaxPoolPixels<T, Position>>().backward(
            dy_images, positions.data() + first * channels_ * plane_out(), dx_images, count, channels_,
            geometry_);
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
