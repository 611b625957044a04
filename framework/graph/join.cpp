#include "strata/framework/graph/join.hpp"

#include "strata/framework/elementwise.hpp"
#include "strata/framework/error.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"

namespace strata {

template <class T>
Tensor<T> Join<T>::forward(std::vector<Tensor<T>> x) const {
  std::vector<Shape> shapes;
  for (const Tensor<T>& input : x) shapes.push_back(input.shape());
  if (x.empty()) fail_shapes("at least one input", shapes);
  const Shape expected = output_shape(shapes);
  Tensor<T> y = do_forward(std::move(x));
  if (y.shape() != expected)
    throw StateError(label() + ": output_shape promises " + to_string(expected) + " but forward returned " +
                     to_string(y.shape()));
  return y;
}

template <class T>
std::vector<Tensor<T>> Join<T>::backward(Tensor<T> dy, const std::vector<Shape>& inputs) const {
  if (inputs.empty()) fail_shapes("at least one input", inputs);
  const Shape expected = output_shape(inputs);
  if (dy.shape() != expected)
    throw ShapeError(label() + ": expected an output gradient of shape " + to_string(expected) + ", got " +
                     to_string(dy.shape()));
  std::vector<Tensor<T>> dx = do_backward(std::move(dy), inputs);
  if (dx.size() != inputs.size())
    throw StateError(label() + ": backward must return a gradient for each of " +
                     std::to_string(inputs.size()) + " inputs but returned " + std::to_string(dx.size()));
  for (std::size_t i = 0; i < dx.size(); ++i)
    if (dx[i].shape() != inputs[i])
      throw StateError(label() + ": backward must return a gradient of the input's shape " +
                       to_string(inputs[i]) + " but returned " + to_string(dx[i].shape()));
  return dx;
}

template <class T>
void Join<T>::fail_shapes(const std::string& expected, const std::vector<Shape>& got) const {
  std::string text;
  for (const Shape& shape : got) text += (text.empty() ? "" : " and ") + to_string(shape);
  throw ShapeError(label() + ": expected " + expected + ", got " + (got.empty() ? "none" : text));
}

template <class T>
void add_to(Tensor<T>& a, const Tensor<T>& b) {
  T* to = a.data();
  const T* from = b.data();
  const auto& kernel = kernels::table<kernels::Elementwise<T>>();
  parallel_ranges(static_cast<Index>(a.size()), Index{1} << 16,
                  [&](Index begin, Index end) { kernel.add(to + begin, from + begin, end - begin); });
}

template <class T>
Shared<T> added(Shared<T> a, Shared<T> b) {
  const T *of_a = a->data(), *of_b = b->data();
  Tensor<T> y = memory_of(a, b);
  const auto& kernel = kernels::table<kernels::Elementwise<T>>();
  parallel_ranges(static_cast<Index>(y.size()), Index{1} << 16, [&](Index begin, Index end) {
    kernel.sum(of_a + begin, of_b + begin, y.data() + begin, end - begin);
  });
  return y;
}

template class Join<float>;
template class Join<double>;
template void add_to(Tensor<float>&, const Tensor<float>&);
template void add_to(Tensor<double>&, const Tensor<double>&);
template Shared<float> added(Shared<float>, Shared<float>);
template Shared<double> added(Shared<double>, Shared<double>);

}  // namespace strata
