#include "strata/layers/flatten.hpp"

namespace strata {

template <class T>
Shape Flatten<T>::output_shape(const Shape& input) const {
  if (input.size() < 2) this->fail_shape("at least two axes, (N, ...)", input);
  if (!detail::checked_count(input)) this->fail_shape(detail::kCountable, input);
  std::size_t features = 1;
  for (std::size_t axis = 1; axis < input.size(); ++axis) features *= input[axis];
  return {input[0], features};
}

template <class T>
Tensor<T> Flatten<T>::do_infer(Tensor<T> x) const {
  x.reshape(output_shape(x.shape()));
  return x;
}

template <class T>
Tensor<T> Flatten<T>::do_backward(Tensor<T> dy, Record& record) {
  dy.reshape(record.input_shape());
  return dy;
}

template class Flatten<float>;
template class Flatten<double>;

}  // namespace strata
