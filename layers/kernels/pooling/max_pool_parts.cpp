#include "strata/layers/kernels/pooling/max_pool_parts.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/pooling/max_pool_pixels.hpp"

namespace strata {
namespace {

/// body(the kernels for positions of this type, the positions from `first` on). Nothing for images of double
/// of pixels, which there are none of.
template <class T, template <class, class> class Kernels, class Positions, class Body>
void visit(Positions& positions, Index first, const Body& body) {
  std::visit(
      [&](auto& tensor) {
        using Position = typename std::remove_cvref_t<decltype(tensor)>::value_type;
        body(kernels::table<Kernels<T, Position>>(), tensor.data() + first);
      },
      positions);
}

}  // namespace

template <class T>
MaxPoolParts<T>::MaxPoolParts(const kernels::PoolGeometry& geometry, const Shape& x)
    : geometry_(geometry), channels_(static_cast<Index>(x[1])) {
  const Shape places{x[0] * x[1] * static_cast<std::size_t>(plane_out())};
  if (geometry.kh * geometry.kw > 256)
    positions_ = empty<std::uint32_t>(places);
  else
    positions_ = empty<std::uint8_t>(places);
}

template <class T>
void MaxPoolParts<T>::forward(Index first, Index count, const T* x_planes, T* y_planes) {
  visit<T, kernels::MaxPool>(positions_, first * plane_out(), [&](const auto& kernel, auto* positions) {
    kernel.forward(x_planes, y_planes, positions, count, geometry_);
  });
}

template <class T>
void MaxPoolParts<T>::backward(Index first, Index count, const T* dy_planes, T* dx_planes) const {
  visit<T, kernels::MaxPool>(positions_, first * plane_out(), [&](const auto& kernel, auto* positions) {
    kernel.backward(dy_planes, positions, dx_planes, count, geometry_);
  });
}

// Only images of float are ever of pixels.
template <class T>
void MaxPoolParts<T>::forward_pixels([[maybe_unused]] Index first, [[maybe_unused]] Index count,
                                     [[maybe_unused]] const T* x_images, [[maybe_unused]] T* y_images) {
  if constexpr (std::is_same_v<T, float>)
    visit<T, kernels::MaxPoolPixels>(
        positions_, first * channels_ * plane_out(), [&](const auto& kernel, auto* positions) {
          kernel.forward(x_images, y_images, positions, count, channels_, geometry_);
        });
}

template <class T>
void MaxPoolParts<T>::backward_pixels([[maybe_unused]] Index first, [[maybe_unused]] Index count,
                                      [[maybe_unused]] const T* dy_images,
                                      [[maybe_unused]] T* dx_images) const {
  if constexpr (std::is_same_v<T, float>)
    visit<T, kernels::MaxPoolPixels>(
        positions_, first * channels_ * plane_out(), [&](const auto& kernel, auto* positions) {
          kernel.backward(dy_images, positions, dx_images, count, channels_, geometry_);
        });
}

template class MaxPoolParts<float>;
template class MaxPoolParts<double>;

}  // namespace strata
