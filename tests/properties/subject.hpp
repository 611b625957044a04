// A random layer with the plain loops that say what it should do: what a property test looks at.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "tests/layers/random_cases.hpp"

namespace strata::testing {

/// An expected tensor. An error counts relative to `scale`, or to the largest value if that is larger: the
/// size of the terms of a sum that may cancel.
struct Expected {
  Tensor<double> value;
  double scale = 0;
};

/// What a forward and a backward pass should give.
struct Outcome {
  Expected y, dx;
  std::vector<Expected> gradients;      ///< of the parameters
  std::vector<Tensor<double>> buffers;  ///< after the forward pass, in the order of named_buffers()
  double condition = 1;                 ///< by how much rounding errors of x grow in y
};

/// Computes in double, and remembers between the calls what the layer should.
using Formula = std::function<Outcome(bool training, const Tensor<double>& x, const Tensor<double>& dy)>;

template <class T>
struct Subject {
  std::unique_ptr<Layer<T>> layer;
  Shape input;
  Formula formula;
};

/// A class of layers, from which `draw` takes a member at random.
struct LayerClass {
  const char* name;
  std::function<Subject<float>(Random&)> draw_float;
  std::function<Subject<double>(Random&)> draw_double;

  template <class T>
  Subject<T> draw(Random& random) const {
    if constexpr (std::is_same_v<T, float>)
      return draw_float(random);
    else
      return draw_double(random);
  }
};

inline void PrintTo(const LayerClass& layers, std::ostream* stream) {
  *stream << layers.name;
}

std::vector<LayerClass> linear_classes();
std::vector<LayerClass> normalization_classes();
std::vector<LayerClass> elementwise_classes();
std::vector<LayerClass> pooling_classes();

/// Fills all parameters with values that no initializer gives.
template <class T>
void randomize_parameters(Layer<T>& layer, Random& random) {
  for (Parameter<T>* parameter : layer.parameters())
    parameter->value = random.normal<T>(parameter->value.shape(), 0.2, 1);
}

inline Shape random_shape(Random& random, Index least_axes, Index most_axes, Index largest) {
  Shape shape;
  const Index axes = pick(random, least_axes, most_axes);
  for (Index axis = 0; axis < axes; ++axis)
    shape.push_back(static_cast<std::size_t>(pick(random, 1, largest)));
  return shape;
}

inline bool coin(Random& random) {
  return random.below(2) == 0;
}

inline Tensor<double> magnitude(Tensor<double> x) {
  for (double& value : x) value = std::abs(value);
  return x;
}

inline double largest(const Tensor<double>& x) {
  double most = 0;
  for (const double value : x) most = std::max(most, std::abs(value));
  return most;
}

}  // namespace strata::testing
