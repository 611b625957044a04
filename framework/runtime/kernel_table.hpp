// How kernels are found: a struct of function pointers for each instruction set. For the sources of the
// library and its tests.
#pragma once

#include <type_traits>

#include "strata/framework/runtime/instruction_set.hpp"

namespace strata::kernels {

/// The functions of `Table`, a struct of function pointers, as compiled for one instruction set.
template <class Table, InstructionSet>
const Table& compiled_for();

/// The functions of `Table` for the instruction set in use.
template <class Table>
const Table& table() {
  switch (instruction_set()) {
#if defined(STRATA_AVX512)
    case InstructionSet::avx512:
      return compiled_for<Table, InstructionSet::avx512>();
#endif
#if defined(STRATA_AVX2)
    case InstructionSet::avx2:
      return compiled_for<Table, InstructionSet::avx2>();
#endif
    default:
      return compiled_for<Table, InstructionSet::generic>();
  }
}

}  // namespace strata::kernels

/// For sources NAME.simd.cpp, which are compiled once for each instruction set, STRATA_ISA. Makes a constant,
/// a struct of function pointers, what kernels::table<its type>() gives where this instruction set is in use.
/// To be written in namespace strata::kernels.
#define STRATA_KERNEL_TABLE(...)                                                        \
  template <>                                                                           \
  const std::remove_cv_t<decltype(__VA_ARGS__)>&                                        \
  compiled_for<std::remove_cv_t<decltype(__VA_ARGS__)>, InstructionSet::STRATA_ISA>() { \
    return __VA_ARGS__;                                                                 \
  }                                                                                     \
  static_assert(true) /* takes the semicolon */
