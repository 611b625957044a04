// Concat: branches side by side.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/graph/join.hpp"

namespace STRATA_EXPORT strata {

/// Joins (N, C_1, …), …, (N, C_k, …) to (N, C_1 + … + C_k, …), in order. Backward cuts dy the same way.
template <class T>
class Concat final : public Join<T> {
 public:
  Shape output_shape(const std::vector<Shape>& inputs) const override;
  bool is_per_sample() const override { return true; }
  std::unique_ptr<Join<T>> clone() const override { return std::make_unique<Concat>(*this); }
  std::string type() const override { return "Concat"; }

 protected:
  Tensor<T> do_forward(std::vector<Tensor<T>> x) const override;
  std::vector<Tensor<T>> do_backward(Tensor<T> dy, const std::vector<Shape>& inputs) const override;
};

extern template class Concat<float>;

}  // namespace strata
