// A sum and the rectifier behind it as one step.
#pragma once

#include <optional>

#include "strata/framework/graph/step.hpp"

namespace strata::fusion {

/// y = relu(a + b), the rectifier being optional; x <= 0 gives slope x.
template <class T>
Tensor<T> add_relu(Shared<T> a, Shared<T> b, std::optional<double> negative_slope);

/// For nodes Add of two or more values and perhaps ReLU or LeakyReLU; else null. In training branches share
/// one gradient.
template <class T>
std::unique_ptr<TrainingStep<T>> add_relu_training(Stretch<T> nodes);
template <class T>
std::unique_ptr<InferenceStep<T>> add_relu_inference(Stretch<T> nodes);

}  // namespace strata::fusion
