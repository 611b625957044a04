#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/random.hpp"
#include "strata/framework/runtime/instruction_set.hpp"

namespace strata {
namespace {

// Known answers of philox4x32-10 in Random123's kat_vectors.
TEST(Random, IsPhilox) {
  EXPECT_EQ(Random(0).block(0),
            (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Random(~std::uint64_t{0}, ~std::uint64_t{0}).block(~std::uint64_t{0}),
            (std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Random, RepeatsForTheSameSeedAndStreamOnly) {
  const Shape shape{100};
  EXPECT_EQ(Random(5, 2).normal<double>(shape), Random(5, 2).normal<double>(shape));
  EXPECT_NE(Random(5, 2).normal<double>(shape), Random(6, 2).normal<double>(shape));
  EXPECT_NE(Random(5, 2).normal<double>(shape), Random(5, 3).normal<double>(shape));
}

// Tensors are drawn many numbers at a time, on several threads, with any instruction set.
TEST(Random, ATensorHoldsTheNumbersThatCallsWouldGive) {
  const InstructionSet before = instruction_set();
  for (const auto set : {InstructionSet::generic, InstructionSet::avx2, InstructionSet::avx512}) {
    if (!is_available(set)) continue;
    set_instruction_set(set);
    for (const std::size_t count : {1, 63, 64, 65, 257, 40001}) {
      Random tensors(0x123456789abcdef0, 0xfedcba9876543210), calls = tensors;
      const auto uniform = tensors.uniform<double>({count}, -1, 2);
      const auto normal = tensors.normal<float>({count}, 5, 0.5);
      for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(uniform(i), -1 + 3 * calls.uniform()) << i;
      for (std::size_t i = 0; i < count; ++i)
        ASSERT_EQ(normal(i), static_cast<float>(5 + 0.5 * calls.normal())) << i;
      ASSERT_EQ(tensors.bits(), calls.bits());
    }
  }
  set_instruction_set(before);
}

TEST(Random, UniformNumbersFillTheirInterval) {
  const auto values = Random(1).uniform<double>({100000}, -2, 3);
  double sum = 0, squares = 0;
  for (const double value : values) {
    ASSERT_GE(value, -2);
    ASSERT_LT(value, 3);
    sum += value;
    squares += value * value;
  }
  const double mean = sum / 100000, variance = squares / 100000 - mean * mean;
  EXPECT_NEAR(mean, 0.5, 5 * std::sqrt(25 / 12.0 / 100000));
  EXPECT_NEAR(variance, 25 / 12.0, 0.03);
  EXPECT_LT(*std::min_element(values.begin(), values.end()), -1.999);
  EXPECT_GT(*std::max_element(values.begin(), values.end()), 2.999);
}

TEST(Random, NormalNumbersHaveTheMomentsOfTheNormal) {
  const auto values = Random(2).normal<double>({200000}, 1, 2);
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
  for (const double value : values) {
    const double z = (value - 1) / 2;
    m1 += z, m2 += z * z, m3 += z * z * z, m4 += z * z * z * z;
  }
  const double n = 200000;  // the bounds are five standard deviations of each moment
  EXPECT_NEAR(m1 / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(m2 / n, 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(m3 / n, 0, 5 * std::sqrt(15 / n));
  EXPECT_NEAR(m4 / n, 3, 5 * std::sqrt(96 / n));
}

TEST(Random, BelowIsUniform) {
  Random random(3);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70000; ++i) {
    const std::uint64_t value = random.below(7);
    ASSERT_LT(value, 7u);
    ++counts[value];
  }
  for (const int count : counts) EXPECT_NEAR(count, 10000, 5 * std::sqrt(10000 * 6 / 7.0));
}

TEST(Random, APermutationHoldsEachNumberOnce) {
  const std::vector<Index> order = Random(4).permutation(1000);
  std::vector<Index> sorted = order, expected(1000);
  std::iota(expected.begin(), expected.end(), Index{0});
  EXPECT_NE(order, expected);
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, expected);
  EXPECT_EQ(Random(4).permutation(1000), order);
  EXPECT_TRUE(Random(4).permutation(0).empty());
}

TEST(Random, EveryPermutationIsAsLikely) {
  Random random(5);
  std::map<std::vector<Index>, int> counts;
  for (int i = 0; i < 6000; ++i) ++counts[random.permutation(3)];
  ASSERT_EQ(counts.size(), 6u);
  for (const auto& [order, count] : counts) EXPECT_NEAR(count, 1000, 5 * std::sqrt(1000 * 5 / 6.0));
}

TEST(Seeds, MixWithoutCollisions) {
  std::set<std::uint64_t> seeds;
  for (std::uint64_t a = 0; a < 100; ++a)
    for (std::uint64_t b = 0; b < 100; ++b) seeds.insert(combine_seeds(a, b));
  for (const char* name : {"", "a", "b", "ab", "ba", "0.weight", "1.weight"})
    seeds.insert(combine_seeds(1, name));
  EXPECT_EQ(seeds.size(), 10007u);
}

TEST(Seeds, ManualSeedStartsAnew) {
  manual_seed(8);
  const std::uint64_t first = next_seed(), second = next_seed();
  EXPECT_NE(first, second);
  manual_seed(8);
  EXPECT_EQ(next_seed(), first);
  manual_seed(9);
  EXPECT_NE(next_seed(), first);
}

}  // namespace
}  // namespace strata
