#include "strata/layers/linear.hpp"

#include <algorithm>
#include <cmath>

#include "strata/framework/runtime/instruction_set.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/product/packed_product.hpp"
#include "strata/layers/kernels/product/thin_products.hpp"

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

}  // namespace

template <class T>
Linear<T>::Linear(Index in_features, Index out_features, LinearOptions options)
    : in_(in_features), out_(out_features) {
  if (in_ < 1 || out_ < 1)
    throw ArgumentError("Linear: expected at least 1 feature in and out, got " + std::to_string(in_) +
                        " -> " + std::to_string(out_));
  const auto in = static_cast<std::size_t>(in_), out = static_cast<std::size_t>(out_);
  if (!detail::checked_count({out, in}))
    throw ArgumentError("Linear: expected fewer than 2^63 weights, got " + std::to_string(in_) + " -> " +
                        std::to_string(out_));
  weight_ = Parameter<T>("weight", empty<T>({out, in}));
  if (options.bias) bias_ = Parameter<T>("bias", empty<T>({out}), /*decay=*/false);
  Random random(next_seed());
  reset_parameters(random);
}

template <class T>
Parameter<T>& Linear<T>::bias() {
  if (!bias_) throw StateError(this->label() + ": was made without a bias");
  return *bias_;
}

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
  return std::to_string(in_) + " -> " + std::to_string(out_) + (bias_ ? "" : ", no bias");
}

template <class T>
Tensor<T> Linear<T>::apply(const Tensor<T>& x) const {
  const auto batch = static_cast<Index>(x.shape()[0]);
  auto y = empty<T>(this->output_shape(x.shape()));
  const auto multiply = [&](Index row, Index rows, Index column, Index columns) {
    T* const to = y.data() + row * out_ + column;
    if (bias_)
      for (Index n = 0; n < rows; ++n) std::copy_n(&bias_->value(column), columns, to + n * out_);
    const kernels::MatrixProduct<T> product{rows,
                                            in_,
                                            columns,
                                            x.data() + row * in_,
                                            in_,
                                            1,
                                            weight_.value.data() + column * in_,
                                            in_,
                                            to,
                                            out_,
                                            /*accumulate=*/bias_.has_value()};
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
Tensor<T> Linear<T>::do_forward(Tensor<T> x) {
  x_ = std::move(x);
  return apply(x_);
}

template <class T>
Tensor<T> Linear<T>::do_infer(Tensor<T> x) const {
  return apply(x);
}

template <class T>
Tensor<T> Linear<T>::do_backward(Tensor<T> dy) {
  const auto batch = static_cast<Index>(dy.shape()[0]);
  auto dx = empty<T>(x_.shape());
  parallel_ranges(in_, grain_for(in_, batch * out_), [&](Index begin, Index end) {
    multiply<T>(batch, {batch, out_, end - begin, dy.data(), out_, 1, weight_.value.data() + begin, in_,
                        dx.data() + begin, in_, /*accumulate=*/false});
  });
  do_backward_parameters(std::move(dy));
  return dx;
}

template <class T>
void Linear<T>::do_backward_parameters(Tensor<T> dy) {
  const auto batch = static_cast<Index>(dy.shape()[0]);
  parallel_ranges(in_, grain_for(in_, batch * out_), [&](Index begin, Index end) {
    multiply<T>(batch, {out_, batch, end - begin, dy.data(), 1, out_, x_.data() + begin, in_,
                        weight_.gradient.data() + begin, in_, /*accumulate=*/false});
  });
  if (bias_) {
    const auto ones = full<T>({dy.shape()[0]}, T{1});
    parallel_ranges(
        out_, kernels::ceil_div(Index{1} << 16, std::max<Index>(1, batch)), [&](Index begin, Index end) {
          thin_products<T>().multiply({1, batch, end - begin, ones.data(), batch, 1, dy.data() + begin, out_,
                                       bias_->gradient.data() + begin, out_,
                                       /*accumulate=*/false});
        });
  }
  x_ = Tensor<T>();
}

template <class T>
std::vector<Parameter<T>*> Linear<T>::own_parameters() {
  if (bias_) return {&weight_, &*bias_};
  return {&weight_};
}

template <class T>
void Linear<T>::reset_parameters(Random& random) {
  const double bound = 1 / std::sqrt(static_cast<double>(in_));
  weight_.value = random.uniform<T>(weight_.value.shape(), -bound, bound);
  if (bias_) bias_->value = random.uniform<T>(bias_->value.shape(), -bound, bound);
}

template class Linear<float>;
template class Linear<double>;

}  // namespace strata
