// Convolutions and the batch norms between them, in training, as one.
#pragma once

#include <memory>
#include <vector>

#include "strata/layers/conv_2d.hpp"
#include "strata/layers/kernels/image_stream.hpp"
#include "strata/layers/norm_fusion.hpp"
#include "strata/layers/normalization_images.hpp"
#include "strata/layers/spatial_batch_norm.hpp"

namespace strata {

/// A run of units: convolution, batch norm, perhaps ReLU, and behind that perhaps max pooling; the last may
/// be a convolution alone.
///
/// What lies between two convolutions is done image by image while these have the image in the cache: the
/// statistics are taken of what a convolution has just computed, y = max(norm(z), 0) is computed as the next
/// convolution reads it and is not kept, and backward likewise for the sums that the norm needs and for dz.
/// Of each unit only z and, behind a pooling, the pooled y stay in memory. Convolutions that do not take
/// single images (convolution_streams) run as they would alone.
template <class T>
class ConvolutionRun final : public TrainingFusion<T> {
 public:
  /// The layers at the front of `chain`, which begins with a convolution, that form a run.
  static std::unique_ptr<ConvolutionRun> at_front_of(std::span<Layer<T>* const> chain);

  Index size() const override;
  Tensor<T> forward(Tensor<T> x) override { return forward_shared(std::move(x)); }
  Tensor<T> backward(Tensor<T> dy) override { return backward_shared(std::move(dy)); }
  Tensor<T> forward_shared(Shared<T> x) override;
  Tensor<T> backward_shared(Shared<T> dy) override { return pull_back(std::move(dy), /*wants_dx=*/true); }
  void backward_parameters(Shared<T> dy) override { pull_back(std::move(dy), /*wants_dx=*/false); }

 private:
  using Norm = normalization::ByImages<T>;

  struct Unit {
    Conv2D<T>* convolution;
    NormalizationLayer<T>* norm;
    bool rectify;
    MaxPool2D<T>* pool;

    Index size() const { return 1 + (norm != nullptr) + rectify + (pool != nullptr); }
    /// From z to y and from dy to dz, for all images together.
    NormFusion<T> behind() const { return {*norm, rectify, pool}; }
    /// The norm for its z, by the statistics that it has.
    std::unique_ptr<Norm> by_images() const;
    /// Some images of dy into the norm's sums, or into dz, which may be z.
    void take_gradient(Norm& norm, const Tensor<T>& dy, Index first, Index count) const;
    void gradient(const Norm& norm, const Tensor<T>& dy, Index first, Index count, T* dz) const;
    /// dz of all images, in the memory of z.
    Tensor<T> all_gradients(const Norm& norm, const Tensor<T>& dy) const;

   private:
    /// body(these images of dy, taken back through the pooling).
    template <class Body>
    void with_dy(const Tensor<T>& dy, Index first, Index count, const Body& body) const;
  };

  explicit ConvolutionRun(std::vector<Unit> units) : units_(std::move(units)) {}

  /// Whether the convolution of unit k takes an input of this shape image by image.
  bool streams(std::size_t k, const Shape& x) const;
  /// y of unit k.
  kernels::ImageSource<T> normalized(std::size_t k, const Norm& norm) const;
  /// z; from the norm before, if there is one, which takes a convolution that streams.
  Tensor<T> convolve(std::size_t k, const Shape& in, const Norm* before);
  void stream_into(Tensor<T>& z, std::size_t k, const Shape& in, const Norm* before,
                   const kernels::ImageSink& done);
  /// z, which the norm keeps with its statistics.
  void convolve_and_normalize(std::size_t k, const Shape& in, const Norm* before);
  Tensor<T> pull_back(Shared<T> dy, bool wants_dx);
  Tensor<T> pull_back_streaming(std::size_t k, const Shape& in, const Tensor<T>& dy, const Norm* norm,
                                Norm* before, bool wants_dx);

  std::vector<Unit> units_;
};

extern template class ConvolutionRun<float>;

}  // namespace strata
