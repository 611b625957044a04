#include <algorithm>
#include <atomic>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/runtime/address_sanitizer.hpp"
#include "strata/strata.hpp"

namespace strata {
namespace {

// Sample i holds (i, i + 1/4) and has the label i % classes.
std::shared_ptr<TensorDataset> numbered(Index count, Index classes = 3) {
  auto samples = empty<float>({static_cast<std::size_t>(count), 2});
  Labels labels;
  for (Index i = 0; i < count; ++i) {
    samples(i, 0) = static_cast<float>(i);
    samples(i, 1) = static_cast<float>(i) + 0.25F;
    labels.push_back(static_cast<std::int32_t>(i % classes));
  }
  return std::make_shared<TensorDataset>(std::move(samples), std::move(labels), classes);
}

template <class T>
std::vector<Batch<T>> epoch_of(DataLoader<T>& loader, Index epoch, Index first_batch = 0) {
  loader.start_epoch(epoch, first_batch);
  std::vector<Batch<T>> batches;
  while (auto batch = loader.next()) batches.push_back(std::move(*batch));
  return batches;
}

template <class T>
std::vector<Index> numbers_in(const std::vector<Batch<T>>& batches) {
  std::vector<Index> numbers;
  for (const auto& batch : batches)
    for (std::size_t i = 0; i < batch.labels.size(); ++i)
      numbers.push_back(static_cast<Index>(batch.samples(i, 0)));
  return numbers;
}

template <class T>
void expect_equal(const std::vector<Batch<T>>& a, const std::vector<Batch<T>>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].samples, b[i].samples);
    EXPECT_EQ(a[i].labels, b[i].labels);
  }
}

std::vector<Index> counting(Index count) {
  std::vector<Index> numbers(count);
  std::iota(numbers.begin(), numbers.end(), Index{0});
  return numbers;
}

TEST(DataLoader, VisitsEverySampleOnceWithItsLabel) {
  DataLoader<float> loader(numbered(103), {.batch_size = 10, .seed = 5});
  for (Index epoch = 0; epoch < 3; ++epoch) {
    const auto batches = epoch_of(loader, epoch);
    ASSERT_EQ(batches.size(), 11U);
    EXPECT_EQ(loader.batches(), 11);
    for (std::size_t b = 0; b < 10; ++b) EXPECT_EQ(batches[b].samples.shape(), (Shape{10, 2}));
    EXPECT_EQ(batches[10].samples.shape(), (Shape{3, 2}));
    auto numbers = numbers_in(batches);
    std::size_t position = 0;
    for (const auto& batch : batches)
      for (std::size_t i = 0; i < batch.labels.size(); ++i, ++position) {
        EXPECT_EQ(batch.labels[i], numbers[position] % 3);
        EXPECT_EQ(batch.samples(i, 1), static_cast<float>(numbers[position]) + 0.25F);
      }
    EXPECT_NE(numbers, counting(103));
    std::sort(numbers.begin(), numbers.end());
    EXPECT_EQ(numbers, counting(103));
  }
}

TEST(DataLoader, DropsOnlyTheLastBatchThatIsNotFull) {
  DataLoader<float> uneven(numbered(23), {.batch_size = 10, .drop_last = true});
  EXPECT_EQ(uneven.batches(), 2);
  EXPECT_EQ(epoch_of(uneven, 0).size(), 2U);
  DataLoader<float> even(numbered(20), {.batch_size = 10, .drop_last = true});
  EXPECT_EQ(even.batches(), 2);
  EXPECT_EQ(epoch_of(even, 0).size(), 2U);
}

TEST(DataLoader, KeepsTheOrderWithoutShuffle) {
  DataLoader<double> loader(numbered(25), {.batch_size = 4, .shuffle = false});
  EXPECT_EQ(numbers_in(epoch_of(loader, 0)), counting(25));
  EXPECT_EQ(numbers_in(epoch_of(loader, 1)), counting(25));
}

TEST(DataLoader, OrderIsTheSeedsPermutation) {
  DataLoader<float> loader(numbered(40), {.batch_size = 8, .seed = 11});
  EXPECT_EQ(numbers_in(epoch_of(loader, 3)), Random(combine_seeds(11, 3)).permutation(40));
  EXPECT_EQ(numbers_in(epoch_of(loader, 0)), Random(combine_seeds(11, 0)).permutation(40));

  DataLoader<float> other_batches(numbered(40), {.batch_size = 7, .seed = 11});
  EXPECT_EQ(numbers_in(epoch_of(other_batches, 3)), numbers_in(epoch_of(loader, 3)));
  EXPECT_NE(numbers_in(epoch_of(loader, 4)), numbers_in(epoch_of(loader, 3)));
  DataLoader<float> other_seed(numbered(40), {.batch_size = 8, .seed = 12});
  EXPECT_NE(numbers_in(epoch_of(other_seed, 3)), numbers_in(epoch_of(loader, 3)));
}

TEST(DataLoader, EntersAnEpochInTheMiddle) {
  DataLoader<float> loader(numbered(50), {.batch_size = 8, .seed = 2});
  const auto whole = epoch_of(loader, 6);
  for (Index first = 0; first <= loader.batches(); ++first)
    expect_equal(epoch_of(loader, 6, first), {whole.begin() + first, whole.end()});
}

TEST(DataLoader, StartsAnewInMidEpoch) {
  DataLoader<float> loader(numbered(500), {.batch_size = 4, .seed = 2});
  const auto whole = epoch_of(loader, 1);
  for (int taken = 0; taken < 5; ++taken) {
    loader.start_epoch(0);
    for (int i = 0; i < taken; ++i) loader.next();
    expect_equal(epoch_of(loader, 1), whole);
  }
}

