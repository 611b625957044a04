#include "strata/layers/relu.hpp"

namespace strata {

template class ReLU<float>;
template class ReLU<double>;

}  // namespace strata
