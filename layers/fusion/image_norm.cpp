#include "strata/layers/fusion/image_norm.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/convolution/pixels.hpp"

namespace strata::fusion {
namespace {

/// The images of an activation of this shape.
struct Images {
  explicit Images(const Shape& shape)
      : channels(static_cast<Index>(shape[1])),
        rows(static_cast<Index>(shape[2])),
        columns(static_cast<Index>(shape[3])) {}
  Index plane() const { return rows * columns; }
  Index size() const { return channels * plane(); }

  Index channels;
  Index rows;
  Index columns;
};

// From one layout to the other. Only float images are ever of pixels.
template <class T>
void to_pixels([[maybe_unused]] const Images& images, [[maybe_unused]] Index count,
               [[maybe_unused]] const T* planes, [[maybe_unused]] T* pixels) {
  if constexpr (std::is_same_v<T, float>)
    for (Index n = 0; n < count; ++n, planes += images.size(), pixels += images.size())
      kernels::table<kernels::PixelLayout>().to_pixels(
          planes, images.plane(), images.channels, images.rows, images.columns,
          {pixels, images.columns * images.channels, images.channels});
}
template <class T>
void from_pixels([[maybe_unused]] const Images& images, [[maybe_unused]] Index count,
                 [[maybe_unused]] T* pixels, [[maybe_unused]] T* planes) {
  if constexpr (std::is_same_v<T, float>)
    for (Index n = 0; n < count; ++n, planes += images.size(), pixels += images.size())
      kernels::table<kernels::PixelLayout>().from_pixels(
          {pixels, images.columns * images.channels, images.channels}, /*bias=*/nullptr, planes,
          images.plane(), images.channels, images.rows, images.columns);
}

}  // namespace

template <class T>
ImageNorm<T>::ImageNorm(const NormTail<T>& tail, typename NormTail<T>::Kept& kept, ImageLayouts z_and_y)
    : tail_(tail),
      kept_(kept),
      layouts_(z_and_y),
      images_(kept.norm.x.shape(), z_and_y.x, tail.norm->affine(), tail.norm->eps(), tail.rectify) {
  images_.use(kept.norm.statistics);
}

template <class T>
void ImageNorm<T>::normalize(Index image, T* y, Index row_stride) const {
  images_.normalize_image(z(image), y, row_stride);
}

template <class T>
Tensor<T> ImageNorm<T>::emit() const {
  if (layouts_.x == ImageLayout::planes) return tail_.emit(kept_);
  const Images in(shape());
  const MaxPool2D<T>* const pool = tail_.pool;
  if (pool) kept_.parts = pool->parts(shape());
  auto y = empty<T>(pool ? pool->output_shape(shape()) : shape());
  const Images out(y.shape());
  images_.for_each([&](Index first, Index count) {
    T* const to = y.data() + first * out.size();
    const bool as_pixels = layouts_.y == ImageLayout::pixels;
    kernels::Scratch<T> values(count * in.size()), pooled(count * out.size());
    T* pixels = pool || !as_pixels ? values.data() : to;
    images_.normalize(z(first), count, pixels);
    if (pool) {
      pixels = as_pixels ? to : pooled.data();
      kept_.parts->forward_pixels(first, count, values.data(), pixels);
    }
    if (!as_pixels) from_pixels(out, count, pixels, to);
  });
  return y;
}

template <class T>
template <class Body>
void ImageNorm<T>::with_dy(const Tensor<T>& dy, Index first, Index count, const Body& body) const {
  const Images pooled(dy.shape());
  const T* const images = dy.data() + first * pooled.size();
  if (!tail_.pool) return body(images);
  const MaxPoolParts<T>& parts = *kept_.parts;
  kernels::Scratch<T> room(count * pooled.channels * parts.plane_in());
  if (layouts_.x == ImageLayout::planes) {
    parts.backward(first * pooled.channels, count * pooled.channels, images, room.data());
  } else if (layouts_.y == ImageLayout::pixels) {
    parts.backward_pixels(first, count, images, room.data());
  } else {
    kernels::Scratch<T> pixels(count * pooled.size());
    to_pixels(pooled, count, images, pixels.data());
    parts.backward_pixels(first, count, pixels.data(), room.data());
  }
  body(room.data());
}

template <class T>
void ImageNorm<T>::take_gradient(const Tensor<T>& dy, Index first, Index count) {
  with_dy(dy, first, count,
          [&](const T* dy_images) { images_.take_gradient(dy_images, z(first), first, count); });
}

template <class T>
void ImageNorm<T>::take_gradient(const Tensor<T>& dy) {
  images_.for_each([&](Index first, Index count) { take_gradient(dy, first, count); });
}

template <class T>
void ImageNorm<T>::finish() {
  images_.finish(kept_.norm.frozen, tail_.norm->weight_gradient(), tail_.norm->bias_gradient());
}

template <class T>
void ImageNorm<T>::gradient(const Tensor<T>& dy, Index image, T* dz, Index row_stride) const {
  with_dy(dy, image, 1,
          [&](const T* dy_image) { images_.gradient_image(dy_image, z(image), dz, row_stride); });
}

template <class T>
Tensor<T> ImageNorm<T>::gradients(const Tensor<T>& dy) const {
  Tensor<T>& z = kept_.norm.x;
  images_.for_each([&](Index first, Index count) {
    T* const dz = z.data() + first * images_.image_size();
    with_dy(dy, first, count, [&](const T* dy_images) { images_.gradient(dy_images, dz, count, dz); });
  });
  return std::move(z);
}

template class ImageNorm<float>;
template class ImageNorm<double>;

}  // namespace strata::fusion
