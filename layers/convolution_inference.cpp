#include "strata/layers/convolution_inference.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>

#include "strata/framework/parallel.hpp"
#include "strata/layers/relu.hpp"

namespace strata {
namespace {

// In several threads: for a single image this is a part of the whole time.
template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  if (a.shape() != b.shape()) return false;
  std::atomic<bool> same = true;
  parallel_ranges(static_cast<Index>(a.size()), Index{1} << 14, [&](Index begin, Index end) {
    if (std::memcmp(a.data() + begin, b.data() + begin, static_cast<std::size_t>(end - begin) * sizeof(T)) !=
        0)
      same = false;
  });
  return same;
}

}  // namespace

template <class T>
struct ConvolutionInference<T>::Folded {
  std::vector<Tensor<T>> made_from;
  Tensor<T> weight;
  std::optional<Tensor<T>> bias;
  std::optional<kernels::ConvolutionFilters<T>> filters;
};

template <class T>
ConvolutionInference<T>::ConvolutionInference(const Conv2D<T>& convolution, std::span<Layer<T>* const> next)
    : convolution_(convolution) {
  if (!next.empty()) {
    norm_ = dynamic_cast<const NormalizationLayer<T>*>(next.front());
    if (norm_ && !norm_->frozen_map()) norm_ = nullptr;
    if (norm_) next = next.subspan(1);
  }
  rectify_ = !next.empty() && dynamic_cast<const ReLU<T>*>(next.front());
}

template <class T>
std::vector<const Tensor<T>*> ConvolutionInference<T>::state() const {
  std::vector<const Tensor<T>*> all{&convolution_.weight_.value};
  if (convolution_.bias_) all.push_back(&convolution_.bias_->value);
  if (norm_)
    for (const Tensor<T>* tensor : norm_->frozen_state()) all.push_back(tensor);
  return all;
}

template <class T>
auto ConvolutionInference<T>::folded(const kernels::ConvolutionShape& shape) const
    -> std::shared_ptr<const Folded> {
  const auto now = state();
  std::shared_ptr<const Folded> known;
  {
    const std::lock_guard lock(mutex_);
    known = folded_;
  }
  if (known && known->filters->serve(shape) &&
      std::equal(now.begin(), now.end(), known->made_from.begin(), known->made_from.end(),
                 [](const Tensor<T>* a, const Tensor<T>& b) { return same_bits(*a, b); }))
    return known;

  auto fresh = std::make_shared<Folded>();
  for (const Tensor<T>* tensor : now) fresh->made_from.push_back(*tensor);
  fresh->weight = convolution_.weight_.value;
  if (convolution_.bias_) fresh->bias = convolution_.bias_->value;
  if (norm_) {
    const auto map = *norm_->frozen_map();
    if (!convolution_.bias_) fresh->bias = full<T>({map.scale.size()}, T{0});
    const std::size_t taps = fresh->weight.size() / map.scale.size();
    for (std::size_t k = 0; k < map.scale.size(); ++k) {
      T* filter = fresh->weight.data() + k * taps;
      for (std::size_t i = 0; i < taps; ++i)
        filter[i] = static_cast<T>(static_cast<double>(filter[i]) * map.scale[k]);
      T& bias = (*fresh->bias)(k);
      bias = static_cast<T>(static_cast<double>(bias) * map.scale[k] + map.offset[k]);
    }
  }
  fresh->filters.emplace(shape, fresh->weight.data());
  const std::lock_guard lock(mutex_);
  folded_ = fresh;
  return fresh;
}

template <class T>
kernels::ImageAbilities ConvolutionInference<T>::abilities(const Shape& x) const {
  return kernels::image_abilities<T>(convolution_.convolution(x));
}

template <class T>
Tensor<T> ConvolutionInference<T>::infer(Shared<T> x, ImageLayouts layouts) const {
  kernels::ConvolutionShape shape = convolution_.convolution(x->shape());
  shape.rectify = rectify_;
  const auto weights = folded(shape);
  auto y = empty<T>(convolution_.output_shape(x->shape()));
  weights->filters->convolve(shape, {x->data(), layouts.x}, weights->bias ? weights->bias->data() : nullptr,
                             {y.data(), layouts.y});
  return y;
}

template class ConvolutionInference<float>;
template class ConvolutionInference<double>;

}  // namespace strata
