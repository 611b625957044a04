// Optimizer: moves parameters against their gradients.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/identity.hpp"
#include "strata/framework/parameter.hpp"
#include "strata/framework/settings.hpp"

namespace STRATA_EXPORT strata {

/// An update rule and what it remembers of each parameter. Optimizers are values: a copy has its own state.
///
/// Weight decay leaves parameters with `decay == false` (biases and the parameters of norms) alone unless
/// `.decay_all = true`; PyTorch decays all.
///
/// To write one, override type, settings, clone and update.
template <class T>
class Optimizer {
 public:
  virtual ~Optimizer();

  /// One update of every trainable parameter. State belongs to the place in the list: hand over the same
  /// list each time (`net.parameters()`), frozen parameters included. Throws ArgumentError for a null
  /// parameter, StateError if the list has another length than before, ShapeError if a parameter or its
  /// gradient has another shape than before; then nothing was updated.
  void step(const std::vector<Parameter<T>*>& parameters);

  /// Creates the state that the first step would create, for a checkpoint to be loaded into it. Throws as
  /// step does.
  void prepare(const std::vector<Parameter<T>*>& parameters);

  /// Forgets the state and the parameters that it belongs to: the next step is a first one.
  void reset();

  /// Views of the state, named by the place of the parameter and PyTorch's names: "0.exp_avg",
  /// "0.exp_avg_sq", "0.step" (updates so far), "1.exp_avg", …; empty before the first step.
  std::vector<Buffer<T>> state();

  double learning_rate() const { return learning_rate_; }
  /// Throws ArgumentError unless finite and at least 0.
  void set_learning_rate(double learning_rate);

  virtual std::unique_ptr<Optimizer> clone() const = 0;
  virtual std::string type() const = 0;
  /// All options but the learning rate.
  virtual Settings settings() const { return {}; }

 protected:
  /// One tensor of zeros, in the parameter's shape, is kept under each of the names.
  explicit Optimizer(std::vector<std::string> state_names = {});
  // Defined in the library, as Parameter's.
  Optimizer(const Optimizer&);
  Optimizer(Optimizer&&) noexcept;
  Optimizer& operator=(const Optimizer&);
  Optimizer& operator=(Optimizer&&) noexcept;

  struct State {
    std::int64_t step = 0;  ///< updates so far, the one under way included
    std::vector<Tensor<T>> tensors;
  };
  virtual void update(Parameter<T>& parameter, State& state) = 0;

 private:
  double learning_rate_ = 0;
  std::vector<std::string> state_names_;
  std::vector<State> states_;
  std::vector<Shape> shapes_;
  detail::Identity identity_;
};

extern template class Optimizer<float>;

}  // namespace strata
