// Convolutions and the batch norms between them, in training, as one.
#pragma once

#include <memory>
#include <vector>

#include "strata/layers/convolution/conv_2d.hpp"
#include "strata/layers/fusion/image_norm.hpp"
#include "strata/layers/fusion/norm_fusion.hpp"
#include "strata/layers/kernels/convolution/convolution.hpp"
#include "strata/layers/normalization/spatial_batch_norm.hpp"

namespace strata {

/// A run of units: convolution, batch norm, perhaps ReLU, and behind that perhaps max pooling; the last may
/// be a convolution alone.
///
/// What lies between two convolutions is done image by image while these have the image in the cache: the
/// statistics are taken of what a convolution has just computed, y = max(norm(z), 0) is computed as the next
/// convolution reads it and is not kept, and backward likewise for the sums that the norm needs and for dz.
/// Of each unit only z and, behind a pooling, the pooled y stay in memory. Convolutions that do not take
/// single images (ImageAbilities) run as they would alone.
///
/// Where a convolution and what reads its result can both take it so, the result is of pixels (ImageLayout),
/// which is how convolutions compute it. The tensor's shape is (N, C, H, W) in either case.
template <class T>
class ConvolutionRun final : public TrainingFusion<T> {
 public:
  /// The layers at the front of `chain`, which begins with a convolution, that form a run.
  static std::unique_ptr<ConvolutionRun> at_front_of(std::span<Layer<T>* const> chain);

  Index size() const override;
  bool takes_pixels(const Shape& x) const override { return abilities(0, x).x_as_pixels; }
  bool gives_pixels(const Shape& x) const override;
  Tensor<T> forward(Tensor<T> x) override { return forward_shared(std::move(x)); }
  Tensor<T> backward(Tensor<T> dy) override { return backward_shared(std::move(dy)); }
  Tensor<T> forward_shared(Shared<T> x) override;
  Tensor<T> backward_shared(Shared<T> dy) override { return pull_back(std::move(dy), /*wants_dx=*/true); }
  void backward_parameters(Shared<T> dy) override { pull_back(std::move(dy), /*wants_dx=*/false); }

 private:
  struct Unit {
    Conv2D<T>* convolution;
    NormalizationLayer<T>* norm;
    bool rectify;
    MaxPool2D<T>* pool;

    Index size() const { return 1 + (norm != nullptr) + rectify + (pool != nullptr); }
    /// From z to y and from dy to dz, for all images together, all of planes.
    NormFusion<T> behind() const { return {*norm, rectify, pool}; }
  };

  explicit ConvolutionRun(std::vector<Unit> units) : units_(std::move(units)) {}

  /// What the convolution of unit k is able to do with an input of this shape.
  kernels::ImageAbilities abilities(std::size_t k, const Shape& x) const;
  bool streams(std::size_t k, const Shape& x) const { return abilities(k, x).streams; }
  /// Settles the layouts of unit k's z and y, given its x.
  void choose_layouts(std::size_t k, const Shape& x);
  /// That is, of y of the unit before.
  ImageLayout layout_of_x(std::size_t k) const {
    if (k == 0) return this->layouts().x;
    return k == units_.size() ? this->layouts().y : units_[k].convolution->x_layout_;
  }
  ImageLayout layout_of_z(std::size_t k) const {
    return units_[k].norm ? units_[k].norm->x_layout_ : this->layouts().y;
  }
  /// Of unit k, for its z.
  std::unique_ptr<ImageNorm<T>> image_norm(std::size_t k) const;
  /// x of unit k: a tensor, or if there is none what the norm before makes of its z.
  kernels::ImageSource<T> source_of_x(std::size_t k, const Tensor<T>* x, const ImageNorm<T>* before) const;
  /// z, from the x that the layer has or that the norm before makes; `statistics`, if given, takes it in.
  Tensor<T> convolve(std::size_t k, const Shape& in, const ImageNorm<T>* before,
                     normalization::ByImages<T>* statistics = nullptr) const;
  /// z, which the norm keeps with its statistics.
  void convolve_and_normalize(std::size_t k, const Shape& in, const ImageNorm<T>* before);
  Tensor<T> pull_back(Shared<T> dy, bool wants_dx);
  /// dx, if it is wanted, whose sums go to the norm before, if there is one. With a norm, which has all sums,
  /// dz is made as it is read where the convolution streams, and takes z's memory.
  Tensor<T> pull_back_unit(std::size_t k, const Shape& in, Shared<T> dy, const ImageNorm<T>* norm,
                           ImageNorm<T>* before, bool wants_dx);

  std::vector<Unit> units_;
};

extern template class ConvolutionRun<float>;

}  // namespace strata
