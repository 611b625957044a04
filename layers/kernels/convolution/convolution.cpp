#include "strata/layers/kernels/convolution/convolution.hpp"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/convolution/depthwise_convolution.hpp"
#include "strata/layers/kernels/convolution/direct_convolution.hpp"
#include "strata/layers/kernels/convolution/gemm_convolution.hpp"
#include "strata/layers/kernels/convolution/grouped_convolution.hpp"
#include "strata/layers/kernels/convolution/pointwise_convolution.hpp"
#include "strata/layers/kernels/convolution/winograd_convolution.hpp"
#include "strata/layers/kernels/normalization/vector_loops.hpp"
#include "strata/layers/kernels/product/row_blocks.hpp"
#include "strata/layers/kernels/rectifier.hpp"

namespace strata::kernels {
namespace {

// The fast algorithms are for float.
template <class T>
bool use_winograd_for_data(const ConvolutionShape& shape) {
  return std::is_same_v<T, float> && shape.winograd && winograd_applies(shape);
}
// An image's three channels do not fill the vectors of Winograd's transforms: directly, a convolution of 3x3
// takes 0.8 to 0.9 of the time, and so does one of 5x5 with AVX-512; with AVX2 that takes 1.3 of it.
template <class T>
bool use_winograd(const ConvolutionShape& shape) {
  constexpr Index kFew = 4;
  const bool few = shape.in_channels <= kFew && direct_applies(shape) &&
                   (shape.kernel == Size2D(3) || instruction_set() == InstructionSet::avx512);
  return use_winograd_for_data<T>(shape) && !few;
}
template <class T>
bool use_direct(const ConvolutionShape& shape) {
  return std::is_same_v<T, float> && direct_applies(shape);
}
template <class T>
bool use_depthwise(const ConvolutionShape& shape) {
  return std::is_same_v<T, float> && depthwise_applies(shape);
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
  if (use_depthwise<T>(shape)) return ConvolutionAlgorithm::depthwise;
  return use_grouped<T>(shape) ? ConvolutionAlgorithm::grouped : ConvolutionAlgorithm::gemm;
}

// dy, or y, of pixels as planes.
Tensor<float> planes_of(const ConvolutionShape& s, const float* pixels) {
  const Planes<const float> from{pixels, s.out_channels, s.out};
  auto result = empty<float>({static_cast<std::size_t>(s.batch * s.out_channels * s.out_size())});
  const Planes<float> to{result.data(), s.out_channels, s.out};
  parallel_for(s.batch, [&](Index n) {
    table<PixelLayout>().from_pixels(from.pixels(n, 0), nullptr, to.at(n, 0), to.plane(), to.channels,
                                     to.size.h, to.size.w);
  });
  return result;
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
      return winograd_tile(shape) == 4 ? "winograd 4x4" : "winograd 2x2";
    case ConvolutionAlgorithm::direct:
      return "direct";
    case ConvolutionAlgorithm::depthwise:
      return "depthwise";
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
    if (algorithm_ == ConvolutionAlgorithm::winograd) {
      packed_ = winograd_filters(shape, weight);
      tile_ = winograd_tile(shape);
    }
    if (algorithm_ == ConvolutionAlgorithm::direct) packed_ = direct_filters(shape, weight);
  }
}

template <class T>
bool ConvolutionFilters<T>::serve(const ConvolutionShape& shape) const {
  if (algorithm_ != choose<T>(shape) || set_ != instruction_set()) return false;
  return algorithm_ != ConvolutionAlgorithm::winograd || winograd_tile(shape) <= tile_;
}

template <class T>
bool ConvolutionFilters<T>::take_addend(const ConvolutionShape& shape, ImageLayout y) const {
  return algorithm_ == ConvolutionAlgorithm::winograd && y == ImageLayout::pixels &&
         winograd_takes_addend(shape);
}

template <class T>
void ConvolutionFilters<T>::convolve(const ConvolutionShape& shape, const ImageSource<T>& x, const T* bias,
                                     const ImageSink<T>& y) const {
  if constexpr (std::is_same_v<T, float>) {
    if (algorithm_ == ConvolutionAlgorithm::winograd)
      return winograd_convolve(shape, x, packed_.data(), bias, y);
    if (algorithm_ == ConvolutionAlgorithm::direct) return direct_convolve(shape, x, packed_.data(), bias, y);
    if (algorithm_ == ConvolutionAlgorithm::pointwise)
      return pointwise_convolve(shape, x.tensor(), weight_, bias, y.tensor);
    if (algorithm_ == ConvolutionAlgorithm::depthwise)
      depthwise_convolve(shape, x.tensor(), weight_, bias, y.tensor);
    if (algorithm_ == ConvolutionAlgorithm::grouped)
      grouped_convolve(shape, x.tensor(), weight_, bias, y.tensor);
  }
  if (algorithm_ == ConvolutionAlgorithm::gemm) gemm_convolve(shape, x.tensor(), weight_, bias, y.tensor);
  if (shape.rectify) rectify(y.tensor, shape.batch * shape.out_channels * shape.out_size());
}

template <class T>
void convolve(const ConvolutionShape& shape, const T* x, const T* weight, const T* bias, T* y) {
  ConvolutionFilters<T>(shape, weight).convolve(shape, x, bias, y);
}

template <class T>
void convolve_backward_data(const ConvolutionShape& shape, const T* dy, const T* weight, const T* bias,
                            T* dx) {
  if constexpr (std::is_same_v<T, float>) {
    if (use_winograd_for_data<T>(shape)) return winograd_convolve_backward_data(shape, dy, weight, bias, dx);
    if (use_pointwise<T>(shape)) return pointwise_convolve_backward_data(shape, dy, weight, bias, dx);
    if (direct_applies_backward_data(shape))
      return direct_convolve_backward_data(shape, dy, weight, bias, dx);
    if (use_depthwise<T>(shape)) return depthwise_convolve_backward_data(shape, dy, weight, bias, dx);
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
    if (use_depthwise<T>(shape)) return depthwise_convolve_backward_weights(shape, x, dy, dweight);
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
ImageAbilities image_abilities(const ConvolutionShape& s) {
  const auto fill_vectors = [](Index channels) { return channels % kPixelChannels == 0; };
  const ConvolutionAlgorithm algorithm = choose<T>(s);
  if (algorithm == ConvolutionAlgorithm::winograd)
    return {winograd_streams(s), fill_vectors(s.in_channels), fill_vectors(s.out_channels)};
  if (algorithm == ConvolutionAlgorithm::direct && s.groups == 1 && !pointwise_applies_backward_weights(s))
    return {.x_as_pixels = direct_takes_pixels(s), .y_as_pixels = fill_vectors(s.out_channels)};
  return {};
}

template <class T>
void convolve_images(const ConvolutionShape& s, const ImageSource<T>& x, const T* weight, const T* bias,
                     const ImageSink<T>& y) {
  if constexpr (std::is_same_v<T, float>) {
    if (use_winograd<T>(s)) return winograd_convolve(s, x, winograd_filters(s, weight).data(), bias, y);
    if (x.layout() == ImageLayout::pixels || y.layout == ImageLayout::pixels)
      return direct_convolve(s, x, direct_filters(s, weight).data(), bias, y);
  }
  convolve(s, x.tensor(), weight, bias, y.tensor);
}

template <class T>
void convolve_images_backward(const ConvolutionShape& s, const ImageSource<T>& x, const ImageSource<T>& dy,
                              const T* weight, T* dweight, const ImageSink<T>& dx) {
  if constexpr (std::is_same_v<T, float>) {
    if (use_winograd<T>(s))
      return dx.tensor ? winograd_convolve_backward(s, x, dy, weight, dweight, dx)
                       : winograd_convolve_backward_weights(s, x, dy, dweight);
    if (x.layout() == ImageLayout::pixels || dy.layout() == ImageLayout::pixels) {
      direct_convolve_backward_weights(s, x, dy, dweight);
      if (!dx.tensor) return;
      if (dx.layout == ImageLayout::pixels || direct_applies_backward_data(s))
        return direct_convolve_backward_data(s, dy, weight, nullptr, dx);
      const Tensor<float> planes = planes_of(s, dy.tensor());
      return convolve_backward_data<T>(s, planes.data(), weight, nullptr, dx.tensor);
    }
  }
  convolve_backward_weights(s, x.tensor(), dy.tensor(), dweight);
  if (dx.tensor) convolve_backward_data<T>(s, dy.tensor(), weight, nullptr, dx.tensor);
}

// By the pass of normalization that takes sums, whose sums of squares are not wanted here.
template <class T>
void sum_per_channel(Index batch, Index channels, Index size, const T* dy, T* sums) {
  constexpr Index kPiece = Index{1} << 15;
  const auto& kernel = table<Normalization<T>>();
  const RowBlocks blocks(batch, channels, kPiece / size);
  const std::vector<T> zeros(static_cast<std::size_t>(channels));
  Scratch<double> parts(blocks.groups() * channels), squares(blocks.groups() * channels);
  parallel_for(blocks.count(), [&](Index i) {
    const RowBlock block = blocks[i];
    const Index first = block.group * channels + block.first_row;
    kernel.sums(dy + (block.image * channels + block.first_row) * size, {block.images, block.rows, size},
                zeros.data(), parts.data() + first, squares.data() + first);
  });
  for (Index c = 0; c < channels; ++c) {
    double sum = 0;
    for (Index group = 0; group < blocks.groups(); ++group) sum += parts.data()[group * channels + c];
    sums[c] = static_cast<T>(sum);
  }
}

#define STRATA_INSTANTIATE(T)                                                                          \
  template std::string convolution_algorithm<T>(const ConvolutionShape&);                              \
  template class ConvolutionFilters<T>;                                                                \
  template void convolve<T>(const ConvolutionShape&, const T*, const T*, const T*, T*);                \
  template void convolve_backward_data<T>(const ConvolutionShape&, const T*, const T*, const T*, T*);  \
  template void convolve_backward_weights<T>(const ConvolutionShape&, const T*, const T*, T*);         \
  template void convolve_backward<T>(const ConvolutionShape&, const T*, const T*, const T*, T*, T*);   \
  template void sum_per_channel<T>(Index, Index, Index, const T*, T*);                                 \
  template ImageAbilities image_abilities<T>(const ConvolutionShape&);                                 \
  template void convolve_images<T>(const ConvolutionShape&, const ImageSource<T>&, const T*, const T*, \
                                   const ImageSink<T>&);                                               \
  template void convolve_images_backward<T>(const ConvolutionShape&, const ImageSource<T>&,            \
                                            const ImageSource<T>&, const T*, T*, const ImageSink<T>&);
STRATA_INSTANTIATE(float)
STRATA_INSTANTIATE(double)

}  // namespace strata::kernels
