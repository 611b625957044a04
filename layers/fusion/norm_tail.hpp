// A normalizing layer with the ReLU and the max pooling that follow it.
#pragma once

#include <optional>

#include "strata/layers/kernels/normalization/normalization.hpp"
#include "strata/layers/kernels/pooling/max_pool_parts.hpp"
#include "strata/layers/normalization/normalization_layer.hpp"
#include "strata/layers/pooling/max_pool_2d.hpp"

namespace strata::fusion {

/// y = max pool (max(norm(x), 0)), rectifier and pooling being optional. The normalized values are not kept,
/// not even written where they are pooled: backward computes them again from x, whose memory dx takes.
template <class T>
struct NormTail {
  NormalizationLayer<T>* norm = nullptr;
  bool rectify = false;
  MaxPool2D<T>* pool = nullptr;

  /// What forward leaves for backward.
  struct Kept {
    typename NormalizationLayer<T>::Kept norm = {};
    std::optional<MaxPoolParts<T>> parts = std::nullopt;  ///< of the pooling
  };
  Tensor<T> forward(Tensor<T> x, Kept& kept) const;
  /// y from the x and the statistics that are kept already.
  Tensor<T> emit(Kept& kept) const;
  Tensor<T> backward(Tensor<T> dy, Kept kept) const;

 private:
  /// Makes y for an x of this shape by run(where y goes).
  template <class Run>
  Tensor<T> make(const Shape& x, Kept& kept, const Run& run) const;
};

extern template struct NormTail<float>;

}  // namespace strata::fusion
