#include "strata/layers/upsample_2d.hpp"

#include "strata/framework/parallel.hpp"

namespace strata {
namespace {

// Runs body(begin, end) over the N * C * H rows of the small image, of which one becomes `large` values.
template <class Body>
void for_rows(const Shape& small, Index large, const Body& body) {
  parallel_ranges(static_cast<Index>(small[0] * small[1] * small[2]),
                  std::max<Index>(1, (Index{1} << 16) / std::max<Index>(1, large)), body);
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
  return {input[0], input[1], input[2] * static_cast<std::size_t>(scale_.h),
          input[3] * static_cast<std::size_t>(scale_.w)};
}

template <class T>
Tensor<T> Upsample2D<T>::do_infer(Tensor<T> x) const {
  auto y = empty<T>(output_shape(x.shape()));
  const auto w = static_cast<Index>(x.shape()[3]), large_w = w * scale_.w;
  for_rows(x.shape(), large_w * scale_.h, [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const T* const from = x.data() + row * w;
      T* const to = y.data() + row * scale_.h * large_w;
      for (Index column = 0; column < w; ++column)
        std::fill_n(to + column * scale_.w, scale_.w, from[column]);
      for (Index copy = 1; copy < scale_.h; ++copy) std::copy_n(to, large_w, to + copy * large_w);
    }
  });
  return y;
}

template <class T>
Tensor<T> Upsample2D<T>::do_backward(Tensor<T> dy) {
  auto dx = empty<T>(this->input_shape());
  const auto w = static_cast<Index>(dx.shape()[3]), large_w = w * scale_.w;
  for_rows(dx.shape(), large_w * scale_.h, [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row)
      for (Index column = 0; column < w; ++column) {
        const T* const from = dy.data() + row * scale_.h * large_w + column * scale_.w;
        double sum = 0;
        for (Index i = 0; i < scale_.h; ++i)
          for (Index j = 0; j < scale_.w; ++j) sum += static_cast<double>(from[i * large_w + j]);
        dx.data()[row * w + column] = static_cast<T>(sum);
      }
  });
  return dx;
}

template class Upsample2D<float>;
template class Upsample2D<double>;

}  // namespace strata
