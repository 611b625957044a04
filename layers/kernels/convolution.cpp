#include "strata/layers/kernels/convolution.hpp"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "strata/framework/parallel.hpp"
#include "strata/layers/kernels/direct_convolution.hpp"
#include "strata/layers/kernels/gemm_convolution.hpp"
#include "strata/layers/kernels/grouped_convolution.hpp"
#include "strata/layers/kernels/normalization.hpp"
#include "strata/layers/kernels/pointwise_convolution.hpp"
#include "strata/layers/kernels/rectifier.hpp"
#include "strata/layers/kernels/row_blocks.hpp"
#include "strata/layers/kernels/winograd_convolution.hpp"

namespace strata::kernels {
namespace {

// The fast algorithms are for float.
template <class T>
bool use_winograd(const ConvolutionShape& shape) {
  return std::is_same_v<T, float> && shape.winograd && winograd_applies(shape);
}
template <class T>
bool use_direct(const ConvolutionShape& shape) {
  return std::is_same_v<T, float> && direct_applies(shape);
}
template <class T>
bool use_grouped(const ConvolutionShape& shape) {
  return std::is_same_v<T, float> && grouped_applies(shape);
}
template <class T>
bool use_pointwise(const ConvolutionShape& shape) {
  return std::is_same_v<T, float> && pointwise_applies(shape);
}

template <class T>
ConvolutionAlgorithm choose(const ConvolutionShape& shape) {
  if (use_winograd<T>(shape)) return ConvolutionAlgorithm::winograd;
  if (use_pointwise<T>(shape)) return ConvolutionAlgorithm::pointwise;
  if (use_direct<T>(shape)) return ConvolutionAlgorithm::direct;
  return use_grouped<T>(shape) ? ConvolutionAlgorithm::grouped : ConvolutionAlgorithm::gemm;
}

template <class T>
void rectify(T* y, Index count) {
  const auto& kernel = table<Rectifier<T>>();
  parallel_ranges(count, Index{1} << 16,
                  [&](Index begin, Index end) { kernel.infer(y + begin, /*slope=*/T{0}, end - begin); });
}

}  // namespace

template <class T>
std::string convolution_algorithm(const ConvolutionShape& shape) {
  switch (choose<T>(shape)) {
    case ConvolutionAlgorithm::winograd:
      return "winograd 4x4";
    case ConvolutionAlgorithm::direct:
      return "direct";
    case ConvolutionAlgorithm::grouped:
      return "grouped";
    case ConvolutionAlgorithm::pointwise:
      return "pointwise";
    case ConvolutionAlgorithm::gemm:
      break;
  }
  return "gemm";
}

template <class T>
ConvolutionFilters<T>::ConvolutionFilters(const ConvolutionShape& shape, const T* weight)
    : algorithm_(choose<T>(shape)), set_(instruction_set()), weight_(weight) {
  if constexpr (std::is_same_v<T, float>) {
    if (algorithm_ == ConvolutionAlgorithm::winograd) packed_ = winograd_filters(shape, weight);
    if (algorithm_ == ConvolutionAlgorithm::direct) packed_ = direct_filters(shape, weight);
  }
}

template <class T>
bool ConvolutionFilters<T>::serve(const ConvolutionShape& shape) const {
  return algorithm_ == choose<T>(shape) && set_ == instruction_set();
}

template <class T>
void ConvolutionFilters<T>::convolve(const ConvolutionShape& shape, const T* x, const T* bias, T* y) const {
  if constexpr (std::is_same_v<T, float>) {
    if (algorithm_ == ConvolutionAlgorithm::winograd)
      return winograd_convolve(shape, x, packed_.data(), bias, y);
    if (algorithm_ == ConvolutionAlgorithm::direct) return direct_convolve(shape, x, packed_.data(), bias, y);
    if (algorithm_ == ConvolutionAlgorithm::pointwise) return pointwise_convolve(shape, x, weight_, bias, y);
    if (algorithm_ == ConvolutionAlgorithm::grouped) grouped_convolve(shape, x, weight_, bias, y);
  }
  if (algorithm_ == ConvolutionAlgorithm::gemm) gemm_convolve(shape, x, weight_, bias, y);
  if (shape.rectify) rectify(y, shape.batch * shape.out_channels * shape.out_size());
}

template <class T>
void convolve(const ConvolutionShape& shape, const T* x, const T* weight, const T* bias, T* y) {
  ConvolutionFilters<T>(shape, weight).convolve(shape, x, bias, y);
}

template <class T>
void convolve_backward_data(const ConvolutionShape& shape, const T* dy, const T* weight, const T* bias,
                            T* dx) {
  if constexpr (std::is_same_v<T, float>) {
    if (use_winograd<T>(shape)) return winograd_convolve_backward_data(shape, dy, weight, bias, dx);
    if (use_pointwise<T>(shape)) return pointwise_convolve_backward_data(shape, dy, weight, bias, dx);
    if (direct_applies_backward_data(shape))
      return direct_convolve_backward_data(shape, dy, weight, bias, dx);
    if (use_grouped<T>(shape)) return grouped_convolve_backward_data(shape, dy, weight, bias, dx);
  }
  gemm_convolve_backward_data(shape, dy, weight, bias, dx);
}

template <class T>
void convolve_backward_weights(const ConvolutionShape& shape, const T* x, const T* dy, T* dweight) {
  if constexpr (std::is_same_v<T, float>) {
    if (use_winograd<T>(shape)) return winograd_convolve_backward_weights(shape, x, dy, dweight);
    if (pointwise_applies_backward_weights(shape))
      return pointwise_convolve_backward_weights(shape, x, dy, dweight);
    if (use_direct<T>(shape)) return direct_convolve_backward_weights(shape, x, dy, dweight);
    if (use_grouped<T>(shape)) return grouped_convolve_backward_weights(shape, x, dy, dweight);
  }
  gemm_convolve_backward_weights(shape, x, dy, dweight);
}

template <class T>
void convolve_backward(const ConvolutionShape& shape, const T* x, const T* dy, const T* weight, T* dweight,
                       T* dx) {
  if constexpr (std::is_same_v<T, float>)
    if (use_winograd<T>(shape)) return winograd_convolve_backward(shape, x, dy, weight, dweight, dx);
  convolve_backward_weights(shape, x, dy, dweight);
  convolve_backward_data<T>(shape, dy, weight, nullptr, dx);
}

template <class T>
bool convolution_streams(const ConvolutionShape& shape) {
  return use_winograd<T>(shape) && winograd_streams(shape);
}

template <class T>
void stream_convolve([[maybe_unused]] const ConvolutionShape& shape, [[maybe_unused]] const ImageSource<T>& x,
                     [[maybe_unused]] const T* weight, [[maybe_unused]] const T* bias, [[maybe_unused]] T* y,
                     [[maybe_unused]] const ImageSink& done) {
  if constexpr (std::is_same_v<T, float>)
    winograd_convolve(shape, x, winograd_filters(shape, weight).data(), bias, y, done);
}

template <class T>
void stream_convolve_backward([[maybe_unused]] const ConvolutionShape& shape,
                              [[maybe_unused]] const ImageSource<T>& x,
                              [[maybe_unused]] const ImageSource<T>& dy, [[maybe_unused]] const T* weight,
                              [[maybe_unused]] T* dweight, [[maybe_unused]] T* dx,
                              [[maybe_unused]] const ImageSink& done) {
  if constexpr (std::is_same_v<T, float>) {
    if (dx) return winograd_convolve_backward(shape, x, dy, weight, dweight, dx, done);
    winograd_convolve_backward_weights(shape, x, dy, dweight);
  }
}

// By the pass of normalization that takes sums, whose sums of squares are not wanted here.
template <class T>
void sum_per_channel(Index batch, Index channels, Index size, const T* dy, T* sums) {
  constexpr Index kPiece = Index{1} << 15;
  const auto& kernel = table<Normalization<T>>();
  const RowBlocks blocks(batch, channels, kPiece / size);
  const Index groups = ceil_div(batch, blocks.max_images());  // of images, whose sums are taken together
  const std::vector<T> zeros(static_cast<std::size_t>(channels));
  Scratch<double> parts(groups * channels), squares(groups * channels);
  parallel_for(blocks.count(), [&](Index i) {
    const RowBlock block = blocks[i];
    const Index first = block.image / blocks.max_images() * channels + block.first_row;
    kernel.sums(dy + (block.image * channels + block.first_row) * size, {block.images, block.rows, size},
                zeros.data(), parts.data() + first, squares.data() + first);
  });
  for (Index c = 0; c < channels; ++c) {
    double sum = 0;
    for (Index group = 0; group < groups; ++group) sum += parts.data()[group * channels + c];
    sums[c] = static_cast<T>(sum);
  }
}

#define STRATA_INSTANTIATE(T)                                                                              \
  template std::string convolution_algorithm<T>(const ConvolutionShape&);                                  \
  template class ConvolutionFilters<T>;                                                                    \
  template void convolve<T>(const ConvolutionShape&, const T*, const T*, const T*, T*);                    \
  template void convolve_backward_data<T>(const ConvolutionShape&, const T*, const T*, const T*, T*);      \
  template void convolve_backward_weights<T>(const ConvolutionShape&, const T*, const T*, T*);             \
  template void convolve_backward<T>(const ConvolutionShape&, const T*, const T*, const T*, T*, T*);       \
  template void sum_per_channel<T>(Index, Index, Index, const T*, T*);                                     \
  template bool convolution_streams<T>(const ConvolutionShape&);                                           \
  template void stream_convolve<T>(const ConvolutionShape&, const ImageSource<T>&, const T*, const T*, T*, \
                                   const ImageSink&);                                                      \
  template void stream_convolve_backward<T>(const ConvolutionShape&, const ImageSource<T>&,                \
                                            const ImageSource<T>&, const T*, T*, T*, const ImageSink&);
STRATA_INSTANTIATE(float)
STRATA_INSTANTIATE(double)

}  // namespace strata::kernels
