#include "strata/layers/add.hpp"

#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/reference/join.hpp"

namespace strata {

template <class T>
Shape Add<T>::output_shape(const std::vector<Shape>& inputs) const {
  for (const Shape& shape : inputs)
    if (shape != inputs.front()) this->fail_shapes("inputs of one shape", inputs);
  return inputs.at(0);
}

template <class T>
Tensor<T> Add<T>::do_forward(std::vector<Tensor<T>> x) const {
  if (uses_reference()) return reference::sum(x);
  Tensor<T> y = std::move(x[0]);
  for (std::size_t i = 1; i < x.size(); ++i) add_to(y, x[i]);
  return y;
}

template <class T>
std::vector<Tensor<T>> Add<T>::do_backward(Tensor<T> dy, const std::vector<Shape>& inputs) const {
  std::vector<Tensor<T>> dx;
  while (dx.size() + 1 < inputs.size()) dx.push_back(copy(dy));
  dx.push_back(std::move(dy));
  return dx;
}

template class Add<float>;
template class Add<double>;

}  // namespace strata
