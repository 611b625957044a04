// GlobalAvgPool2D: the mean of each channel of each image.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/layer.hpp"

namespace STRATA_EXPORT strata {

/// (N, C, H, W) -> (N, C, 1, 1): y = mean of x over H and W. Backward: dx = dy / (H W). Lin et al., 2014.
template <class T>
class GlobalAvgPool2D final : public Layer<T> {
 public:
  Shape output_shape(const Shape& input) const override;
  bool is_per_sample() const override { return true; }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<GlobalAvgPool2D>(*this); }
  std::string type() const override { return "GlobalAvgPool2D"; }

 protected:
  Tensor<T> do_forward(Tensor<T> x, Record&) override { return do_infer(std::move(x)); }
  Tensor<T> do_backward(Tensor<T> dy, Record& record) override;
  Tensor<T> do_infer(Tensor<T> x) const override;
};

extern template class GlobalAvgPool2D<float>;

}  // namespace strata
