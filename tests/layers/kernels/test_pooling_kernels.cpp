// The pooling kernels on windows of every kind, in guarded memory.
#include <gtest/gtest.h>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/pooling/max_pool_parts.hpp"
#include "strata/layers/kernels/pooling/sum_pool.hpp"
#include "strata/layers/pooling/geometry.hpp"
#include "strata/layers/pooling/pooling.hpp"
#include "tests/layers/kernels/guarded_memory.hpp"
#include "tests/layers/kernels/image_layouts.hpp"
#include "tests/layers/random_cases.hpp"
#include "tests/properties/random_runs.hpp"

namespace strata {
namespace {

using namespace strata::testing;

constexpr std::uint64_t kCases = 1000;

PoolCase pick_case(Random& random) {
  PoolCase c{{}, pick_size(random, 1, 5), pick_size(random, 1, 6), 0};
  c.padding = {pick(random, 0, c.window.h / 2), pick(random, 0, c.window.w / 2)};
  const Index channels = random.below(3) == 0 ? kPixelChannels * pick(random, 1, 2) : pick(random, 1, 17);
  c.shape = shape4(pick(random, 1, 3), channels, std::max(c.window.h - 2 * c.padding.h, pick(random, 1, 9)),
                   std::max(c.window.w - 2 * c.padding.w, pick(random, 1, 9)));
  return c;
}

template <class T>
class PoolingKernels : public ::testing::Test {
 protected:
  T* hold(std::size_t operand, const Tensor<T>& values) { return memory_[operand].hold(values, guard_); }
  T* room_for(std::size_t operand, const Tensor<T>& values) {
    return memory_[operand].room_for(values, guard_);
  }
  static Tensor<T> copy(const T* from, const Shape& shape) {
    auto values = empty<T>(shape);
    std::copy_n(from, values.size(), values.data());
    return values;
  }

  void expect_max_pool(const PoolCase& c, const Pooling& pooling, const Tensor<T>& x, const Tensor<T>& dy) {
    Tensor<T> y, dx;
    reference_max_pool(c, x, dy, y, dx);
    MaxPoolParts<T> parts(kernel_geometry(pooling, x.shape(), y.shape()), x.shape());
    const auto images = static_cast<Index>(x.shape()[0]), channels = static_cast<Index>(x.shape()[1]);
    T* to = room_for(1, y);
    parts.forward(0, images * channels, hold(0, x), to);
    EXPECT_EQ(copy(to, y.shape()), y);
    to = room_for(1, dx);
    parts.backward(0, images * channels, hold(0, dy), to);
    EXPECT_LE(max_error(copy(to, dx.shape()), widen(dx), 1), 1e-6);
    if (!std::is_same_v<T, float> || channels % kPixelChannels != 0) return;
    const auto pixels = ImageLayout::pixels;
    to = room_for(1, y);
    parts.forward_pixels(0, images, hold(0, in_layout(x, pixels)), to);
    EXPECT_EQ(as_planes(copy(to, y.shape()), pixels), y);
    to = room_for(1, dx);
    parts.backward_pixels(0, images, hold(0, in_layout(dy, pixels)), to);
    EXPECT_LE(max_error(as_planes(copy(to, dx.shape()), pixels), widen(dx), 1), 1e-6);
  }

  void expect_sum_pool(const PoolCase& c, const Pooling& pooling, const Tensor<T>& x, const Tensor<T>& dy) {
    const auto planes = static_cast<Index>(x.shape()[0] * x.shape()[1]);
    const kernels::PoolGeometry g = kernel_geometry(pooling, x.shape(), dy.shape());
    const auto each = [](Index count, Index window) {
      return full<T>({static_cast<std::size_t>(count)}, T{1} / static_cast<T>(window));
    };
    const kernels::WeightedWindows<T> windows{g, hold(2, each(g.out_h, g.kh)), hold(3, each(g.out_w, g.kw))};
    const auto row = empty<T>({static_cast<std::size_t>(windows.padded_width())});
    const auto& kernel = kernels::table<kernels::SumPool<T>>();
    auto y = empty<T>(dy.shape()), dx = empty<T>(x.shape());
    reference::average_pool(pooling_shape(c), /*count_include_pad=*/true, x.data(), y.data());
    reference::average_pool_backward(pooling_shape(c), /*count_include_pad=*/true, dy.data(), dx.data());
    T* to = room_for(1, y);
    kernel.sum(hold(0, x), to, planes, windows, room_for(4, row));
    EXPECT_LE(max_error(copy(to, y.shape()), widen(y), 1), 1e-6);
    to = room_for(1, dx);
    kernel.spread(hold(0, dy), to, planes, windows, room_for(4, row));
    EXPECT_LE(max_error(copy(to, dx.shape()), widen(dx), 1), 1e-6);
  }

  void expect_mean(const Tensor<T>& x) {
    const auto planes = static_cast<Index>(x.shape()[0] * x.shape()[1]),
               size = static_cast<Index>(x.shape()[2] * x.shape()[3]);
    auto y = empty<T>({x.shape()[0], x.shape()[1]});
    reference::global_average_pool(planes, size, x.data(), y.data());
    T* const to = room_for(1, y);
    kernels::table<kernels::SumPool<T>>().mean(hold(0, x), to, planes, size);
    EXPECT_LE(max_error(copy(to, y.shape()), widen(y), 1), 1e-6);
  }

  Guard guard_ = Guard::behind;

 private:
  static constexpr std::size_t kLargest = std::size_t{3 * 32 * 9 * 9} * sizeof(T);
  GuardedMemory memory_[5]{GuardedMemory(kLargest), GuardedMemory(kLargest), GuardedMemory(kLargest),
                           GuardedMemory(kLargest), GuardedMemory(kLargest)};
};

using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(PoolingKernels, Types);

TYPED_TEST(PoolingKernels, TouchNothingElseOnAnyInstructionSet) {
  for_random_seeds(some(kCases), [&](Random& random) {
    const PoolCase c = pick_case(random);
    SCOPED_TRACE(to_string(c.shape) + ", window " + to_string(c.window) + ", stride " + to_string(c.stride) +
                 ", padding " + to_string(c.padding));
    const Pooling pooling("pooling", c.window, c.stride, c.padding);
    const auto x = distinct_values<TypeParam>(c.shape, random.bits());
    const auto dy = random.normal<TypeParam>(pooling.output_shape(c.shape));
    this->guard_ = random.below(4) == 0 ? Guard::before : Guard::behind;
    for_each_instruction_set([&] {
      this->expect_max_pool(c, pooling, x, dy);
      this->expect_sum_pool(c, pooling, x, dy);
      this->expect_mean(x);
    });
  });
}

}  // namespace
}  // namespace strata
