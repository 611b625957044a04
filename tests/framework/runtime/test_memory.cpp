#include <algorithm>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "strata/framework/runtime/address_sanitizer.hpp"
#include "strata/framework/runtime/memory.hpp"
#include "strata/layers/kernels/scratch.hpp"
#include "strata/strata.hpp"

namespace strata {
namespace {

constexpr std::size_t kLarge = 300'000;  // bytes; no other test uses this size class while this one runs

TEST(Memory, BlocksAreAligned) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{100}, kLarge}) {
    void* block = detail::acquire_block(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 64, 0u);
    if (bytes > 0) std::memset(block, 1, bytes);
    detail::release_block(block, bytes);
  }
}

// 2^62 + 1 floats are 4 bytes, modulo 2^64.
TEST(Memory, RefusesMoreBytesThanCanBeCounted) {
  const auto refused = [](auto element, std::size_t count) {
    RecyclingAllocator<decltype(element)> allocator;
    EXPECT_THROW(static_cast<void>(allocator.allocate(count)), std::bad_array_new_length) << count;
  };
  for (const std::size_t count :
       {(std::size_t{1} << 62) + 1, std::size_t{1} << 62, SIZE_MAX, SIZE_MAX / 2 + 1}) {
    refused(float{}, count);
    refused(double{}, count);
  }
  refused(std::uint8_t{}, SIZE_MAX);
  EXPECT_THROW(kernels::Scratch<float>((Index{1} << 62) + 1), std::bad_array_new_length);
  EXPECT_THROW(kernels::Scratch<double>(-1), std::bad_array_new_length);
  EXPECT_THROW(detail::acquire_block(SIZE_MAX), std::bad_array_new_length);
}

TEST(Memory, ClearsABlockOfAnySizeAndNothingBesideIt) {
  constexpr std::size_t kPage = 4096;
  std::vector<unsigned char> room(kLarge + 3 * kPage);
  for (const std::size_t from : {std::size_t{1}, kPage, kPage + 64})
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{100}, std::size_t{64} << 10, kLarge}) {
      std::fill(room.begin(), room.end(), 1);
      detail::clear_block(room.data() + from, bytes);
      for (std::size_t i = 0; i < room.size(); ++i)
        ASSERT_EQ(room[i], i >= from && i < from + bytes ? 0 : 1) << i << " of " << bytes << " from " << from;
    }
}

TEST(Memory, AnEmptyTensorOfZerosIsEmpty) {
  EXPECT_EQ(zeros<float>({3, 0}).size(), 0u);
}

TEST(Memory, ALargeTensorOfZerosIsZero) {
  for (int time = 0; time < 2; ++time) {  // the second one in the block of the first
    auto x = zeros<float>({300, 1000});
    EXPECT_EQ(x, full<float>({300, 1000}, 0.0f));
    x.fill(1);
  }
}

TEST(Memory, CountsWhatIsInUse) {
  const MemoryStatistics before = memory_statistics();
  void* block = detail::acquire_block(kLarge);
  const MemoryStatistics during = memory_statistics();
  EXPECT_GE(during.in_use, before.in_use + kLarge);
  EXPECT_LE(during.in_use, before.in_use + kLarge * 9 / 8);
  EXPECT_GE(during.peak, during.in_use);
  detail::release_block(block, kLarge);
  EXPECT_EQ(memory_statistics().in_use, before.in_use);
}

// Sets a limit, and the default again.
struct WithLimit {
  explicit WithLimit(std::size_t bytes) { set_cached_memory_limit(bytes); }
  ~WithLimit() { set_cached_memory_limit({}); }
  WithLimit(const WithLimit&) = delete;
  WithLimit& operator=(const WithLimit&) = delete;
};

TEST(Memory, ImagesOfManySizesLeaveNoMoreThanTheLimit) {
  constexpr std::size_t kLimit = 500'000;
  EXPECT_EQ(cached_memory_limit(), 2 * memory_statistics().peak);
  const WithLimit limit(kLimit);
  EXPECT_EQ(cached_memory_limit(), kLimit);
  EXPECT_LE(memory_statistics().cached, kLimit);
  Sequential<float> net{Conv2D<float>{1, 4, 3, {.padding = 1}}, SpatialBatchNorm<float>{4}, ReLU<float>{},
                        GlobalAvgPool2D<float>{}};
  const auto size = Random(1).permutation(300);
  for (std::size_t i = 0; i < 300; i += 2) {
    const auto x = full<float>(
        {1, 1, 2 + static_cast<std::size_t>(size[i]), 2 + static_cast<std::size_t>(size[i + 1])}, 1);
    if (i % 3 == 0)
      net.backward(net.forward(x));
    else
      net.infer(x);
    ASSERT_LE(memory_statistics().cached, kLimit) << i;
  }
}

