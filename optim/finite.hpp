// Where the first NaN or infinity is.
#pragma once

#include <functional>
#include <string>

#include "strata/framework/layer.hpp"

namespace strata::detail {

/// Throws NotFiniteError, which names it, if a parameter or buffer holds NaN or infinity. `where` begins the
/// message: "epoch 3: ".
template <class T>
void require_finite(const std::string& where, Layer<T>& net);

/// Throws NotFiniteError if the samples hold NaN or infinity, or if `run` comes to one: the message names the
/// layer.
template <class T>
void require_finite_run(const std::string& where, const Tensor<T>& samples, const std::function<void()>& run);

/// Whether all values are neither NaN nor infinite.
template <class T>
bool is_finite(const Tensor<T>& values);

}  // namespace strata::detail
