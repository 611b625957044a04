// Dropout: random zeros in training.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/framework/layer.hpp"

namespace STRATA_EXPORT strata {

/// In training each element is zero with probability p, otherwise y = x / (1 - p); in evaluation y = x. Any
/// shape. Backward: dx = dy / (1 - p) where x was kept, else 0. Srivastava et al., 2014.
///
/// What is dropped depends on the buffers `seed` and `step` and on the path alone, so that copies of a layer
/// at several places of a network drop different elements; each forward in training advances `step`.
template <class T>
class Dropout : public Layer<T> {
 public:
  /// Throws ArgumentError unless 0 <= p < 1.
  explicit Dropout(double p = 0.5) : Dropout(p, "Dropout") {}

  bool is_per_sample() const override { return true; }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Dropout>(*this); }
  std::string type() const override { return "Dropout"; }
  std::string options() const override;

 protected:
  Dropout(double p, const char* type);

  Tensor<T> do_forward(Tensor<T> x, Record& record) override;
  Tensor<T> do_backward(Tensor<T> dy, Record& record) override;
  Tensor<T> do_infer(Tensor<T> x) const override { return x; }
  std::vector<Buffer<T>> own_buffers() override;
  void reset_parameters(Random& random) override;

  /// How many neighboring elements are kept or dropped together.
  virtual Index unit(const Shape& /*input*/) const { return 1; }

 private:
  /// Scales what the mask keeps, one bit a unit, and clears the rest.
  void apply(Tensor<T>& values, const Tensor<std::uint8_t>& mask) const;

  double p_;
  std::int64_t seed_;
  std::int64_t step_ = 0;
};

extern template class Dropout<float>;

}  // namespace strata
