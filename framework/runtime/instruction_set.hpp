// Which build of the kernels runs. A file NAME.simd.cpp is compiled once for each instruction set, with
// STRATA_ISA standing for it; the processor decides at run time which of the builds is used.
#pragma once

#include <string_view>

#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// `generic` is what the compiler's target guarantees (on 64-bit ARM that includes NEON).
enum class InstructionSet { generic, avx2, avx512 };

std::string_view to_string(InstructionSet set);

/// The set in use. Default: the best that the processor has, or STRATA_INSTRUCTION_SET (generic, avx2 or
/// avx512).
InstructionSet instruction_set();

/// Changes it for the whole process. Throws ArgumentError if it is not available: if the processor does not
/// have it, or the library was built without it (STRATA_INSTRUCTION_SETS of CMakeLists.txt).
void set_instruction_set(InstructionSet set);
bool is_available(InstructionSet set);

}  // namespace strata
