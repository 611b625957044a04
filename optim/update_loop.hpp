// What the sources of the update rules share.
#pragma once

#include <cmath>

#include "strata/framework/error.hpp"
#include "strata/framework/parameter.hpp"
#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/optim/option_check.hpp"
#include "strata/optim/update_kernels.hpp"

namespace strata::detail {

/// Throws ArgumentError for a null parameter, ShapeError for one that has lost its shape.
template <class T>
void check_parameters(const std::string& owner, const std::vector<Parameter<T>*>& parameters) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto place = [&] { return owner + ": parameter " + std::to_string(i); };
    if (!parameters[i]) throw ArgumentError(place() + " is null");
    if (const std::string misfit = parameters[i]->misfit(); !misfit.empty())
      throw ShapeError(place() + " ('" + parameters[i]->name + "'): expected " + misfit);
  }
}

/// Calls body(begin, count) for every range of a parameter, in parallel.
template <class T, class Body>
void for_each_range(const Parameter<T>& parameter, const Body& body) {
  constexpr Index kGrain = Index{1} << 13;
  parallel_ranges(static_cast<Index>(parameter.value.size()), kGrain,
                  [&](Index begin, Index end) { body(begin, end - begin); });
}

/// The weight decay that the options ask for on this parameter.
template <class T, class Options>
T decay_of(const Parameter<T>& parameter, const Options& options) {
  return parameter.decay || options.decay_all ? static_cast<T>(options.weight_decay) : T{0};
}

inline void check_weight_decay(const char* owner, double weight_decay) {
  check_option(std::isfinite(weight_decay) && weight_decay >= 0, owner, "weight_decay",
               "finite and at least 0", weight_decay);
}

inline void check_eps(const char* owner, double eps) {
  check_option(std::isfinite(eps) && eps > 0, owner, "eps", "finite and above 0", eps);
}

}  // namespace strata::detail
