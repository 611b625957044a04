// A normalizing layer, ReLU and perhaps max pooling as one step.
#pragma once

#include "strata/framework/graph/step.hpp"

namespace strata::fusion {

/// For nodes norm, ReLU and perhaps MaxPool2D; else null.
template <class T>
std::unique_ptr<TrainingStep<T>> norm_relu_training(Stretch<T> nodes);
/// For nodes norm, ReLU; else null.
template <class T>
std::unique_ptr<InferenceStep<T>> norm_relu_inference(Stretch<T> nodes);

}  // namespace strata::fusion
