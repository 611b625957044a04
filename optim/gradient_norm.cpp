#include "strata/optim/gradient_norm.hpp"

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/optim/update_loop.hpp"

namespace strata {

template <class T>
double gradient_norm(const std::vector<Parameter<T>*>& parameters) {
  detail::check_parameters("gradient_norm", parameters);
  constexpr Index kGrain = Index{1} << 16;
  const auto& kernel = kernels::table<kernels::Updates<T>>();
  double sum = 0;
  std::vector<double> partial;
  for (const Parameter<T>* parameter : parameters) {
    if (!parameter->trainable) continue;
    const auto count = static_cast<Index>(parameter->gradient.size());
    partial.assign(static_cast<std::size_t>((count + kGrain - 1) / kGrain), 0);
    parallel_ranges(count, kGrain, [&](Index begin, Index end) {
      partial[static_cast<std::size_t>(begin / kGrain)] =
          kernel.sum_of_squares(parameter->gradient.data() + begin, end - begin);
    });
    for (const double part : partial) sum += part;
  }
  return std::sqrt(sum);
}

template <class T>
double clip_gradient_norm(const std::vector<Parameter<T>*>& parameters, double max_norm) {
  detail::check_option(max_norm > 0, "clip_gradient_norm", "max_norm", "above 0", max_norm);
  const double norm = gradient_norm(parameters);
  const double factor = max_norm / (norm + 1e-6);
  if (!std::isfinite(norm) || factor >= 1) return norm;

  const auto& kernel = kernels::table<kernels::Updates<T>>();
  for (Parameter<T>* parameter : parameters)
    if (parameter->trainable)
      detail::for_each_range(*parameter, [&](Index begin, Index count) {
        kernel.scale(parameter->gradient.data() + begin, count, static_cast<T>(factor));
      });
  return norm;
}

template double gradient_norm(const std::vector<Parameter<float>*>&);
template double gradient_norm(const std::vector<Parameter<double>*>&);
template double clip_gradient_norm(const std::vector<Parameter<float>*>&, double);
template double clip_gradient_norm(const std::vector<Parameter<double>*>&, double);

}  // namespace strata
