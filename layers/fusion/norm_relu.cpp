#include "strata/layers/fusion/norm_relu.hpp"

#include "strata/layers/fusion/exactly.hpp"
#include "strata/layers/fusion/norm_tail.hpp"
#include "strata/layers/normalization/layer_norm.hpp"
#include "strata/layers/relu.hpp"

namespace strata::fusion {
namespace {

template <class T>
class NormTraining final : public TrainingStep<T> {
 public:
  explicit NormTraining(const NormTail<T>& tail) : tail_(tail) {}

  std::size_t size() const override { return tail_.pool ? 3 : 2; }
  Tensor<T> forward(std::vector<Shared<T>> x, Record& record) const override {
    return tail_.forward(std::move(x[0]).take(), record.keep(typename NormTail<T>::Kept()));
  }
  std::vector<Shared<T>> backward(std::vector<Shared<T>> dy, Record& record,
                                  bool /*wants_dx*/) const override {
    return {tail_.backward(total(std::move(dy)).take(), record.take<typename NormTail<T>::Kept>())};
  }

 private:
  NormTail<T> tail_;
};

template <class T>
class NormInference final : public InferenceStep<T> {
 public:
  explicit NormInference(const NormalizationLayer<T>& norm) : norm_(norm) {}

  std::size_t size() const override { return 2; }
  Tensor<T> infer(std::vector<Shared<T>> x) const override {
    Tensor<T> y = std::move(x[0]).take();
    norm_.normalize_in_place(y, /*rectify=*/true);
    return y;
  }

 private:
  const NormalizationLayer<T>& norm_;
};

}  // namespace

template <class T>
std::unique_ptr<TrainingStep<T>> norm_relu_training(Stretch<T> nodes) {
  auto* norm = norm_at(nodes, 0);
  if (!norm || !exactly<ReLU<T>>(nodes, 1)) return nullptr;
  // Pooling takes planes, which are no part of what LayerNorm works on.
  auto* pool = exactly<LayerNorm<T>>(nodes, 0) ? nullptr : exactly<MaxPool2D<T>>(nodes, 2);
  return std::make_unique<NormTraining<T>>(NormTail<T>{norm, /*rectify=*/true, pool});
}

template <class T>
std::unique_ptr<InferenceStep<T>> norm_relu_inference(Stretch<T> nodes) {
  const auto* norm = norm_at(nodes, 0);
  if (!norm || !exactly<ReLU<T>>(nodes, 1)) return nullptr;
  return std::make_unique<NormInference<T>>(*norm);
}

template std::unique_ptr<TrainingStep<float>> norm_relu_training(Stretch<float>);
template std::unique_ptr<TrainingStep<double>> norm_relu_training(Stretch<double>);
template std::unique_ptr<InferenceStep<float>> norm_relu_inference(Stretch<float>);
template std::unique_ptr<InferenceStep<double>> norm_relu_inference(Stretch<double>);

}  // namespace strata::fusion
