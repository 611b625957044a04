// For tests of what only the fast kernels do, whatever STRATA_REFERENCE says.
#pragma once

#include "strata/framework/runtime/switches.hpp"

namespace strata {

/// While one lives, layers run by their kernels.
class KernelsOnly {
 public:
  KernelsOnly() { set_reference(false); }
  ~KernelsOnly() { set_reference(before_); }
  KernelsOnly(const KernelsOnly&) = delete;
  KernelsOnly& operator=(const KernelsOnly&) = delete;

 private:
  bool before_ = uses_reference();
};

}  // namespace strata
