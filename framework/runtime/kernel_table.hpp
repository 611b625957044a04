// For sources NAME.simd.cpp, which are compiled once for each instruction set, STRATA_ISA.
#pragma once

#include <type_traits>

#include "strata/framework/runtime/instruction_set.hpp"

/// Makes a constant, a struct of function pointers, what kernels::table<its type>() gives where this
/// instruction set is in use. To be written in namespace strata::kernels.
#define STRATA_KERNEL_TABLE(...)                                                        \
  template <>                                                                           \
  const std::remove_cv_t<decltype(__VA_ARGS__)>&                                        \
  compiled_for<std::remove_cv_t<decltype(__VA_ARGS__)>, InstructionSet::STRATA_ISA>() { \
    return __VA_ARGS__;                                                                 \
  }                                                                                     \
  static_assert(true) /* takes the semicolon */
