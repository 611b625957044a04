// AvgPool2D: the mean under a sliding window.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/layer.hpp"
#include "strata/layers/pooling/pooling.hpp"

namespace STRATA_EXPORT strata {

struct AvgPool2DOptions {
  std::optional<Size2D> stride = std::nullopt;  ///< the window's size if not given
  Size2D padding = 0;                           ///< with zeros; at most half the window
  bool count_include_pad = true;  ///< divide by the size of the window, or by its part inside the image
};

/// (N, C, H, W) -> (N, C, H', W'), H' = floor((H + 2 padding - window) / stride) + 1, W' alike.
/// y = sum of x under the window / divisor. Backward: each dy / divisor is added to every dx under its
/// window.
template <class T>
class AvgPool2D final : public Layer<T> {
 public:
  /// Throws ArgumentError unless window and stride >= 1 and 0 <= padding <= window / 2.
  explicit AvgPool2D(Size2D window, AvgPool2DOptions options = {});

  Shape output_shape(const Shape& input) const override;
  bool is_per_sample() const override { return true; }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<AvgPool2D>(*this); }
  std::string type() const override { return "AvgPool2D"; }
  std::string options() const override;

 protected:
  Tensor<T> do_forward(Tensor<T> x, Record&) override { return do_infer(std::move(x)); }
  Tensor<T> do_backward(Tensor<T> dy, Record& record) override;
  Tensor<T> do_infer(Tensor<T> x) const override;

 private:
  Pooling pooling_;
  bool count_include_pad_;
};

extern template class AvgPool2D<float>;

}  // namespace strata
