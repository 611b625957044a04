#include "strata/framework/philox.hpp"

#include "strata/framework/runtime/kernel_table.hpp"

namespace strata::kernels {
namespace {

void fill(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, Index count, std::uint64_t* bits) {
  Words a, b, c, d;
  for (Index done = 0; done < count; done += kCounters) {
    philox(seed, stream, first + static_cast<std::uint64_t>(done), 1, a, b, c, d);
    const Index wanted = count - done < kCounters ? count - done : kCounters;
    for (Index i = 0; i < wanted; ++i) bits[done + i] = std::uint64_t{b[i]} << 32 | a[i];
  }
}

constexpr RandomBits kTable{fill};

}  // namespace

STRATA_KERNEL_TABLE(kTable);

}  // namespace strata::kernels
