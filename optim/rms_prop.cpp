#include "strata/optim/rms_prop.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/optim/update_loop.hpp"

namespace strata {
namespace {

std::vector<std::string> state_names(const RMSPropOptions& options) {
  std::vector<std::string> names{"square_avg"};
  if (options.centered) names.push_back("grad_avg");
  if (options.momentum != 0) names.push_back("momentum_buffer");
  return names;
}

}  // namespace

template <class T>
RMSProp<T>::RMSProp(RMSPropOptions options) : Optimizer<T>(state_names(options)), options_(options) {
  this->set_learning_rate(options.learning_rate);
  detail::check_option(options.alpha >= 0 && options.alpha < 1, "RMSProp", "alpha", "in [0, 1)",
                       options.alpha);
  detail::check_option(options.momentum >= 0 && options.momentum < 1, "RMSProp", "momentum", "in [0, 1)",
                       options.momentum);
  detail::check_weight_decay("RMSProp", options.weight_decay);
  detail::check_eps("RMSProp", options.eps);
}

template <class T>
Settings RMSProp<T>::settings() const {
  return {{"alpha", options_.alpha},
          {"eps", options_.eps},
          {"weight_decay", options_.weight_decay},
          {"momentum", options_.momentum},
          {"centered", options_.centered},
          {"decay_all", options_.decay_all}};
}

template <class T>
void RMSProp<T>::update(Parameter<T>& parameter, typename Optimizer<T>::State& state) {
  const auto& kernel = kernels::table<kernels::Updates<T>>();
  const typename kernels::Updates<T>::RMSProp with{.learning_rate = static_cast<T>(this->learning_rate()),
                                                   .alpha = static_cast<T>(options_.alpha),
                                                   .fresh = static_cast<T>(1 - options_.alpha),
                                                   .eps = static_cast<T>(options_.eps),
                                                   .momentum = static_cast<T>(options_.momentum),
                                                   .weight_decay = detail::decay_of<T>(parameter, options_)};
  T* square = state.tensors.front().data();
  T* average = options_.centered ? state.tensors[1].data() : nullptr;
  T* buffer = options_.momentum != 0 ? state.tensors.back().data() : nullptr;
  detail::for_each_range(parameter, [&](Index begin, Index count) {
    kernel.rms_prop(parameter.value.data() + begin, parameter.gradient.data() + begin, square + begin,
                    average ? average + begin : nullptr, buffer ? buffer + begin : nullptr, count, with);
  });
}

template class RMSProp<float>;
template class RMSProp<double>;

}  // namespace strata
