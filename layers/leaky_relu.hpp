// LeakyReLU: the rectifier that lets a little of the negative side through.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/layer.hpp"

namespace STRATA_EXPORT strata {

/// y = x where x > 0, else negative_slope * x; any shape. Backward: dx = dy where x > 0, else
/// negative_slope * dy (so the gradient at 0 is the slope). NaN counts as positive: y is NaN, dx is dy. Maas
/// et al., 2013.
template <class T>
class LeakyReLU : public Layer<T> {
 public:
  /// Throws ArgumentError unless the slope is finite.
  explicit LeakyReLU(double negative_slope = 0.01);

  double negative_slope() const { return negative_slope_; }
  bool is_per_sample() const override { return true; }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<LeakyReLU>(*this); }
  std::string type() const override { return "LeakyReLU"; }
  std::string options() const override;

 protected:
  Tensor<T> do_forward(Tensor<T> x, Record& record) override;
  Tensor<T> do_backward(Tensor<T> dy, Record& record) override;
  Tensor<T> do_infer(Tensor<T> x) const override;

 private:
  double negative_slope_;
};

extern template class LeakyReLU<float>;

}  // namespace strata
