#include "strata/layers/linear.hpp"

#include <algorithm>

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/product/packed_product.hpp"
#include "strata/layers/kernels/product/thin_products.hpp"
#include "strata/layers/reference/linear.hpp"

namespace strata {
namespace {

// Columns of a GEMM that one piece of work computes: two million multiply-adds or more. Each piece packs
// the whole other operand for itself, which takes 256 columns to pay for, or a quarter of them all where they
// are fewer.
Index grain_for(Index columns, Index multiply_adds_each) {
  constexpr Index kMultiplyAdds = Index{1} << 21, kColumns = 256;
  return std::max(kernels::ceil_div(kMultiplyAdds, std::max<Index>(1, multiply_adds_each)),
                  std::min(kColumns, kernels::ceil_div(columns, 4)));
}

// The same for a forward, whose weights lie as OpenBLAS wants them: a small product with AVX-512 spares it to
// copy them, which at batch 8 is four fifths of the time. A quarter of a small product, which is some ten
// microseconds, so that a single sample makes pieces, too.
Index forward_grain_for(Index columns, Index multiply_adds_each) {
  constexpr Index kMultiplyAdds = Index{1} << 18, kColumns = 16;
  if (multiply_adds_each * kColumns > kernels::kSmallProduct) return grain_for(columns, multiply_adds_each);
  return std::max(kColumns, kMultiplyAdds / std::max<Index>(1, multiply_adds_each));
}

// Samples that a piece of a forward takes where there are many of few features, or 0: with the weights all in
// the nearest cache, pieces of samples read nothing twice.
Index rows_of_a_small_product(Index batch, Index weights) {
  constexpr Index kMultiplyAdds = Index{1} << 19, kWeights = Index{1} << 14;
  return weights <= kWeights && batch * weights > 2 * kMultiplyAdds
             ? kernels::ceil_div(kMultiplyAdds, weights)
             : 0;
}

// Samples that are few enough for kernels::ThinProducts. For more, the weights are copied before they are
// multiplied, unless the product is a small one with AVX-512: a single sample takes that seven times as long.
Index few_forward() {
  return instruction_set() == InstructionSet::avx512 ? 4 : 16;
}
constexpr Index kFewBackward = 4;

template <class T>
const kernels::ThinProducts<T>& thin_products() {
  return kernels::table<kernels::ThinProducts<T>>();
}

// For backward.
template <class T>
void multiply(Index batch, const kernels::MatrixProduct<T>& product) {
  batch <= kFewBackward ? thin_products<T>().multiply(product) : kernels::multiply_general(product);
}

// Throws ArgumentError unless both counts are positive.
Shape weight_shape(Index in, Index out) {
  if (in < 1 || out < 1)
    throw ArgumentError("Linear: expected at least 1 feature in and out, got " + std::to_string(in) + " -> " +
                        std::to_string(out));
  const auto shape = detail::checked_shape({out, in});
  if (!shape)
    throw ArgumentError("Linear: expected fewer than 2^63 weights, got " + std::to_string(in) + " -> " +
                        std::to_string(out));
  return *shape;
}

}  // namespace

template <class T>
Linear<T>::Linear(Index in_features, Index out_features, LinearOptions options)
    : WeightedLayer<T>(weight_shape(in_features, out_features), out_features, options.bias),
      in_(in_features),
      out_(out_features) {}

template <class T>
Shape Linear<T>::output_shape(const Shape& input) const {
  if (input.size() != 2 || static_cast<Index>(input[1]) != in_)
    this->fail_shape("(N, " + std::to_string(in_) + ")", input);
  return {input[0], static_cast<std::size_t>(out_)};
}

template <class T>
std::uint64_t Linear<T>::multiply_adds(const Shape& input) const {
  return static_cast<std::uint64_t>(static_cast<Index>(input[0]) * in_ * out_);
}

template <class T>
std::string Linear<T>::options() const {
  return std::to_string(in_) + " -> " + std::to_string(out_) + (this->has_bias() ? "" : ", no bias");
}

template <class T>
Tensor<T> Linear<T>::apply(const Tensor<T>& x) const {
  const auto batch = static_cast<Index>(x.shape()[0]);
  auto y = empty<T>(this->output_shape(x.shape()));
  const T *const weight = this->weight().value.data(), *const bias = this->bias_values();
  if (uses_reference()) {
    reference::linear(batch, in_, out_, x.data(), weight, bias, y.data());
    return y;
  }
  const auto multiply = [&](Index row, Index rows, Index column, Index columns) {
    T* const to = y.data() + row * out_ + column;
    if (bias)
      for (Index n = 0; n < rows; ++n) std::copy_n(bias + column, columns, to + n * out_);
    const kernels::MatrixProduct<T> product{rows,
                                            in_,
                                            columns,
                                            x.data() + row * in_,
                                            in_,
                                            1,
                                            weight + column * in_,
                                            in_,
                                            to,
                                            out_,
                                            /*accumulate=*/bias != nullptr};
    batch <= few_forward() ? thin_products<T>().multiply_transposed(product)
                           : kernels::multiply_general(product, Transpose::yes);
  };
  if (const Index rows = rows_of_a_small_product(batch, in_ * out_); rows > 0)
    parallel_ranges(batch, rows, [&](Index begin, Index end) { multiply(begin, end - begin, 0, out_); });
  else
    parallel_ranges(out_, forward_grain_for(out_, batch * in_),
                    [&](Index begin, Index end) { multiply(0, batch, begin, end - begin); });
  return y;
}

template <class T>
Tensor<T> Linear<T>::do_backward(Tensor<T> dy, Record& record) {
  const auto batch = static_cast<Index>(dy.shape()[0]);
  const T* const weight = this->weight().value.data();
  auto dx = empty<T>(record.input_shape());
  if (uses_reference())
    reference::linear_backward_data(batch, in_, out_, dy.data(), weight, dx.data());
  else
    parallel_ranges(in_, grain_for(in_, batch * out_), [&](Index begin, Index end) {
      multiply<T>(batch,
                  {batch, out_, end - begin, dy.data(), out_, 1, weight + begin, in_, dx.data() + begin, in_,
                   /*accumulate=*/false});
    });
  do_backward_parameters(std::move(dy), record);
  return dx;
}

template <class T>
void Linear<T>::do_backward_parameters(Tensor<T> dy, Record& record) {
  const auto x = record.take<Tensor<T>>();
  const auto batch = static_cast<Index>(dy.shape()[0]);
  T* const dw = this->weight().gradient.data();
  this->set_bias_gradient(dy);
  if (uses_reference())
    return reference::linear_backward_parameters<T>(batch, in_, out_, x.data(), dy.data(), dw, nullptr);
  parallel_ranges(in_, grain_for(in_, batch * out_), [&](Index begin, Index end) {
    multiply<T>(batch, {out_, batch, end - begin, dy.data(), 1, out_, x.data() + begin, in_, dw + begin, in_,
                        /*accumulate=*/false});
  });
}

template class Linear<float>;
template class Linear<double>;

}  // namespace strata
