// Flatten: from images to features.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/layer.hpp"

namespace STRATA_EXPORT strata {

/// (N, ...) -> (N, product of the rest); (N, C, H, W) -> (N, C*H*W). Nothing is copied.
template <class T>
class Flatten final : public Layer<T> {
 public:
  Shape output_shape(const Shape& input) const override;
  bool is_per_sample() const override { return true; }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Flatten>(*this); }
  std::string type() const override { return "Flatten"; }

 protected:
  Tensor<T> do_forward(Tensor<T> x, Record&) override { return do_infer(std::move(x)); }
  Tensor<T> do_backward(Tensor<T> dy, Record& record) override;
  Tensor<T> do_infer(Tensor<T> x) const override;
};

extern template class Flatten<float>;

}  // namespace strata
