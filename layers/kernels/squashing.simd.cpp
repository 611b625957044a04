#include "strata/layers/kernels/squashing.hpp"

#include <cstring>

#include <xsimd/xsimd.hpp>

#include "strata/framework/instruction_set.hpp"

namespace strata::kernels {
namespace {

// The last elements are padded to a batch, so that every element goes the same way wherever a range ends.
template <class T, class Function>
inline void apply(T* x, Index count, const Function& function) {
  using Batch = xsimd::batch<T>;
  constexpr auto kLanes = static_cast<Index>(Batch::size);
  Index i = 0;
  for (; i + kLanes <= count; i += kLanes) function(Batch::load_unaligned(x + i)).store_unaligned(x + i);
  if (i == count) return;
  T last[kLanes] = {};
  const std::size_t bytes = static_cast<std::size_t>(count - i) * sizeof(T);
  std::memcpy(last, x + i, bytes);
  function(Batch::load_unaligned(last)).store_unaligned(last);
  std::memcpy(x + i, last, bytes);
}

template <class T>
void sigmoid(T* x, Index count) {
  apply(x, count, [](const auto& value) { return T{1} / (T{1} + xsimd::exp(-value)); });
}

template <class T>
void tanh(T* x, Index count) {
  apply(x, count, [](const auto& value) { return xsimd::tanh(value); });
}

template <class T>
constexpr Squashing<T> kTable{sigmoid<T>, tanh<T>};

}  // namespace

template <>
const Squashing<float>& compiled_for<Squashing<float>, InstructionSet::STRATA_ISA>() {
  return kTable<float>;
}
template <>
const Squashing<double>& compiled_for<Squashing<double>, InstructionSet::STRATA_ISA>() {
  return kTable<double>;
}

}  // namespace strata::kernels
