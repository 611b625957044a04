#include <algorithm>
#include <limits>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/data/in_memory.hpp"
#include "strata/framework/data/subset.hpp"
#include "strata/framework/error.hpp"

namespace strata {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

// Sample i is the number i and has the label i % 7.
std::shared_ptr<const Dataset> numbered(Index count) {
  auto samples = empty<float>({static_cast<std::size_t>(count), 1});
  Labels labels;
  for (Index i = 0; i < count; ++i) {
    samples(i, 0) = static_cast<float>(i);
    labels.push_back(static_cast<std::int32_t>(i % 7));
  }
  return std::make_shared<TensorDataset>(std::move(samples), std::move(labels), 7);
}

std::vector<Index> numbers_in(const Dataset& dataset) {
  std::vector<Index> numbers;
  for (Index i = 0; i < dataset.size(); ++i) {
    float value = -1;
    dataset.read(i, {&value, 1});
    numbers.push_back(static_cast<Index>(value));
    EXPECT_EQ(dataset.label(i), numbers.back() % 7);
  }
  return numbers;
}

std::vector<Index> counting(Index count) {
  std::vector<Index> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), Index{0});
  return numbers;
}

// Both parts keep the old order, and together they are everything once.
void expect_partition(const Split& parts, Index count, Index validation) {
  ASSERT_EQ(parts.validation->size(), validation);
  ASSERT_EQ(parts.train->size(), count - validation);
  const auto train = numbers_in(*parts.train), held_out = numbers_in(*parts.validation);
  EXPECT_TRUE(std::is_sorted(train.begin(), train.end()));
  EXPECT_TRUE(std::is_sorted(held_out.begin(), held_out.end()));
  std::vector<Index> all;
  std::merge(train.begin(), train.end(), held_out.begin(), held_out.end(), std::back_inserter(all));
  EXPECT_EQ(all, counting(count));
}

TEST(Subset, ShowsTheSamplesItWasGiven) {
  const Subset subset(numbered(10), {9, 0, 3, 3});
  EXPECT_THAT(numbers_in(subset), ElementsAre(9, 0, 3, 3));
  EXPECT_EQ(subset.sample_shape(), Shape{1});
  EXPECT_EQ(subset.classes(), 7);

  const auto named = std::make_shared<ImageDataset>(std::vector<std::uint8_t>{1, 2}, Shape{1, 1, 1},
                                                    Labels{1, 0}, std::vector<std::string>{"cat", "dog"});
  EXPECT_EQ(Subset(named, {1}).class_name(1), "dog");

  const auto nested = std::make_shared<Subset>(std::make_shared<Subset>(subset), std::vector<Index>{2, 0});
  EXPECT_THAT(numbers_in(*nested), ElementsAre(3, 9));
}

TEST(Subset, KeepsItsDatasetAlive) {
  auto dataset = numbered(10);
  const Subset subset(dataset, {4});
  const std::weak_ptr<const Dataset> watch = dataset;
  dataset.reset();
  EXPECT_FALSE(watch.expired());
  EXPECT_THAT(numbers_in(subset), ElementsAre(4));
}

TEST(Subset, RefusesWhatIsNotThere) {
  const auto data = numbered(10);
  EXPECT_THAT([] { Subset(nullptr, {0}); },
              ThrowsMessage<ArgumentError>(HasSubstr("Subset: the dataset is null")));
  EXPECT_THAT([&] { Subset(data, {}); }, ThrowsMessage<ArgumentError>(HasSubstr("at least one sample")));
  EXPECT_THAT(
      [&] {
        Subset(data, {0, 10});
      },
      ThrowsMessage<ArgumentError>(HasSubstr("Subset: sample 10 of 10")));
  EXPECT_THAT([&] { Subset(data, {-1}); }, ThrowsMessage<ArgumentError>(HasSubstr("sample -1 of 10")));
  const Subset subset(data, {8, 9});
  float value;
  EXPECT_THAT([&] { subset.read(2, {&value, 1}); }, ThrowsMessage<ArgumentError>(HasSubstr("sample 2 of 2")));
  EXPECT_THAT([&] { subset.label(-1); }, ThrowsMessage<ArgumentError>(HasSubstr("sample -1 of 2")));
}

