#include "strata/layers/kernels/convolution/convolution.hpp"

#include <algorithm>
#include <array>

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/product/row_blocks.hpp"
#include "strata/layers/kernels/rectifier.hpp"

namespace strata::kernels {
namespace {

// In order: the first that can is taken, and the last can all. The fast ones are for float.
template <class T>
constexpr std::array algorithms{&kWinograd, &kPointwise, &kDirect, &kDepthwise, &kGrouped, &kGemm};
template <>
constexpr std::array algorithms<double>{&kGemmOfDoubles};

template <class T, class Can>
const ConvolutionAlgorithm<T>& first_that(const Can& can) {
  const auto& all = algorithms<T>;
  return **std::find_if(all.begin(), all.end(), [&](const auto* algorithm) { return can(*algorithm); });
}
template <class T>
const ConvolutionAlgorithm<T>& forward_algorithm(const ConvolutionShape& s) {
  return first_that<T>([&](const auto& algorithm) { return algorithm.can_forward(s); });
}
template <class T>
const ConvolutionAlgorithm<T>& weights_algorithm(const ConvolutionShape& s) {
  return first_that<T>([&](const auto& algorithm) { return algorithm.can_backward_weights(s); });
}

// y of pixels as planes.
template <class T>
Tensor<T> planes_of(const ConvolutionShape& s, const T* pixels) {
  auto result = empty<T>({static_cast<std::size_t>(s.batch * s.out_channels * s.out_size())});
  if constexpr (std::is_same_v<T, float>) {
    const Planes<const float> from{pixels, s.out_channels, s.out};
    const Planes<float> to{result.data(), s.out_channels, s.out};
    parallel_for(s.batch, [&](Index n) {
      table<PixelLayout>().from_pixels(from.pixels(n, 0), nullptr, to.at(n, 0), to.plane(), to.channels,
                                       to.size.h, to.size.w);
    });
  }
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
  const auto& algorithm = forward_algorithm<T>(shape);
  if (!algorithm.tile) return algorithm.name;
  const std::string side = std::to_string(algorithm.tile(shape));
  return std::string(algorithm.name) + ' ' + side + 'x' + side;
}

template <class T>
ImageAbilities image_abilities(const ConvolutionShape& shape) {
  const auto& algorithm = forward_algorithm<T>(shape);
  return algorithm.abilities ? algorithm.abilities(shape) : ImageAbilities();
}

template <class T>
ConvolutionFilters<T>::ConvolutionFilters(const ConvolutionShape& shape, const T* weight)
    : algorithm_(&forward_algorithm<T>(shape)),
      set_(instruction_set()),
      weight_(weight),
      tile_(algorithm_->tile ? algorithm_->tile(shape) : 0) {
  if (algorithm_->filters) packed_ = algorithm_->filters(shape, weight);
}

template <class T>
bool ConvolutionFilters<T>::serve(const ConvolutionShape& shape) const {
  return algorithm_ == &forward_algorithm<T>(shape) && set_ == instruction_set() &&
         (!algorithm_->tile || algorithm_->tile(shape) <= tile_);
}

template <class T>
bool ConvolutionFilters<T>::take_addend(const ConvolutionShape& shape, ImageLayout y) const {
  return y == ImageLayout::pixels && algorithm_->abilities && algorithm_->abilities(shape).addend;
}

template <class T>
void ConvolutionFilters<T>::convolve(const ConvolutionShape& shape, const ImageSource<T>& x, const T* bias,
                                     const ImageSink<T>& y) const {
  algorithm_->forward(shape, x, algorithm_->filters ? packed_.data() : weight_, bias, y);
  if (shape.rectify && !algorithm_->rectifies)
    rectify(y.tensor, shape.batch * shape.out_channels * shape.out_size());
}

template <class T>
void convolve(const ConvolutionShape& shape, const Images<T>& x, const T* weight,
              const std::type_identity_t<T>* bias, const ImagesTo<T>& y) {
  ConvolutionFilters<T>(shape, weight).convolve(shape, x, bias, y);
}

template <class T>
void convolve_backward_data(const ConvolutionShape& shape, const Images<T>& dy, const T* weight,
                            const std::type_identity_t<T>* bias, const ImagesTo<T>& dx) {
  const auto& algorithm = first_that<T>([&](const auto& a) { return a.can_backward_data(shape, dx.layout); });
  if (dy.layout() == ImageLayout::planes || algorithm.abilities)
    return algorithm.backward_data(shape, dy, weight, bias, dx);
  algorithm.backward_data(shape, planes_of(shape, dy.tensor()).data(), weight, bias, dx);
}

template <class T>
void convolve_backward_weights(const ConvolutionShape& shape, const Images<T>& x, const Images<T>& dy,
                               T* dweight) {
  weights_algorithm<T>(shape).backward_weights(shape, x, dy, dweight);
}

template <class T>
void convolve_backward(const ConvolutionShape& shape, const Images<T>& x, const Images<T>& dy,
                       const T* weight, T* dweight, const ImagesTo<T>& dx) {
  if (const auto& algorithm = weights_algorithm<T>(shape); algorithm.backward && dx.tensor)
    return algorithm.backward(shape, x, dy, weight, dweight, dx);
  convolve_backward_weights<T>(shape, x, dy, dweight);
  if (dx.tensor) convolve_backward_data<T>(shape, dy, weight, nullptr, dx);
}

#define STRATA_INSTANTIATE(T)                                                                               \
  template std::string convolution_algorithm<T>(const ConvolutionShape&);                                   \
  template ImageAbilities image_abilities<T>(const ConvolutionShape&);                                      \
  template class ConvolutionFilters<T>;                                                                     \
  template void convolve<T>(const ConvolutionShape&, const Images<T>&, const T*, const T*,                  \
                            const ImagesTo<T>&);                                                            \
  template void convolve_backward_data<T>(const ConvolutionShape&, const Images<T>&, const T*, const T*,    \
                                          const ImagesTo<T>&);                                              \
  template void convolve_backward_weights<T>(const ConvolutionShape&, const Images<T>&, const Images<T>&,   \
                                             T*);                                                           \
  template void convolve_backward<T>(const ConvolutionShape&, const Images<T>&, const Images<T>&, const T*, \
                                     T*, const ImagesTo<T>&);
STRATA_INSTANTIATE(float)
STRATA_INSTANTIATE(double)

}  // namespace strata::kernels
