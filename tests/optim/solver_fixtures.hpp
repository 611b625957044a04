// Data and layers to train in the tests of the Solver.
#pragma once

#include <cmath>
#include <functional>
#include <limits>

#include "strata/framework/data/in_memory.hpp"
#include "strata/framework/graph/sequential.hpp"
#include "strata/framework/random.hpp"
#include "strata/layers/convolution/conv_2d.hpp"
#include "strata/layers/dropout.hpp"
#include "strata/layers/flatten.hpp"
#include "strata/layers/linear.hpp"
#include "strata/layers/pooling/max_pool_2d.hpp"
#include "strata/layers/relu.hpp"
#include "strata/optim/solver.hpp"

namespace strata::testing_solver {

constexpr Index kClasses = 3;

/// Points of 8 features around one center a class.
inline std::shared_ptr<const Dataset> points(Index count, std::uint64_t seed, double spread = 0.5) {
  Random random(seed);
  const Tensor<float> centers = Random(1).normal<float>({kClasses, 8});
  auto samples = random.normal<float>({static_cast<std::size_t>(count), 8}, 0, spread);
  Labels labels;
  for (Index i = 0; i < count; ++i) {
    labels.push_back(static_cast<std::int32_t>(random.below(kClasses)));
    for (Index j = 0; j < 8; ++j) samples(i, j) += centers(labels.back(), j);
  }
  return std::make_shared<TensorDataset>(std::move(samples), std::move(labels), kClasses);
}

/// Images (2, 8, 8) of noise with labels that mean nothing.
inline std::shared_ptr<const Dataset> noise_images(Index count, std::uint64_t seed) {
  Random random(seed);
  auto samples = random.normal<float>({static_cast<std::size_t>(count), 2, 8, 8});
  Labels labels;
  for (Index i = 0; i < count; ++i) labels.push_back(static_cast<std::int32_t>(random.below(kClasses)));
  return std::make_shared<TensorDataset>(std::move(samples), std::move(labels), kClasses);
}

/// Passes its input through, and has a running average and a counter as a norm has.
template <class T>
class Running final : public Layer<T> {
 public:
  /// `watch` sees each training batch, with its number from 0, before it is passed on.
  explicit Running(std::function<void(Tensor<T>&, std::int64_t)> watch = nullptr)
      : watch_(std::move(watch)) {}
  /// The same for dL/d(output).
  std::function<void(Tensor<T>&, std::int64_t)> watch_backward;

  const Tensor<T>& mean() const { return mean_; }
  std::int64_t batches() const { return batches_; }
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Running>(*this); }
  std::string type() const override { return "Running"; }

 protected:
  Tensor<T> do_forward(Tensor<T> x, Record&) override {
    if (watch_) watch_(x, batches_);
    ++batches_;
    T sum = 0;
    for (const T value : x) sum += value;
    mean_(0) = T(0.9) * mean_(0) + T(0.1) * sum;
    return x;
  }
  Tensor<T> do_backward(Tensor<T> dy, Record&) override {
    if (watch_backward) watch_backward(dy, batches_ - 1);
    return dy;
  }
  Tensor<T> do_infer(Tensor<T> x) const override { return x; }
  std::vector<Buffer<T>> own_buffers() override {
    return {{"running_mean", &mean_}, {"num_batches_tracked", &batches_}};
  }

 private:
  std::function<void(Tensor<T>&, std::int64_t)> watch_;
  Tensor<T> mean_ = full<T>({1}, T{0});
  std::int64_t batches_ = 0;
};

template <class T>
Sequential<T> dense_net(Running<T> running = Running<T>{}) {
  Sequential<T> net{Linear<T>{8, 16}, std::move(running), ReLU<T>{}, Linear<T>{16, kClasses}};
  net.initialize(4);
  return net;
}

template <class T>
Sequential<T> image_net() {
  Sequential<T> net{
      Conv2D<T>{2, 8, 3, {.padding = 1}}, ReLU<T>{}, MaxPool2D<T>{2},  Running<T>{},           Flatten<T>{},
      Linear<T>{8 * 4 * 4, 32},           ReLU<T>{}, Dropout<T>{0.25}, Linear<T>{32, kClasses}};
  net.initialize(4);
  return net;
}

/// All parameters and buffers, as numbers.
template <class T>
std::vector<double> contents(Layer<T>& net) {
  std::vector<double> all;
  const auto add = [&](const Tensor<T>& tensor) { all.insert(all.end(), tensor.begin(), tensor.end()); };
  for (const Parameter<T>* parameter : net.parameters()) add(parameter->value);
  for (const Buffer<T>& buffer : net.named_buffers()) {
    if (const auto* tensor = std::get_if<Tensor<T>*>(&buffer.value))
      add(**tensor);
    else
      all.push_back(static_cast<double>(*std::get<std::int64_t*>(buffer.value)));
  }
  return all;
}

}  // namespace strata::testing_solver
