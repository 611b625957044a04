#include "strata/optim/sgd.hpp"

#include "strata/framework/error.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/optim/option_check.hpp"
#include "strata/optim/update_loop.hpp"

namespace strata {

template <class T>
SGD<T>::SGD(SGDOptions options)
    : Optimizer<T>(options.momentum != 0 ? std::vector<std::string>{"momentum_buffer"}
                                         : std::vector<std::string>{}),
      options_(options) {
  this->set_learning_rate(options.learning_rate);
  detail::check_option(options.momentum >= 0 && options.momentum < 1, "SGD", "momentum", "in [0, 1)",
                       options.momentum);
  detail::check_option(options.dampening >= 0 && options.dampening <= 1, "SGD", "dampening", "in [0, 1]",
                       options.dampening);
  detail::check_weight_decay("SGD", options.weight_decay);
  if (options.nesterov && (options.momentum == 0 || options.dampening != 0))
    throw ArgumentError("SGD: nesterov needs a momentum above 0 and no dampening");
}

template <class T>
Settings SGD<T>::settings() const {
  return {{"momentum", options_.momentum},
          {"dampening", options_.dampening},
          {"weight_decay", options_.weight_decay},
          {"nesterov", options_.nesterov},
          {"decay_all", options_.decay_all}};
}

template <class T>
void SGD<T>::update(Parameter<T>& parameter, typename Optimizer<T>::State& state) {
  const auto& kernel = kernels::table<kernels::Updates<T>>();
  T* w = parameter.value.data();
  const T* g = parameter.gradient.data();
  const T rate = static_cast<T>(this->learning_rate());
  const T decay = detail::decay_of<T>(parameter, options_);
  if (options_.momentum == 0)
    return detail::for_each_range(
        parameter, [&](Index begin, Index count) { kernel.sgd(w + begin, g + begin, count, rate, decay); });

  const typename kernels::Updates<T>::Momentum with{
      .learning_rate = rate,
      .momentum = static_cast<T>(options_.momentum),
      .fresh = static_cast<T>(state.step == 1 ? 1 : 1 - options_.dampening),
      .weight_decay = decay,
      .nesterov = options_.nesterov};
  T* buffer = state.tensors[0].data();
  detail::for_each_range(parameter, [&](Index begin, Index count) {
    kernel.momentum(w + begin, g + begin, buffer + begin, count, with);
  });
}

template class SGD<float>;
template class SGD<double>;

}  // namespace strata
