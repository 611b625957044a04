// Upsample2D: larger images by repeating pixels.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/layer.hpp"
#include "strata/framework/size_2d.hpp"

namespace STRATA_EXPORT strata {

/// Nearest neighbor: (N, C, H, W) -> (N, C, H * scale.h, W * scale.w), y[i, j] = x[i / scale.h, j / scale.w].
/// Backward: dx = the sum of dy over the scale.h x scale.w copies.
template <class T>
class Upsample2D final : public Layer<T> {
 public:
  /// Throws ArgumentError unless both factors are at least 1.
  explicit Upsample2D(Size2D scale);

  Shape output_shape(const Shape& input) const override;
  bool is_per_sample() const override { return true; }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Upsample2D>(*this); }
  std::string type() const override { return "Upsample2D"; }
  std::string options() const override { return "scale " + to_string(scale_); }

 protected:
  Tensor<T> do_forward(Tensor<T> x, Record&) override { return do_infer(std::move(x)); }
  Tensor<T> do_backward(Tensor<T> dy, Record& record) override;
  Tensor<T> do_infer(Tensor<T> x) const override;

 private:
  Size2D scale_;
};

extern template class Upsample2D<float>;

}  // namespace strata
