// A sum with what stands behind it.
#pragma once

#include <optional>

#include "strata/framework/graph/join.hpp"
#include "strata/layers/leaky_relu.hpp"

namespace strata {

/// y = relu(x_1 + … + x_k), ReLU being optional. Branches share one gradient.
template <class T>
class AddTraining final : public JoinTraining<T> {
 public:
  /// As of Join::fuse_training.
  AddTraining(std::size_t inputs, std::span<Layer<T>* const> next);

  Index size() const override { return relu_ != nullptr; }
  bool takes_pixels() const override { return true; }
  Tensor<T> forward(std::vector<Shared<T>> x) override;
  std::vector<Shared<T>> backward(std::vector<Shared<T>> dy) override;

 private:
  std::size_t inputs_;
  LeakyReLU<T>* relu_ = nullptr;
};

/// y = relu(x_1 + … + x_k).
template <class T>
class AddInference final : public JoinInference<T> {
 public:
  explicit AddInference(std::span<Layer<T>* const> next);

  Index size() const override { return relu_ != nullptr; }
  bool takes_pixels() const override { return true; }
  Tensor<T> infer(std::vector<Shared<T>> x) const override;

  /// Of the rectifier behind the sum, if there is one.
  std::optional<double> negative_slope() const;

 private:
  const LeakyReLU<T>* relu_ = nullptr;
};

extern template class AddTraining<float>;
extern template class AddInference<float>;

}  // namespace strata
