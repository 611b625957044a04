// A convolution as it runs in infer: with the normalization and the ReLU behind it, or the sum that takes its
// value.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "strata/layers/convolution/conv_2d.hpp"
#include "strata/layers/fusion/add_fusion.hpp"
#include "strata/layers/kernels/convolution/convolution.hpp"
#include "strata/layers/normalization/normalization_layer.hpp"

namespace strata {

/// y = max(scale[k] conv(x)[k] + offset[k] + other, 0): a normalization whose statistics are frozen is a
/// linear map of each channel, so that its scale goes into the filters and its offset into the bias. The
/// filters are folded and brought into their algorithm's form once, and again when a parameter or a running
/// average has changed. Each call looks whether one has, by the layers' state versions, or by reading them
/// all where someone has a pointer to them.
template <class T>
class ConvolutionInference final : public InferenceFusion<T> {
 public:
  /// `next`: the layers after the convolution; of these a norm with running statistics and a ReLU are taken
  /// in.
  ConvolutionInference(const Conv2D<T>& convolution, std::span<Layer<T>* const> next);

  Index size() const override { return 1 + (norm_ != nullptr) + rectify_; }
  bool takes_pixels(const Shape& x) const override { return abilities(x).x_as_pixels; }
  bool gives_pixels(const Shape& x) const override { return abilities(x).y_as_pixels; }
  bool take_join(const JoinInference<T>& join) override;
  Tensor<T> infer(Shared<T> x, Shared<T> other, ImageLayouts layouts) const override;

 private:
  kernels::ImageAbilities abilities(const Shape& x) const;
  struct Folded;
  std::shared_ptr<const Folded> folded(const kernels::ConvolutionShape& shape) const;
  std::vector<const Tensor<T>*> state() const;
  // Of the convolution and of the norm; 0 if there is none.
  using Versions = std::array<std::optional<std::uint64_t>, 2>;
  Versions versions() const;
  bool is_of_now(const Folded& folded) const;

  const Conv2D<T>& convolution_;
  const NormalizationLayer<T>* norm_ = nullptr;
  const AddInference<T>* sum_ = nullptr;
  bool rectify_ = false;
  mutable std::mutex mutex_;  // of folded_
  mutable std::shared_ptr<const Folded> folded_;
};

extern template class ConvolutionInference<float>;

}  // namespace strata
