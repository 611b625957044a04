#include "strata/framework/elementwise.hpp"

#include <xsimd/xsimd.hpp>

#include "strata/framework/runtime/kernel_table.hpp"

namespace strata::kernels {
namespace {

// A plain loop, which the compiler turns into vector code for each instruction set.
template <class T>
void add(T* __restrict a, const T* __restrict b, Index count) {
  for (Index i = 0; i < count; ++i) a[i] += b[i];
}

// Vectors by hand, because y may be a or b.
template <class T>
void sum(const T* a, const T* b, T* y, Index count) {
  using Batch = xsimd::batch<T>;
  constexpr auto kLanes = static_cast<Index>(Batch::size);
  Index i = 0;
  for (; i + kLanes <= count; i += kLanes)
    (Batch::load_unaligned(a + i) + Batch::load_unaligned(b + i)).store_unaligned(y + i);
  for (; i < count; ++i) y[i] = a[i] + b[i];
}

// Vectors by hand: a plain loop becomes memcpy, whose `rep movsb` (from 2 KB in glibc) is ten times slower on
// Zen where the destination lies a few bytes further in its page than the source does in its own.
template <class T>
void copy(T* __restrict to, const T* __restrict from, Index count) {
  using Batch = xsimd::batch<T>;
  constexpr auto kLanes = static_cast<Index>(Batch::size);
  Index i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    const Batch first = Batch::load_unaligned(from + i), second = Batch::load_unaligned(from + i + kLanes),
                third = Batch::load_unaligned(from + i + 2 * kLanes),
                fourth = Batch::load_unaligned(from + i + 3 * kLanes);
    first.store_unaligned(to + i);
    second.store_unaligned(to + i + kLanes);
    third.store_unaligned(to + i + 2 * kLanes);
    fourth.store_unaligned(to + i + 3 * kLanes);
  }
  for (; i < count; ++i) to[i] = from[i];
}

template <class T>
constexpr Elementwise<T> kTable{add<T>, sum<T>, copy<T>};

}  // namespace

STRATA_KERNEL_TABLE(kTable<float>);
STRATA_KERNEL_TABLE(kTable<double>);

}  // namespace strata::kernels
