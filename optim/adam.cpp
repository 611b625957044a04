#include "strata/optim/adam.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/optim/update_loop.hpp"

namespace strata {
namespace {

template <class Options>
void check(const char* owner, const Options& options) {
  detail::check_option(options.beta1 >= 0 && options.beta1 < 1, owner, "beta1", "in [0, 1)", options.beta1);
  detail::check_option(options.beta2 >= 0 && options.beta2 < 1, owner, "beta2", "in [0, 1)", options.beta2);
  detail::check_weight_decay(owner, options.weight_decay);
  detail::check_eps(owner, options.eps);
}

template <class Options>
Settings settings_of(const Options& options) {
  return {{"beta1", options.beta1},
          {"beta2", options.beta2},
          {"eps", options.eps},
          {"weight_decay", options.weight_decay},
          {"decay_all", options.decay_all}};
}

// `weight_decay` is added to the gradient; the value is multiplied by `keep` first.
template <class T, class Options>
void adam_update(Parameter<T>& parameter, std::vector<Tensor<T>>& averages, std::int64_t step,
                 double learning_rate, const Options& options, T weight_decay, T keep) {
  const auto& kernel = kernels::table<kernels::Updates<T>>();
  const auto t = static_cast<double>(step);
  const typename kernels::Updates<T>::Adam with{
      .step_size = static_cast<T>(learning_rate / (1 - std::pow(options.beta1, t))),
      .beta1 = static_cast<T>(options.beta1),
      .fresh1 = static_cast<T>(1 - options.beta1),
      .beta2 = static_cast<T>(options.beta2),
      .fresh2 = static_cast<T>(1 - options.beta2),
      .eps = static_cast<T>(options.eps),
      .weight_decay = weight_decay,
      .correction2 = static_cast<T>(std::sqrt(1 - std::pow(options.beta2, t))),
      .keep = keep};
  detail::for_each_range(parameter, [&](Index begin, Index count) {
    kernel.adam(parameter.value.data() + begin, parameter.gradient.data() + begin, averages[0].data() + begin,
                averages[1].data() + begin, count, with);
  });
}

}  // namespace

template <class T>
Adam<T>::Adam(AdamOptions options) : Optimizer<T>({"exp_avg", "exp_avg_sq"}), options_(options) {
  this->set_learning_rate(options.learning_rate);
  check("Adam", options);
}

template <class T>
Settings Adam<T>::settings() const {
  return settings_of(options_);
}

template <class T>
void Adam<T>::update(Parameter<T>& parameter, typename Optimizer<T>::State& state) {
  adam_update(parameter, state.tensors, state.step, this->learning_rate(), options_,
              detail::decay_of<T>(parameter, options_), T{1});
}

template <class T>
AdamW<T>::AdamW(AdamWOptions options) : Optimizer<T>({"exp_avg", "exp_avg_sq"}), options_(options) {
  this->set_learning_rate(options.learning_rate);
  check("AdamW", options);
}

template <class T>
Settings AdamW<T>::settings() const {
  return settings_of(options_);
}

template <class T>
void AdamW<T>::update(Parameter<T>& parameter, typename Optimizer<T>::State& state) {
  const bool decays = parameter.decay || options_.decay_all;
  const double keep = decays ? 1 - this->learning_rate() * options_.weight_decay : 1;
  adam_update(parameter, state.tensors, state.step, this->learning_rate(), options_, T{0},
              static_cast<T>(keep));
}

template class Adam<float>;
template class Adam<double>;
template class AdamW<float>;
template class AdamW<double>;

}  // namespace strata
