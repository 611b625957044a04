// Add: the sum of branches.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/graph/join.hpp"

namespace STRATA_EXPORT strata {

/// y = x_1 + … + x_k, all of one shape, as at the end of a residual block. Backward: dx_i = dy.
template <class T>
class Add final : public Join<T> {
 public:
  Shape output_shape(const std::vector<Shape>& inputs) const override;
  bool is_per_sample() const override { return true; }
  std::unique_ptr<Join<T>> clone() const override { return std::make_unique<Add>(*this); }
  std::string type() const override { return "Add"; }

 protected:
  Tensor<T> do_forward(std::vector<Tensor<T>> x) const override;
  std::vector<Tensor<T>> do_backward(Tensor<T> dy, const std::vector<Shape>& inputs) const override;
};

extern template class Add<float>;

}  // namespace strata
