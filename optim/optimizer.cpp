#include "strata/optim/optimizer.hpp"

#include <cmath>

#include "strata/framework/error.hpp"
#include "strata/optim/option_check.hpp"
#include "strata/optim/update_loop.hpp"

namespace strata {

template <class T>
Optimizer<T>::Optimizer(std::vector<std::string> state_names) : state_names_(std::move(state_names)) {}

template <class T>
Optimizer<T>::Optimizer(const Optimizer&) = default;
template <class T>
Optimizer<T>::Optimizer(Optimizer&&) noexcept = default;
template <class T>
Optimizer<T>& Optimizer<T>::operator=(const Optimizer&) = default;
template <class T>
Optimizer<T>& Optimizer<T>::operator=(Optimizer&&) noexcept = default;
template <class T>
Optimizer<T>::~Optimizer() = default;

template <class T>
void Optimizer<T>::set_learning_rate(double learning_rate) {
  detail::check_option(std::isfinite(learning_rate) && learning_rate >= 0, type().c_str(), "learning_rate",
                       "finite and at least 0", learning_rate);
  learning_rate_ = learning_rate;
}

template <class T>
void Optimizer<T>::prepare(const std::vector<Parameter<T>*>& parameters) {
  if (identity_.is_moved_from()) detail::throw_moved_from(type());
  detail::check_parameters(type(), parameters);
  const bool first = states_.empty();
  if (!first && parameters.size() != states_.size())
    throw StateError(type() + ": expected the " + std::to_string(states_.size()) +
                     " parameters of the first step, got " + std::to_string(parameters.size()));
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    const auto check = [&](const std::string& what, bool fits, const std::string& found) {
      if (!fits)
        throw ShapeError(type() + ": parameter " + std::to_string(i) + " ('" + parameters[i]->name +
                         "'): expected " + what + " of the shape of the first step, " +
                         to_string(shapes_[i]) + ", got " + found);
    };
    check("one", parameters[i]->shape() == shapes_[i], to_string(parameters[i]->shape()));
    for (std::size_t k = 0; k < state_names_.size(); ++k) {
      const Tensor<T>& state = states_[i].tensors[k];
      check(state_names_[k], detail::has_shape(state, shapes_[i]), detail::shape_found(state));
    }
  }
  if (!first) return;

  std::vector<State> states;
  std::vector<Shape> shapes;
  for (const Parameter<T>* parameter : parameters) {
    shapes.push_back(parameter->shape());
    states.push_back({0, std::vector<Tensor<T>>(state_names_.size(), full<T>(shapes.back(), T{0}))});
  }
  states_ = std::move(states);
  shapes_ = std::move(shapes);
}

template <class T>
void Optimizer<T>::reset() {
  if (identity_.is_moved_from()) detail::throw_moved_from(type());
  states_.clear();
  shapes_.clear();
}

template <class T>
void Optimizer<T>::step(const std::vector<Parameter<T>*>& parameters) {
  prepare(parameters);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!parameters[i]->trainable) continue;
    ++states_[i].step;
    update(*parameters[i], states_[i]);
  }
}

template <class T>
std::vector<Buffer<T>> Optimizer<T>::state() {
  if (identity_.is_moved_from()) detail::throw_moved_from(type());
  std::vector<Buffer<T>> all;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const std::string place = std::to_string(i) + ".";
    for (std::size_t j = 0; j < state_names_.size(); ++j)
      all.push_back({place + state_names_[j], &states_[i].tensors[j]});
    all.push_back({place + "step", &states_[i].step});
  }
  return all;
}

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace strata
