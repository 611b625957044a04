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

#if !STRATA_ADDRESS_SANITIZED  // which wants to see every use after free
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
