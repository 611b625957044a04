#include "strata/layers/fusion/folded_convolution.hpp"

#include <mutex>
#include <optional>

#include "strata/framework/runtime/fork.hpp"
#include "strata/layers/add.hpp"
#include "strata/layers/convolution/conv_2d.hpp"
#include "strata/layers/fusion/add_relu.hpp"
#include "strata/layers/fusion/exactly.hpp"
#include "strata/layers/kernels/convolution/convolution.hpp"
#include "strata/layers/relu.hpp"

namespace strata::fusion {
namespace {

/// A convolution's weights with the norm behind it in them, whatever the shape of x.
template <class T>
class FoldedWeights {
 public:
  using Filters = kernels::ConvolutionFilters<T>;

  FoldedWeights(const Conv2D<T>& convolution, const NormalizationLayer<T>* norm)
      : weight_(convolution.weight().value) {
    const auto map = norm ? norm->frozen_map() : std::nullopt;
    const T* const given = convolution.bias_values();
    if (!map && !given) return;
    const std::size_t channels = weight_.shape()[0], taps = weight_.size() / channels;
    bias_ = zeros<T>({channels});
    for (std::size_t k = 0; k < channels; ++k) {
      T& bias = (*bias_)(k);
      if (given) bias = given[k];
      if (!map) continue;
      T* const filter = weight_.data() + k * taps;
      for (std::size_t i = 0; i < taps; ++i)
        filter[i] = static_cast<T>(static_cast<double>(filter[i]) * map->scale[k]);
      bias = static_cast<T>(static_cast<double>(bias) * map->scale[k] + map->offset[k]);
    }
  }

  /// Null if there is none.
  const T* bias() const { return bias_ ? bias_->data() : nullptr; }
  /// In the form that the algorithm for this shape wants. From several threads at once.
  std::shared_ptr<const Filters> filters(const kernels::ConvolutionShape& shape) {
    if (auto known = find(shape)) return known;
    auto made = std::make_shared<const Filters>(shape, weight_.data());  // in parallel: nothing is locked
    if (auto known = find(shape)) return known;
    const std::lock_guard lock(mutex_);
    filters_.push_back(made);
    return made;
  }

 private:
  /// Null if there are none yet.
  std::shared_ptr<const Filters> find(const kernels::ConvolutionShape& shape) {
    const std::lock_guard lock(mutex_);
    for (const auto& known : filters_)
      if (known->serve(shape)) return known;
    return nullptr;
  }

  Tensor<T> weight_;
  std::optional<Tensor<T>> bias_;
  detail::Mutex mutex_;  // of filters_
  std::vector<std::shared_ptr<const Filters>> filters_;
};

template <class T>
class FoldedConvolution final : public InferenceStep<T> {
 public:
  FoldedConvolution(Stretch<T> nodes, std::size_t first, Prepared& prepared)
      : shape_(exactly<Conv2D<T>>(nodes, 0)->geometry(nodes[0]->inputs[0])), y_(nodes[0]->output) {
    const NormalizationLayer<T>* norm = norm_at(nodes, 1);
    if (norm && !norm->frozen_map()) norm = nullptr;
    if (norm) ++size_;
    if (exactly<ReLU<T>>(nodes, size_)) {
      rectify_ = true;
      ++size_;
    } else if (exactly<const Add<T>>(nodes, size_) && nodes[size_]->sources.size() == 2) {
      const LeakyReLU<T>* relu = rectifier_at(nodes, size_ + 1);
      adds_ = !relu || relu->negative_slope() == 0;
      rectify_ = adds_ && relu;
      if (adds_) size_ += rectify_ ? 2 : 1;
    }
    weights_ = prepared.get<FoldedWeights<T>>(
        first, [&] { return std::make_unique<FoldedWeights<T>>(*exactly<Conv2D<T>>(nodes, 0), norm); });
    filters_ = weights_->filters(shape_);
  }

  std::size_t size() const override { return size_; }
  Step::Pixels pixels() const override {
    const kernels::ImageAbilities able = kernels::image_abilities<T>(shape_);
    return {.x = able.x_as_pixels, .y = able.y_as_pixels, .first_as_y = 1};
  }
  void settle(ImageLayouts layouts) override {
    layouts_ = layouts;
    adds_in_convolution_ = adds_ && filters_->take_addend(shape_, layouts.y);
    shape_.rectify = rectify_ && (!adds_ || adds_in_convolution_);
  }

  Tensor<T> infer(std::vector<Shared<T>> x) const override {
    const T* const addend = adds_in_convolution_ ? x[1]->data() : nullptr;
    auto y = adds_in_convolution_ ? memory_of(x[1]) : empty<T>(y_);
    filters_->convolve(shape_, {x[0]->data(), layouts_.x}, weights_->bias(),
                       {y.data(), layouts_.y, nullptr, addend});
    if (!adds_ || adds_in_convolution_) return y;
    return add_relu<T>(std::move(y), std::move(x[1]), rectify_ ? std::optional<double>(0) : std::nullopt);
  }

 private:
  std::size_t size_ = 1;
  kernels::ConvolutionShape shape_;
  Shape y_;
  bool rectify_ = false;
  bool adds_ = false;  // the sum of y and of another value
  bool adds_in_convolution_ = false;
  ImageLayouts layouts_;
  std::shared_ptr<FoldedWeights<T>> weights_;
  std::shared_ptr<const kernels::ConvolutionFilters<T>> filters_;
};

}  // namespace

template <class T>
std::unique_ptr<InferenceStep<T>> folded_convolution(Stretch<T> nodes, std::size_t first,
                                                     Prepared& prepared) {
  if (!exactly<Conv2D<T>>(nodes, 0)) return nullptr;
  return std::make_unique<FoldedConvolution<T>>(nodes, first, prepared);
}

template std::unique_ptr<InferenceStep<float>> folded_convolution(Stretch<float>, std::size_t, Prepared&);
template std::unique_ptr<InferenceStep<double>> folded_convolution(Stretch<double>, std::size_t, Prepared&);

}  // namespace strata::fusion
