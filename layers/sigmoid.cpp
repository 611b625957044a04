#include "strata/layers/sigmoid.hpp"

namespace strata {

template class Sigmoid<float>;
template class Sigmoid<double>;

}  // namespace strata