TEST(DataLoader, MovesWithItsEpoch) {
  DataLoader<float> loader(numbered(30), {.batch_size = 10, .shuffle = false});
  loader.start_epoch(0);
  EXPECT_EQ(loader.next()->samples(0, 0), 0);
  DataLoader<float> moved = std::move(loader);
  EXPECT_EQ(moved.next()->samples(0, 0), 10);
  DataLoader<float> assigned(numbered(9), {});
  assigned = std::move(moved);
  EXPECT_EQ(assigned.next()->samples(0, 0), 20);
  EXPECT_FALSE(assigned.next());
  EXPECT_FALSE(assigned.next());
}

// Counts what is read and throws at one sample.
class Watched final : public Dataset {
 public:
  explicit Watched(Index bad = -1) : bad_(bad) {}
  Index size() const override { return 1000; }
  Shape sample_shape() const override { return {1}; }
  Index classes() const override { return 1; }
  std::int32_t label(Index) const override { return 0; }
  void read(Index i, std::span<float> sample) const override {
    if (i == bad_) throw DataError("sample " + std::to_string(i) + " is bad");
    sample[0] = static_cast<float>(i);
    ++reads;
  }
  mutable std::atomic<Index> reads = 0;

 private:
  Index bad_;
};

TEST(DataLoader, RethrowsWhatReadingThrewInItsPlace) {
  DataLoader<float> loader(std::make_shared<Watched>(25), {.batch_size = 10, .shuffle = false});
  for (Index epoch = 0; epoch < 2; ++epoch) {
    loader.start_epoch(epoch);
    EXPECT_EQ(loader.next()->samples(0, 0), 0);
    EXPECT_EQ(loader.next()->samples(0, 0), 10);
    for (int i = 0; i < 2; ++i) {
      try {
        loader.next();
        FAIL() << "nothing was thrown";
      } catch (const DataError& error) {
        EXPECT_STREQ(error.what(), "sample 25 is bad");
      }
    }
  }
  loader.start_epoch(0, 3);
  EXPECT_EQ(loader.next()->samples(0, 0), 30);
}

TEST(DataLoader, PreparesTwoBatchesAheadAndStopsInMidEpoch) {
  auto dataset = std::make_shared<Watched>();
  {
    DataLoader<float> loader(dataset, {.batch_size = 10});
    loader.start_epoch(0);
    loader.next();
  }
  const Index reads = dataset->reads;
  EXPECT_GE(reads, 10);
  EXPECT_LE(reads, 30);  // one taken, two waiting
  { const DataLoader<float> never_started(dataset, {}); }
  EXPECT_EQ(dataset->reads, reads);
}

#if !STRATA_ADDRESS_SANITIZED  // under which blocks are not used again
TEST(DataLoader, AsksTheSystemForNoMemoryInSteadyState) {
  const auto dataset =
      std::make_shared<ImageDataset>(std::vector<std::uint8_t>(1000 * 3072, 7), Shape{3, 32, 32},
                                     Labels(1000), std::vector<std::string>{"a"});
  DataLoader<float> loader(dataset, {.batch_size = 64});
  const auto pass = [&](Index epoch) {
    loader.start_epoch(epoch);
    while (auto batch = loader.next()) EXPECT_GT(batch->samples(0, 0, 0, 0), 0);
  };
  for (Index epoch = 0; epoch < 4; ++epoch) pass(epoch);
  const auto before = memory_statistics().system_allocations;
  for (Index epoch = 4; epoch < 14; ++epoch) pass(epoch);
  // How many batches are alive at once depends on who is faster; it is at most two more than before.
  EXPECT_LE(memory_statistics().system_allocations, before + 2);
}
#endif

TEST(DataLoader, RefusesMisuse) {
  using testing::HasSubstr;
  using testing::ThrowsMessage;
  const auto data = numbered(10);
  const auto make = [&](LoaderOptions options) { return [=] { DataLoader<float>(data, options); }; };
  EXPECT_THAT(([] { DataLoader<float>(nullptr, {}); }), ThrowsMessage<ArgumentError>(HasSubstr("null")));
  EXPECT_THAT(make({.batch_size = 0}),
              ThrowsMessage<ArgumentError>(HasSubstr("batch_size must be at least 1, got 0")));
  EXPECT_THAT(make({.batch_size = 11, .drop_last = true}),
              ThrowsMessage<ArgumentError>(HasSubstr("batch_size 11 leaves no batch of 10 samples")));
  EXPECT_THAT(make({.augmentation = {.horizontal_flip = true}}),
              ThrowsMessage<ArgumentError>(HasSubstr("(2)")));
  EXPECT_THAT(make({.standardization = Standardization{{0}, {1}}}),
              ThrowsMessage<ArgumentError>(HasSubstr("samples of shape (2)")));
  EXPECT_THAT(make({.standardization = Standardization{{0, 0}, {1, 0}}}),
              ThrowsMessage<ArgumentError>(HasSubstr("deviation of channel 1 must be positive")));
  DataLoader<float> loader(data, {.batch_size = 3});
  EXPECT_THROW(loader.next(), StateError);
  EXPECT_THROW(loader.start_epoch(-1), ArgumentError);
  EXPECT_THROW(loader.start_epoch(0, -1), ArgumentError);
  EXPECT_THAT(([&] { loader.start_epoch(0, 5); }),
              ThrowsMessage<ArgumentError>(HasSubstr("4 batches, it cannot begin at 5")));
}

}  // namespace
}  // namespace strata
