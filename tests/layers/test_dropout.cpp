#include <limits>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/layers/kernels/dropout.hpp"
#include "tests/layers/layer_checks.hpp"

namespace strata {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

template <class T>
std::int64_t& counter(Layer<T>& layer, const std::string& name) {
  for (const Buffer<T>& buffer : layer.named_buffers())
    if (buffer.name == name) return *std::get<std::int64_t*>(buffer.value);
  throw ArgumentError("no buffer " + name);
}

template <class T>
class DropoutOf : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(DropoutOf, Types);

// Every length up to some vectors' and a long one; the backward pass uses the same mask.
TYPED_TEST(DropoutOf, MaskIsThatOfTheRandomStream) {
  using T = TypeParam;
  testing::for_each_instruction_set([] {
    for (std::size_t size = 0; size < 150; ++size) {
      Dropout<T> layer(0.25);
      layer.initialize(size);
      const auto seed = combine_seeds(static_cast<std::uint64_t>(counter<T>(layer, "seed")), layer.path());
      const std::uint64_t first_step = size % 2 ? 0 : 0xfedcba987;
      counter<T>(layer, "step") = static_cast<std::int64_t>(first_step);
      for (std::uint64_t step = first_step; step < first_step + 2; ++step) {
        const auto x = Random(size).normal<T>({size == 149 ? 200'003 : size}),
                   dy = Random(7).normal<T>(x.shape());
        Tensor<T> y = x, dx = dy;
        for (std::size_t i = 0; i < x.size(); ++i) {
          const bool kept = Random(seed, step).block(i / 4)[i % 4] >= 0x40000000u;
          y(i) = kept ? x(i) * static_cast<T>(1 / 0.75) : T{0};
          dx(i) = kept ? dy(i) * static_cast<T>(1 / 0.75) : T{0};
        }
        EXPECT_TRUE(testing::same_bits(layer.forward(x), y)) << size;
        EXPECT_TRUE(testing::same_bits(layer.backward(dy), dx)) << size;
      }
    }
  });
}

// Threads share the mask's bytes between them.
TEST(DropoutMask, FillsItsBytesAndNoOther) {
  testing::for_each_instruction_set([] {
    for (const Index bytes : {1, 63, 64, 65, 128}) {
      std::vector<std::uint8_t> kept(static_cast<std::size_t>(bytes) + 66, 0xa5);
      kernels::table<kernels::DropoutMask>().draw(1, 2, 0, 3, bytes, kept.data() + 1);
      std::vector<std::uint8_t> expected(kept.size(), 0xa5);
      std::fill_n(expected.begin() + 1, bytes, std::uint8_t{0xff});  // a threshold of 0 drops nothing
      EXPECT_EQ(kept, expected) << bytes;
    }
  });
}

// p * 2^32 is exactly one of the random words: that element is kept, as are those with larger words.
TYPED_TEST(DropoutOf, AWordAtTheThresholdIsKept) {
  using T = TypeParam;
  const auto ones = full<T>({8}, T{1});
  for (std::size_t at = 0; at < ones.size(); ++at) {
    Dropout<T> any;
    any.initialize(3);
    const auto seed = combine_seeds(static_cast<std::uint64_t>(counter<T>(any, "seed")), any.path());
    const std::uint32_t word = Random(seed).block(at / 4)[at % 4];
    Dropout<T> layer(word * 0x1p-32);
    layer.initialize(3);
    EXPECT_NE(layer.forward(ones)(at), T{0}) << at;
    Dropout<T> above((word + 1.0) * 0x1p-32);
    above.initialize(3);
    EXPECT_EQ(above.forward(ones)(at), T{0}) << at;
  }
}

TYPED_TEST(DropoutOf, ChannelsAreDroppedAsAWhole) {
  using T = TypeParam;
  for (const Shape& shape :
       {Shape{5, 7, 3, 4}, Shape{5, 7, 1, 1}, Shape{5, 7, 2, 1}, Shape{2, 3, 0, 4}, Shape{30, 40, 17, 9}}) {
    Dropout2D<T> layer(0.5);
    layer.initialize(3);
    const auto seed = combine_seeds(static_cast<std::uint64_t>(counter<T>(layer, "seed")), layer.path());
    const auto x = Random(1).normal<T>(shape), dy = Random(2).normal<T>(shape);
    Tensor<T> y = x, dx = dy;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::size_t channel = i / (shape[2] * shape[3]);
      const T scale = Random(seed).block(channel / 4)[channel % 4] >= 0x80000000u ? T{2} : T{0};
      y.data()[i] = x.data()[i] * scale;
      dx.data()[i] = dy.data()[i] * scale;
    }
    EXPECT_EQ(layer.forward(x), y);
    EXPECT_EQ(layer.backward(dy), dx);
  }
}

// The number of kept elements is binomial: within five standard deviations with probability 1 - 6e-7, and the
// seeds are fixed.
TYPED_TEST(DropoutOf, DropsTheFractionAndKeepsTheExpectedValue) {
  using T = TypeParam;
  const std::size_t count = 1'000'000;
  for (const double p : {0.0, 0.001, 0.1, 0.5, 0.9, 0.999}) {
    Dropout<T> layer(p);
    layer.initialize(5);
    const auto y = layer.forward(full<T>({count}, T{3}));
    double kept = 0;
    for (const T value : y) {
      if (value == 0) continue;
      kept += 1;
      ASSERT_EQ(value, T{3} * static_cast<T>(1 / (1 - p)));
    }
    const double n = static_cast<double>(count), deviation = std::sqrt(n * p * (1 - p));
    EXPECT_LE(std::abs(kept - n * (1 - p)), 5 * deviation) << "p = " << p;
    const double mean = 3 * kept / (1 - p) / n;
    EXPECT_NEAR(mean, 3, 3 * 5 * deviation / (1 - p) / n);
  }
}

// Each pair of masks agrees on half of the elements, whatever differs: step, seed or layer.
TYPED_TEST(DropoutOf, MasksOfStepsAndLayersAreIndependent) {
  using T = TypeParam;
  const auto ones = full<T>({100'000}, T{1});
  manual_seed(1);
  Dropout<T> a(0.5), b(0.5);
  const Tensor<T> masks[] = {a.forward(ones), a.forward(ones), b.forward(ones), b.forward(ones)};
  EXPECT_EQ(counter<T>(a, "step"), 2);
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < i; ++j) {
      double agree = 0;
      for (std::size_t e = 0; e < ones.size(); ++e) agree += masks[i](e) == masks[j](e);
      EXPECT_NEAR(agree, 50'000, 5 * std::sqrt(25'000.0));
    }
}

TYPED_TEST(DropoutOf, SeedAndStepDecideTheMask) {
  using T = TypeParam;
  const auto ones = full<T>({1000}, T{1});
  Dropout<T> a(0.3), b(0.3);
  a.forward(ones);
  counter<T>(b, "seed") = counter<T>(a, "seed");
  counter<T>(b, "step") = counter<T>(a, "step");
  EXPECT_TRUE(testing::same_bits(a.forward(ones), b.forward(ones)));
  const auto clone = a.clone();
  EXPECT_TRUE(testing::same_bits(clone->forward(ones), a.forward(ones)));

  a.initialize(9);
  b.initialize(9);
  EXPECT_EQ(counter<T>(a, "step"), 0);
  EXPECT_TRUE(testing::same_bits(a.forward(ones), b.forward(ones)));

  manual_seed(4);
  Dropout<T> c(0.3);
  manual_seed(4);
  Dropout<T> d(0.3);
  EXPECT_TRUE(testing::same_bits(c.forward(ones), d.forward(ones)));
}

TYPED_TEST(DropoutOf, EvaluationIsTheIdentity) {
  using T = TypeParam;
  const auto x = Random(1).normal<T>({4, 3, 5, 5}), dy = Random(2).normal<T>({4, 3, 5, 5});
  Dropout<T> one(0.5);
  Dropout2D<T> two(0.5);
  for (Layer<T>* layer : {static_cast<Layer<T>*>(&one), static_cast<Layer<T>*>(&two)}) {
    layer->forward(x);  // a mask that evaluation must not use
    layer->eval();
    EXPECT_TRUE(testing::same_bits(layer->forward(x), x));
    EXPECT_TRUE(testing::same_bits(layer->backward(dy), dy));
    EXPECT_EQ(counter(*layer, "step"), 1);
  }
}

TYPED_TEST(DropoutOf, NothingIsDroppedAtZero) {
  using T = TypeParam;
  const auto x = Random(1).normal<T>({4, 3, 5, 5});
  Dropout<T> layer(0);
  EXPECT_TRUE(testing::same_bits(layer.forward(x), x));
  EXPECT_TRUE(testing::same_bits(layer.backward(x), x));
}

TYPED_TEST(DropoutOf, KeepsTheContract) {
  using T = TypeParam;
  testing::expect_contract<T>(Dropout<T>(0.4), Random(1).normal<T>({3, 5, 150, 101}));
  testing::expect_contract<T>(Dropout2D<T>(0.4), Random(1).normal<T>({30, 50, 15, 11}));
}

TEST(Dropout, GradientIsRight) {
  testing::expect_right_gradients(Dropout<double>(0.4), Random(1).normal<double>({3, 2, 5, 4}));
  testing::expect_right_gradients(Dropout2D<double>(0.4), Random(1).normal<double>({3, 4, 5, 4}));
}

TEST(Dropout, WorksInPlace) {
  Dropout<float> layer;
  auto x = full<float>({100}, 1);
  const float* const memory = x.data();
  auto y = layer.forward(std::move(x));
  EXPECT_EQ(y.data(), memory);
  EXPECT_EQ(layer.backward(std::move(y)).data(), memory);
}

TEST(Dropout, RefusesMisuse) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT([] { Dropout<float>(1); },
              ThrowsMessage<ArgumentError>(
                  HasSubstr("Dropout: expected a probability of dropping 0 <= p < 1, got 1")));
  EXPECT_THAT([] { Dropout<float>(-0.1); }, ThrowsMessage<ArgumentError>(HasSubstr("got -0.1")));
  EXPECT_THAT([&] { Dropout<float>{nan}; }, ThrowsMessage<ArgumentError>(HasSubstr("got nan")));
  EXPECT_THAT([] { Dropout2D<float>(1); },
              ThrowsMessage<ArgumentError>(HasSubstr("Dropout2D: expected a probability of dropping")));
  EXPECT_THAT(
      [] {
        Dropout2D<float>().forward(full<float>({2, 3}, 0));
      },
      ThrowsMessage<ShapeError>(HasSubstr("Dropout2D: expected (N, C, H, W), got (2, 3)")));
  EXPECT_EQ(Dropout<float>(0.25).options(), "p 0.25");
}

}  // namespace
}  // namespace strata
