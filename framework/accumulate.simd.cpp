#include "strata/framework/accumulate.hpp"

#include "strata/framework/instruction_set.hpp"

namespace strata::kernels {
namespace {

// A plain loop, which the compiler turns into vector code for each instruction set.
template <class T>
void add(T* __restrict a, const T* __restrict b, Index count) {
  for (Index i = 0; i < count; ++i) a[i] += b[i];
}

template <class T>
constexpr Accumulate<T> kTable{add<T>};

}  // namespace

template <>
const Accumulate<float>& compiled_for<Accumulate<float>, InstructionSet::STRATA_ISA>() {
  return kTable<float>;
}
template <>
const Accumulate<double>& compiled_for<Accumulate<double>, InstructionSet::STRATA_ISA>() {
  return kTable<double>;
}

}  // namespace strata::kernels
