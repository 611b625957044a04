#include "strata/optim/finite.hpp"

#include <algorithm>
#include <cmath>

namespace strata {

template <class T>
bool detail::is_finite(const Tensor<T>& values) {
  return std::all_of(values.begin(), values.end(), [](T value) { return std::isfinite(value); });
}

template <class T>
void detail::require_finite(const std::string& where, Layer<T>& net) {
  for (const auto& [name, parameter] : net.named_parameters())
    if (!is_finite(parameter->value))
      throw NotFiniteError(where + "parameter '" + name +
                           "' is NaN or infinite; a lower learning rate may help");
  for (const Buffer<T>& buffer : net.named_buffers())
    if (const auto* tensor = std::get_if<Tensor<T>*>(&buffer.value); tensor && !is_finite(**tensor))
      throw NotFiniteError(where + "buffer '" + buffer.name + "' is NaN or infinite");
}

template <class T>
void detail::require_finite_run(const std::string& where, const Tensor<T>& samples,
                                const std::function<void()>& run) {
  if (!is_finite(samples)) throw NotFiniteError(where + "a sample holds NaN or infinity");
  try {
    const FiniteChecks checks;
    run();
  } catch (const NotFiniteError& error) {
    throw NotFiniteError(where + error.what());
  }
}

#define STRATA_INSTANTIATE(T)                                                    \
  template bool detail::is_finite(const Tensor<T>&);                             \
  template void detail::require_finite(const std::string&, Layer<T>&);           \
  template void detail::require_finite_run(const std::string&, const Tensor<T>&, \
                                           const std::function<void()>&);
STRATA_INSTANTIATE(float)
STRATA_INSTANTIATE(double)
#undef STRATA_INSTANTIATE

}  // namespace strata
