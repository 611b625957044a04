// Dropout2D: random zero channels in training.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/layers/dropout.hpp"

namespace STRATA_EXPORT strata {

/// Dropout that drops or keeps each channel of each image as a whole, because neighboring pixels say much the
/// same. x (N, C, H, W). Tompson et al., 2015.
template <class T>
class Dropout2D final : public Dropout<T> {
 public:
  /// Throws ArgumentError unless 0 <= p < 1.
  explicit Dropout2D(double p = 0.5) : Dropout<T>(p, "Dropout2D") {}

  Shape output_shape(const Shape& input) const override {
    if (input.size() != 4) this->fail_shape("(N, C, H, W)", input);
    return input;
  }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Dropout2D>(*this); }
  std::string type() const override { return "Dropout2D"; }

 protected:
  Index unit(const Shape& input) const override { return static_cast<Index>(input[2] * input[3]); }
};

extern template class Dropout2D<float>;

}  // namespace strata
