// A normalizing layer with the ReLU and the max pooling that follow it.
#pragma once

#include "strata/layers/normalization/normalization_layer.hpp"
#include "strata/layers/pooling/max_pool_2d.hpp"

namespace strata {

/// y = max pool (max(norm(x), 0)), rectifier and pooling being optional. The normalized values are not kept,
/// not even written where they are pooled: backward computes them again from x, whose memory dx takes.
template <class T>
class NormFusion final : public TrainingFusion<T> {
 public:
  /// `pool` may be null.
  NormFusion(NormalizationLayer<T>& norm, bool rectify, MaxPool2D<T>* pool)
      : norm_(norm), rectify_(rectify), pool_(pool) {}

  Index size() const override { return 1 + rectify_ + (pool_ != nullptr); }
  Tensor<T> forward(Tensor<T> x) override;
  /// y from the x and the statistics that the norm has already.
  Tensor<T> emit();
  Tensor<T> backward(Tensor<T> dy) override;

 private:
  /// Makes y for an x of this shape by run(where y goes).
  template <class Run>
  Tensor<T> make(const Shape& x, const Run& run);

  NormalizationLayer<T>& norm_;
  bool rectify_;
  MaxPool2D<T>* pool_;
};

/// y = max(norm(x), 0).
template <class T>
class NormInference final : public InferenceFusion<T> {
 public:
  explicit NormInference(const NormalizationLayer<T>& norm) : norm_(norm) {}

  Index size() const override { return 2; }
  Tensor<T> infer(Shared<T> x, Shared<T> other, ImageLayouts layouts) const override;

 private:
  const NormalizationLayer<T>& norm_;
};

extern template class NormFusion<float>;
extern template class NormInference<float>;

}  // namespace strata
