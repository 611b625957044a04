// Switches of the whole process: how layers compute what they compute.
#pragma once

#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// Whether networks fuse layers: true unless STRATA_FUSION is 0. Fused layers compute what they would compute
/// one by one, up to rounding. Throws ArgumentError if the variable is neither 0 nor 1.
bool fusion();
/// Changes it, from the next forward on.
void set_fusion(bool on);

/// Whether layers run by the plain loops of layers/reference instead of the fast kernels, and nothing is
/// fused: false unless STRATA_REFERENCE is 1. Slow: for learning, and for finding out whether a kernel is at
/// fault. Throws ArgumentError if the variable is neither 0 nor 1.
bool uses_reference();
/// Changes it, from the next forward on.
void set_reference(bool on);

}  // namespace strata