TEST(SplitData, IsAPartitionOfAnySize) {
  for (const Index validation : {1, 2, 50, 99, 100})
    expect_partition(split(numbered(101), validation, 3), 101, validation);
  expect_partition(split(numbered(2), 1), 2, 1);
}

TEST(SplitData, DependsOnTheSeedAlone) {
  const auto held_out = [](std::uint64_t seed) {
    return numbers_in(*split(numbered(100), 20, seed).validation);
  };
  EXPECT_EQ(held_out(5), held_out(5));
  EXPECT_EQ(numbers_in(*split(numbered(100), 20).validation), held_out(0));
  EXPECT_NE(held_out(5), held_out(6));
  // Every sample has the same chance: a fifth of 1000 draws is 200, with a deviation of 12.6.
  std::vector<int> times(100);
  for (std::uint64_t seed = 0; seed < 1000; ++seed)
    for (const Index i : held_out(seed)) ++times[static_cast<std::size_t>(i)];
  for (const int count : times) EXPECT_NEAR(count, 200, 65);
}

TEST(SplitData, TakesAShare) {
  expect_partition(split(numbered(100), 0.1, 1), 100, 10);
  expect_partition(split(numbered(100), 0.25F), 100, 25);
  expect_partition(split(numbered(7), 0.5), 7, 4);  // 3.5, rounded
  expect_partition(split(numbered(10), 0.34), 10, 3);
  EXPECT_EQ(numbers_in(*split(numbered(50), 0.2, 8).validation),
            numbers_in(*split(numbered(50), 10, 8).validation));
}

TEST(SplitData, RefusesAPartWithoutSamples) {
  const auto data = numbered(10);
  for (const Index count : {-1, 0, 10, 11})
    EXPECT_THAT(
        [&] { split(data, count); },
        ThrowsMessage<ArgumentError>(HasSubstr("split: " + std::to_string(count) + " of 10 samples")));
  EXPECT_THAT([&] { split(data, 0.04); }, ThrowsMessage<ArgumentError>(HasSubstr("split: 0 of 10 samples")));
  EXPECT_THAT([&] { split(data, 0.96); }, ThrowsMessage<ArgumentError>(HasSubstr("split: 10 of 10 samples")));
  for (const double share : {-0.5, 0.0, 1.0, 20.0, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_THAT([&] { split(data, share); },
                ThrowsMessage<ArgumentError>(HasSubstr("between 0 and 1, got " + std::to_string(share))));
  EXPECT_THAT([] { split(nullptr, 1); },
              ThrowsMessage<ArgumentError>(HasSubstr("split: the dataset is null")));
  EXPECT_THAT([] { split(nullptr, 0.5); },
              ThrowsMessage<ArgumentError>(HasSubstr("split: the dataset is null")));
}

TEST(Take, IsTheFirstSamples) {
  const auto data = numbered(10);
  EXPECT_EQ(numbers_in(*take(data, 4)), counting(4));
  EXPECT_EQ(take(data, 10), data);
  EXPECT_EQ(take(data, 1000), data);
  EXPECT_THAT([&] { take(data, 0); },
              ThrowsMessage<ArgumentError>(HasSubstr("take: at least one sample is needed, got 0")));
  EXPECT_THAT([&] { take(data, -3); }, ThrowsMessage<ArgumentError>(HasSubstr("got -3")));
  EXPECT_THAT([] { take(nullptr, 1); }, ThrowsMessage<ArgumentError>(HasSubstr("take: the dataset is null")));
}

}  // namespace
}  // namespace strata
