#include "strata/layers/tanh.hpp"

namespace strata {

template class Tanh<float>;
template class Tanh<double>;

}  // namespace strata
