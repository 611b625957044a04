// The length of the gradient, and a limit to it.
#pragma once

#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/parameter.hpp"

namespace STRATA_EXPORT strata {

/// The Euclidean norm of the gradients of all trainable parameters, taken as one vector.
template <class T>
STRATA_EXPORT double gradient_norm(const std::vector<Parameter<T>*>& parameters);

/// Multiplies these gradients by min(1, max_norm / (norm + 1e-6)), as PyTorch's clip_grad_norm_, and returns
/// the norm that they had. If that is NaN or infinite, they are left as they are. Throws ArgumentError unless
/// max_norm > 0; infinity is allowed.
template <class T>
STRATA_EXPORT double clip_gradient_norm(const std::vector<Parameter<T>*>& parameters, double max_norm);

extern template double gradient_norm(const std::vector<Parameter<float>*>&);
extern template double gradient_norm(const std::vector<Parameter<double>*>&);
extern template double clip_gradient_norm(const std::vector<Parameter<float>*>&, double);
extern template double clip_gradient_norm(const std::vector<Parameter<double>*>&, double);

}  // namespace strata
