#include "strata/layers/fusion/convolution_inference.hpp"

#include <algorithm>
#include <atomic>
#include <optional>

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/hash.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/relu.hpp"

namespace strata {
namespace {

// What tells whether a tensor is as it was: its shape, and the hashes of its parts. To keep a copy would cost
// twice the reading, which for a single image is a part of the whole time; as it is, several threads read.
template <class T>
class Fingerprint {
 public:
  explicit Fingerprint(const Tensor<T>& tensor)
      : shape_(tensor.shape()), parts_(static_cast<std::size_t>(kernels::ceil_div(count(tensor), kPart))) {
    for_each_part(tensor, [&](std::size_t part, const kernels::Hash& hash) { parts_[part] = hash; });
  }

  bool matches(const Tensor<T>& tensor) const {
    if (tensor.shape() != shape_) return false;
    std::atomic<bool> same = true;
    for_each_part(tensor, [&](std::size_t part, const kernels::Hash& hash) {
      if (hash != parts_[part]) same = false;
    });
    return same;
  }

 private:
  static constexpr Index kPart = Index{1} << 14;

  static Index count(const Tensor<T>& tensor) { return static_cast<Index>(tensor.size()); }

  template <class Body>
  static void for_each_part(const Tensor<T>& tensor, const Body& body) {
    const auto& hashing = kernels::table<kernels::Hashing>();
    parallel_ranges(count(tensor), kPart, [&](Index begin, Index end) {
      body(static_cast<std::size_t>(begin / kPart),
           hashing.of(tensor.data() + begin, (end - begin) * static_cast<Index>(sizeof(T))));
    });
  }

  typename Tensor<T>::shape_type shape_;
  std::vector<kernels::Hash> parts_;
};

}  // namespace

template <class T>
struct ConvolutionInference<T>::Folded {
  // Of the convolution and of the norm, if there is one, and their tensors as they were when it was made.
  Versions versions;
  std::vector<Fingerprint<T>> made_from;
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
auto ConvolutionInference<T>::versions() const -> Versions {
  return {convolution_.state_version().number(), norm_ ? norm_->state_version().number() : 0};
}

template <class T>
bool ConvolutionInference<T>::is_of_now(const Folded& folded) const {
  if (const Versions now = versions(); now[0] && now[1]) return now == folded.versions;
  const auto tensors = state();
  return std::equal(
      tensors.begin(), tensors.end(), folded.made_from.begin(), folded.made_from.end(),
      [](const Tensor<T>* tensor, const Fingerprint<T>& then) { return then.matches(*tensor); });
}

template <class T>
auto ConvolutionInference<T>::folded(const kernels::ConvolutionShape& shape) const
    -> std::shared_ptr<const Folded> {
  std::shared_ptr<const Folded> known;
  {
    const std::lock_guard lock(mutex_);
    known = folded_;
  }
  if (known && known->filters->serve(shape) && is_of_now(*known)) return known;

  auto fresh = std::make_shared<Folded>();
  fresh->versions = versions();
  for (const Tensor<T>* tensor : state()) fresh->made_from.emplace_back(*tensor);
  fresh->weight = convolution_.weight_.value;
  if (convolution_.bias_) fresh->bias = convolution_.bias_->value;
  if (norm_) {
    const auto map = *norm_->frozen_map();
    if (!convolution_.bias_) fresh->bias = zeros<T>({map.scale.size()});
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

// A sum behind a rectified convolution is none of its parts.
template <class T>
bool ConvolutionInference<T>::take_join(const JoinInference<T>& join) {
  const auto* sum = dynamic_cast<const AddInference<T>*>(&join);
  if (!sum || rectify_ || sum->negative_slope().value_or(0) != 0) return false;
  sum_ = sum;
  return true;
}

template <class T>
Tensor<T> ConvolutionInference<T>::infer(Shared<T> x, Shared<T> other, ImageLayouts layouts) const {
  kernels::ConvolutionShape shape = convolution_.convolution(x->shape());
  const auto weights = folded(shape);
  const bool adds = other && weights->filters->take_addend(shape, layouts.y);
  shape.rectify = adds ? sum_->negative_slope().has_value() : rectify_;
  const T* const addend = adds ? other->data() : nullptr;
  auto y = adds ? memory_of(other) : empty<T>(convolution_.output_shape(x->shape()));
  weights->filters->convolve(shape, {x->data(), layouts.x}, weights->bias ? weights->bias->data() : nullptr,
                             {y.data(), layouts.y, nullptr, addend});
  if (!other || adds) return y;
  return sum_->infer({std::move(y), std::move(other)});
}

template class ConvolutionInference<float>;
template class ConvolutionInference<double>;

}  // namespace strata
