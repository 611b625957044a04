#include "strata/layers/concat.hpp"

#include <algorithm>

#include "strata/framework/elementwise.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/reference/join.hpp"

namespace strata {
namespace {

constexpr Index kGrain = Index{1} << 15;  // elements that are worth a thread

// Calls body(offset in the joined sample, branch, size of the branch's sample, sample) for every block.
template <class T, class Body>
void for_each_block(const std::vector<Tensor<T>>& branches, const Body& body) {
  const auto batch = static_cast<Index>(branches[0].shape()[0]), count = static_cast<Index>(branches.size());
  std::vector<Index> offsets{0};
  for (const Tensor<T>& branch : branches)
    offsets.push_back(offsets.back() + static_cast<Index>(branch.size()) / batch);
  const Index mean_size = std::max<Index>(1, offsets.back() / count);
  parallel_ranges(batch * count, std::max<Index>(1, kGrain / mean_size), [&](Index begin, Index end) {
    for (Index block = begin; block < end; ++block) {
      const Index k = block % count;
      body(offsets[k], k, offsets[k + 1] - offsets[k], block / count);
    }
  });
}

}  // namespace

template <class T>
Shape Concat<T>::output_shape(const std::vector<Shape>& inputs) const {
  Shape joined = inputs.at(0);
  if (joined.size() < 2) this->fail_shapes("inputs (N, C, ...)", inputs);
  joined[1] = 0;
  for (const Shape& shape : inputs) {
    Shape rest = shape;
    if (rest.size() == joined.size()) rest[1] = joined[1];
    if (rest != joined) this->fail_shapes("inputs that differ in axis 1 alone", inputs);
    const auto channels = detail::checked_shape({detail::Checked(joined[1]) + shape[1]});
    if (!channels) this->fail_shapes(detail::kCountable, inputs);
    joined[1] = channels->front();
  }
  if (!detail::checked_count(joined)) this->fail_shapes(detail::kCountable, inputs);
  return joined;
}

template <class T>
Tensor<T> Concat<T>::do_forward(std::vector<Tensor<T>> x) const {
  std::vector<Shape> shapes;
  for (const Tensor<T>& input : x) shapes.push_back(input.shape());
  auto y = empty<T>(output_shape(shapes));
  if (y.size() == 0) return y;
  if (uses_reference()) return reference::concat(x);
  const auto row = static_cast<Index>(y.size() / y.shape()[0]);
  const auto& kernel = kernels::table<kernels::Elementwise<T>>();
  for_each_block(x, [&](Index offset, Index k, Index size, Index n) {
    kernel.copy(y.data() + n * row + offset, x[k].data() + n * size, size);
  });
  return y;
}

template <class T>
std::vector<Tensor<T>> Concat<T>::do_backward(Tensor<T> dy, const std::vector<Shape>& inputs) const {
  std::vector<Tensor<T>> dx;
  for (const Shape& shape : inputs) dx.push_back(empty<T>(shape));
  if (dy.size() == 0) return dx;
  if (uses_reference()) return reference::split(dy, inputs);
  const auto row = static_cast<Index>(dy.size() / dy.shape()[0]);
  const auto& kernel = kernels::table<kernels::Elementwise<T>>();
  for_each_block(dx, [&](Index offset, Index k, Index size, Index n) {
    kernel.copy(dx[k].data() + n * size, dy.data() + n * row + offset, size);
  });
  return dx;
}

template class Concat<float>;
template class Concat<double>;

}  // namespace strata
