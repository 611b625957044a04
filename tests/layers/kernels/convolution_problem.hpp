// A convolution with data and what the plain loops make of it, for the tests of single algorithms.
#pragma once

#include <array>
#include <optional>

#include "strata/layers/kernels/convolution/algorithms.hpp"
#include "tests/layers/convolution_cases.hpp"

namespace strata::testing {

struct Problem {
  ConvCase which;
  kernels::ConvolutionShape shape;
  Tensor<float> x, w, bias, dy;
  mutable std::optional<ConvResult> known;

  /// By the plain loops, which run when it is first asked for: they take longer than all else.
  const ConvResult& expected() const {
    if (!known) known = reference_conv<false>(which, x, w, &bias, dy);
    return *known;
  }
};

inline Problem make_problem(const ConvCase& c, Random& random) {
  const Shape y =
      make_layer<false, float>(c).output_shape(shape4(c.batch, c.in_channels, c.size.h, c.size.w));
  return {.which = c,
          .shape = {c.batch, c.in_channels, c.size, c.out_channels,
                    Size2D(static_cast<Index>(y[2]), static_cast<Index>(y[3])), c.kernel, c.stride, c.padding,
                    c.dilation, c.groups, true},
          .x = random.normal<float>(shape4(c.batch, c.in_channels, c.size.h, c.size.w)),
          .w = random.normal<float>(shape4(c.out_channels, c.in_channels / c.groups, c.kernel.h, c.kernel.w)),
          .bias = random.normal<float>({static_cast<std::size_t>(c.out_channels)}),
          .dy = random.normal<float>(y),
          .known = {}};
}

// All three passes; backward-data of a strided convolution is left out where the algorithm has none.
inline ConvOutputs<float> run(const kernels::ConvolutionAlgorithm<float>& algorithm, const Problem& p,
                              bool backward_data = true) {
  const float nan = std::nanf("");
  ConvOutputs<float> r{
      full<float>(p.dy.shape(), nan), full<float>(p.x.shape(), nan), full<float>(p.w.shape(), nan), {}};
  const Tensor<float> filters = algorithm.filters ? algorithm.filters(p.shape, p.w.data()) : p.w;
  algorithm.forward(p.shape, p.x.data(), filters.data(), p.bias.data(), r.y.data());
  if (backward_data) algorithm.backward_data(p.shape, p.dy.data(), p.w.data(), nullptr, r.dx.data());
  algorithm.backward_weights(p.shape, p.x.data(), p.dy.data(), r.dw.data());
  return r;
}

inline void expect_near(const ConvOutputs<float>& ours, const ConvResult& expected, double tolerance,
                        bool backward_data = true) {
  EXPECT_LE(max_error(ours.y, expected.y), tolerance);
  if (backward_data) {
    EXPECT_LE(max_error(ours.dx, expected.dx), tolerance);
  }
  EXPECT_LE(max_error(ours.dw, expected.dw), tolerance);
}

inline void expect_same_bits_for_any_number_of_threads(const kernels::ConvolutionAlgorithm<float>& algorithm,
                                                       const Problem& problem, bool backward_data = true) {
  const int before = num_threads();
  set_num_threads(1);
  const auto one = run(algorithm, problem, backward_data);
  for (const int threads : {2, 3, 5}) {
    SCOPED_TRACE(threads);
    set_num_threads(threads);
    const auto many = run(algorithm, problem, backward_data);
    EXPECT_TRUE(same_bits(many.y, one.y));
    EXPECT_TRUE(same_bits(many.dx, one.dx));
    EXPECT_TRUE(same_bits(many.dw, one.dw));
  }
  set_num_threads(before);
}

}  // namespace strata::testing
