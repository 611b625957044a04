// The derivatives that a gradient check compares, along elements or random directions.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "strata/framework/graph/gradient_check.hpp"
#include "strata/framework/parameter.hpp"
#include "strata/framework/random.hpp"

namespace strata::detail {

using Tensors = std::vector<Tensor<double>>;

/// What is checked: a function of several tensors, with parameters.
class GradientSubject {
 public:
  virtual ~GradientSubject() = default;
  virtual std::unique_ptr<GradientSubject> clone() const = 0;
  virtual Tensors forward(const Tensors& x) = 0;
  virtual Tensors backward(const Tensors& dy) = 0;
  virtual void backward_parameters(const Tensors& dy) { backward(dy); }
  virtual std::vector<std::pair<std::string, Parameter<double>*>> named_parameters() { return {}; }
  virtual void train(bool /*on*/) {}
  virtual bool has_modes() const { return true; }
};

/// The rows of one mode. Throws ShapeError for a gradient that is not of its value's shape.
std::vector<GradientCheckRow> probe_gradients(const GradientSubject& subject, const Tensors& inputs,
                                              const std::string& mode, bool training,
                                              const GradientCheckOptions& options);

}  // namespace strata::detail
