// Random configurations of layers.
#pragma once

#include "strata/framework/runtime/address_sanitizer.hpp"
#include "tests/layers/convolution_cases.hpp"
#include "tests/layers/pooling_cases.hpp"

namespace strata::testing {

/// Of so many random cases of a test, those to run: a quarter under a sanitizer, where each takes some twenty
/// times as long, and what is looked for shows in most of them.
template <class Number>
constexpr Number some(Number cases) {
#if STRATA_ADDRESS_SANITIZED || defined(__SANITIZE_THREAD__)
  return cases / 4;
#else
  return cases;
#endif
}

/// Uniform in [low, high].
inline Index pick(Random& random, Index low, Index high) {
  return low + static_cast<Index>(random.below(static_cast<std::uint64_t>(high - low + 1)));
}

inline Size2D pick_size(Random& random, Index low, Index high) {
  const Index h = pick(random, low, high);
  return {h, pick(random, low, high)};
}

// Anything goes: asymmetric options, stride > kernel, depthwise, images of one row or column.
inline ConvCase random_conv_case(Random& random) {
  ConvCase c{.batch = pick(random, 1, 5),
             .in_channels = pick(random, 1, 5),
             .out_channels = pick(random, 1, 5),
             .size = pick_size(random, 1, 12),
             .kernel = pick_size(random, 1, 5),
             .stride = pick_size(random, 1, 4),
             .padding = pick_size(random, 0, 3),
             .dilation = pick_size(random, 1, 3)};
  c.bias = random.below(2) == 0;
  switch (random.below(6)) {
    case 0:  // depthwise
      c.groups = c.in_channels;
      c.out_channels = c.groups * pick(random, 1, 2);
      break;
    case 1:
      c.groups = pick(random, 2, 3);
      c.in_channels *= c.groups;
      c.out_channels *= c.groups;
      break;
    case 2:  // pointwise
      c.kernel = c.stride = 1;
      c.padding = 0;
      break;
    case 3:
      c.size = random.below(2) == 0 ? Size2D(1, c.size.w * 20) : Size2D(c.size.h * 20, 1);
      break;
    default:
      break;
  }
  c.size.h = std::max(c.size.h, c.dilation.h * (c.kernel.h - 1) + 1 - 2 * c.padding.h);
  c.size.w = std::max(c.size.w, c.dilation.w * (c.kernel.w - 1) + 1 - 2 * c.padding.w);
  return c;
}

inline ConvCase random_conv_transpose_case(Random& random) {
  ConvCase c{.batch = pick(random, 1, 5),
             .in_channels = pick(random, 1, 5),
             .out_channels = pick(random, 1, 5),
             .size = pick_size(random, 1, 8),
             .kernel = pick_size(random, 1, 5),
             .stride = pick_size(random, 1, 4),
             .padding = pick_size(random, 0, 2),
             .dilation = pick_size(random, 1, 3)};
  c.bias = random.below(2) == 0;
  c.output_padding.h = pick(random, 0, std::max(c.stride.h, c.dilation.h) - 1);
  c.output_padding.w = pick(random, 0, std::max(c.stride.w, c.dilation.w) - 1);
  if (random.below(3) == 0) {
    c.groups = pick(random, 2, 3);
    c.in_channels *= c.groups;
    c.out_channels *= c.groups;
  }
  const auto grow = [](Index size, Index kernel, Index stride, Index padding, Index dilation) {
    const Index missing = 2 * padding - dilation * (kernel - 1);  // (size - 1) * stride must reach it
    return std::max(size, 1 + (std::max<Index>(missing, 0) + stride - 1) / stride);
  };
  c.size.h = grow(c.size.h, c.kernel.h, c.stride.h, c.padding.h, c.dilation.h);
  c.size.w = grow(c.size.w, c.kernel.w, c.stride.w, c.padding.w, c.dilation.w);
  return c;
}

/// As in most networks, so that the fast algorithms run too. Fits both convolutions.
inline ConvCase random_usual_conv_case(Random& random) {
  const Size2D kernel = random.below(2) == 0 ? Size2D(3) : pick_size(random, 1, 5);
  return {.batch = pick(random, 1, 4),
          .in_channels = pick(random, 1, 24),
          .out_channels = pick(random, 1, 24),
          .size = pick_size(random, 2, 12),
          .kernel = kernel,
          .stride = pick(random, 1, 2),
          .padding = {kernel.h / 2, kernel.w / 2},
          .bias = random.below(2) == 0};
}

inline PoolCase random_pool_case(Random& random, Index slack) {
  const Size2D window = pick_size(random, 1, 5), stride = pick_size(random, 1, 6);
  const Size2D padding(pick(random, 0, window.h / 2), pick(random, 0, window.w / 2));
  const auto extent = [&](Index size, Index pad) {
    return std::max<Index>(1, size - 2 * pad) + pick(random, 0, slack);
  };
  const Index h = extent(window.h, padding.h);
  return {shape4(pick(random, 1, 2), pick(random, 1, 3), h, extent(window.w, padding.w)), window, stride,
          padding};
}

}  // namespace strata::testing
