// A sum with what stands before and behind it.
#pragma once

#include "strata/framework/join.hpp"
#include "strata/layers/leaky_relu.hpp"
#include "strata/layers/normalization_layer.hpp"

namespace strata {

/// y = relu(norm(x_1) + x_2), norm and ReLU being optional; without norm of any number of branches. Branches
/// share one gradient.
template <class T>
class AddTraining final : public JoinTraining<T> {
 public:
  /// As of Join::fuse_training.
  AddTraining(std::span<Layer<T>* const> last, std::span<Layer<T>* const> next);

  Index size() const override { return relu_ != nullptr; }
  std::optional<std::size_t> branch() const override { return branch_; }
  Tensor<T> forward(std::vector<Shared<T>> x) override;
  std::vector<Shared<T>> backward(std::vector<Shared<T>> dy) override;

 private:
  Tensor<T> add_normalized(Shared<T> x, Shared<T> shortcut);
  void add(const T* a, const T* b, T* y, Index begin, Index end);

  std::size_t branches_;
  std::optional<std::size_t> branch_;
  NormalizationLayer<T>* norm_ = nullptr;
  LeakyReLU<T>* relu_ = nullptr;
};

/// y = relu(x_1 + … + x_k).
template <class T>
class AddInference final : public JoinInference<T> {
 public:
  explicit AddInference(std::span<Layer<T>* const> next);

  Index size() const override { return relu_ != nullptr; }
  Tensor<T> infer(std::vector<Shared<T>> x) const override;

 private:
  const LeakyReLU<T>* relu_ = nullptr;
};

extern template class AddTraining<float>;
extern template class AddInference<float>;

}  // namespace strata