#if !STRATA_ADDRESS_SANITIZED  // which wants to see every use after free
TEST(Memory, WhatHasNotBeenUsedForLongestGoesBack) {
  constexpr std::size_t kBytes[] = {std::size_t{1} << 20, std::size_t{1} << 19, std::size_t{1} << 18,
                                    std::size_t{1} << 17};  // sizes that are not rounded up
  const WithLimit limit(kBytes[0] + kBytes[1]);
  release_cached_memory();
  const auto use = [](std::size_t bytes) {
    const std::uint64_t before = memory_statistics().system_allocations;
    detail::release_block(detail::acquire_block(bytes), bytes);
    return memory_statistics().system_allocations - before;
  };
  const auto cached = [] { return memory_statistics().cached; };
  EXPECT_EQ(use(kBytes[1]), 1U);
  EXPECT_EQ(use(kBytes[0]), 1U);
  EXPECT_EQ(cached(), kBytes[0] + kBytes[1]);
  EXPECT_EQ(use(kBytes[1]), 0U);  // of the two, the other is the older one now
  EXPECT_EQ(use(kBytes[2]), 1U);
  EXPECT_EQ(cached(), kBytes[1] + kBytes[2]);
  EXPECT_EQ(use(kBytes[3]), 1U);
  EXPECT_EQ(use(kBytes[2]), 0U);
  EXPECT_EQ(cached(), kBytes[1] + kBytes[2] + kBytes[3]);

  set_cached_memory_limit(kBytes[2] + 1);  // counts at once
  EXPECT_EQ(cached(), kBytes[2]);
  EXPECT_EQ(use(kBytes[2]), 0U);
  set_cached_memory_limit(0);
  EXPECT_EQ(cached(), 0U);
  EXPECT_EQ(use(kBytes[3]), 1U);
  EXPECT_EQ(use(kBytes[3]), 1U);
  EXPECT_EQ(cached(), 0U);
}

// Two threads free what the other has got, at a limit that both exceed all the time.
TEST(Memory, TheLimitHoldsWithManyThreads) {
  constexpr std::size_t kLimit = 200'000;
  const WithLimit limit(kLimit);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (std::size_t i = 0; i < 500; ++i) {
        const auto first = full<float>({5'000 + 100 * ((7 * i + t) % 64)}, 1);
        const auto second = full<float>({5'000 + 100 * ((5 * i + t) % 64)}, 2);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(memory_statistics().cached, kLimit);
}

TEST(Memory, TheSameBlockComesBack) {
  void* first = detail::acquire_block(kLarge);
  detail::release_block(first, kLarge);
  const MemoryStatistics before = memory_statistics();
  EXPECT_GE(before.cached, kLarge);
  void* second = detail::acquire_block(kLarge - 1000);  // of the same class
  EXPECT_EQ(second, first);
  EXPECT_EQ(memory_statistics().system_allocations, before.system_allocations);
  detail::release_block(second, kLarge - 1000);
}

TEST(Memory, ASteadyStepAsksTheSystemForNothing) {
  Sequential<float> net{Linear<float>{256, 300}, ReLU<float>{}, Linear<float>{300, 10}};
  const auto x = full<float>({128, 256}, 1), dy = full<float>({128, 10}, 1);
  const auto allocations_of_step = [&] {
    const std::uint64_t before = memory_statistics().system_allocations;
    net.forward(x);
    net.backward(dy);
    return memory_statistics().system_allocations - before;
  };
  const int threads = num_threads();
  set_num_threads(1);
  for (int i = 0; i < 2; ++i) allocations_of_step();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(allocations_of_step(), 0u) << i;
  // Of several threads, each asks for its working memory in the first step in which it works beside the
  // others.
  set_num_threads(threads);
  int quiet = 0;
  for (int i = 0; i < 1000 && quiet < 50; ++i) quiet = allocations_of_step() == 0 ? quiet + 1 : 0;
  EXPECT_EQ(quiet, 50);
}
#endif

TEST(Memory, TheCacheCanBeGivenBack) {
  detail::release_block(detail::acquire_block(kLarge), kLarge);
  release_cached_memory();
  EXPECT_EQ(memory_statistics().cached, 0u);
}

TEST(Memory, ServesManyThreads) {
  const std::size_t before = memory_statistics().in_use;
  std::vector<std::thread> threads;
  std::vector<int> damaged(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const auto mine = full<float>({20'000}, static_cast<float>(t));
        std::this_thread::yield();
        for (const float value : mine) damaged[t] += value != static_cast<float>(t);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(damaged, std::vector<int>(4));
  EXPECT_EQ(memory_statistics().in_use, before);
}

}  // namespace
}  // namespace strata
