// Which build of the kernels runs. A file NAME.simd.cpp is compiled once for each instruction set, with
// STRATA_ISA standing for it; the processor decides at run time which of the builds is used.
#pragma once

#include <string_view>

namespace strata {

/// `generic` is what the compiler's target guarantees (on 64-bit ARM that includes NEON).
enum class InstructionSet { generic, avx2, avx512 };

std::string_view to_string(InstructionSet set);

/// The set in use. Default: the best that the processor has, or STRATA_INSTRUCTION_SET (generic, avx2 or
/// avx512).
InstructionSet instruction_set();

/// Changes it for the whole process. Throws ArgumentError if the processor does not have it.
void set_instruction_set(InstructionSet set);
bool is_available(InstructionSet set);

namespace kernels {

/// The functions of `Table`, a struct of function pointers, as compiled for one instruction set.
/// NAME.simd.cpp specializes it for InstructionSet::STRATA_ISA.
template <class Table, InstructionSet>
const Table& compiled_for();

/// The functions of `Table` for the instruction set in use.
template <class Table>
const Table& table() {
#if defined(__x86_64__)
  switch (instruction_set()) {
    case InstructionSet::avx512:
      return compiled_for<Table, InstructionSet::avx512>();
    case InstructionSet::avx2:
      return compiled_for<Table, InstructionSet::avx2>();
    case InstructionSet::generic:
      break;
  }
#endif
  return compiled_for<Table, InstructionSet::generic>();
}

}  // namespace kernels
}  // namespace strata
