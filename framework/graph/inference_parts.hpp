// Inference of a large batch in parts.
#pragma once

#include "strata/framework/layer.hpp"
#include "strata/framework/runtime/parallel.hpp"

namespace strata::detail {

/// Samples of a part: of x as a whole if the network has to see it so, or gains nothing.
template <class T>
Index inference_part(const Layer<T>& net, const Shape& x);

/// What infer(x) returns, computed part by part, so that what passes from layer to layer stays in the cache,
/// and threads meet only at the end.
template <class T, class Infer>
Tensor<T> infer_in_parts(const Layer<T>& net, Tensor<T> x, const Infer& infer) {
  const Index part = inference_part(net, x.shape());
  if (x.shape().empty() || part >= static_cast<Index>(x.shape()[0])) return infer(std::move(x));
  const auto samples = static_cast<Index>(x.shape()[0]);
  auto y = empty<T>(net.output_shape(x.shape()));
  const Index in = static_cast<Index>(x.size()) / samples, out = static_cast<Index>(y.size()) / samples;
  parallel_ranges(samples, part, [&](Index begin, Index end) {
    Shape shape = x.shape();
    shape[0] = static_cast<std::size_t>(end - begin);
    auto of_x = empty<T>(shape);
    std::copy(x.data() + begin * in, x.data() + end * in, of_x.data());
    const Tensor<T> of_y = infer(std::move(of_x));
    std::copy(of_y.data(), of_y.data() + of_y.size(), y.data() + begin * out);
  });
  return y;
}

}  // namespace strata::detail
