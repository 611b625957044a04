#include "strata/optim/adagrad.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/optim/update_loop.hpp"

namespace strata {

template <class T>
Adagrad<T>::Adagrad(AdagradOptions options) : Optimizer<T>({"sum"}), options_(options) {
  this->set_learning_rate(options.learning_rate);
  detail::check_option(std::isfinite(options.learning_rate_decay) && options.learning_rate_decay >= 0,
                       "Adagrad", "learning_rate_decay", "finite and at least 0",
                       options.learning_rate_decay);
  detail::check_option(
      std::isfinite(options.initial_accumulator_value) && options.initial_accumulator_value >= 0, "Adagrad",
      "initial_accumulator_value", "finite and at least 0", options.initial_accumulator_value);
  detail::check_weight_decay("Adagrad", options.weight_decay);
  detail::check_eps("Adagrad", options.eps);
}

template <class T>
Settings Adagrad<T>::settings() const {
  return {{"learning_rate_decay", options_.learning_rate_decay},
          {"weight_decay", options_.weight_decay},
          {"initial_accumulator_value", options_.initial_accumulator_value},
          {"eps", options_.eps},
          {"decay_all", options_.decay_all}};
}

template <class T>
void Adagrad<T>::update(Parameter<T>& parameter, typename Optimizer<T>::State& state) {
  const auto& kernel = kernels::table<kernels::Updates<T>>();
  Tensor<T>& sum = state.tensors[0];
  if (state.step == 1) sum.fill(static_cast<T>(options_.initial_accumulator_value));
  const auto updates_before = static_cast<double>(state.step - 1);
  const T rate = static_cast<T>(this->learning_rate() / (1 + updates_before * options_.learning_rate_decay));
  const T decay = detail::decay_of<T>(parameter, options_);
  detail::for_each_range(parameter, [&](Index begin, Index count) {
    kernel.adagrad(parameter.value.data() + begin, parameter.gradient.data() + begin, sum.data() + begin,
                   count, rate, static_cast<T>(options_.eps), decay);
  });
}

template class Adagrad<float>;
template class Adagrad<double>;

}  // namespace strata
