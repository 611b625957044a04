// MaxPool2D: the largest value under a sliding window.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/layer.hpp"
#include "strata/layers/pooling/pooling.hpp"

namespace STRATA_EXPORT strata {

template <class T>
class MaxPoolParts;

struct MaxPool2DOptions {
  std::optional<Size2D> stride = std::nullopt;  ///< the window's size if not given
  Size2D padding = 0;                           ///< with -infinity; at most half the window
};

/// (N, C, H, W) -> (N, C, H', W'), H' = floor((H + 2 padding - window) / stride) + 1, W' alike.
/// y = the maximum of x under the window; NaN if there is one.
/// Backward: each dy is added to the dx of its maximum, the first in row-major order if there are equals.
template <class T>
class MaxPool2D final : public Layer<T> {
 public:
  /// Throws ArgumentError unless window and stride >= 1 and 0 <= padding <= window / 2.
  explicit MaxPool2D(Size2D window, MaxPool2DOptions options = {});

  Shape output_shape(const Shape& input) const override;
  /// What pools an x of this shape part by part, for what runs more than this layer at once (layers/fusion).
  MaxPoolParts<T> parts(const Shape& x) const;
  bool is_per_sample() const override { return true; }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<MaxPool2D>(*this); }
  std::string type() const override { return "MaxPool2D"; }
  std::string options() const override { return pooling_.options(); }

 protected:
  Tensor<T> do_forward(Tensor<T> x, Record& record) override;
  Tensor<T> do_backward(Tensor<T> dy, Record& record) override;
  Tensor<T> do_infer(Tensor<T> x) const override;

 private:
  Pooling pooling_;
};

extern template class MaxPool2D<float>;

}  // namespace strata
