#include "strata/layers/dropout_2d.hpp"

namespace strata {

template class Dropout2D<float>;
template class Dropout2D<double>;

}  // namespace strata
