// The line that tells how training goes.
#pragma once

#include <chrono>
#include <string>

#include "strata/optim/solver.hpp"

namespace strata::support {

/// "3:07", minutes and seconds.
std::string duration(double seconds);

/// Rewrites its line in place on a terminal, prints it now and then elsewhere.
class Progress {
 public:
  void show(const StepReport& step);
  void show(const EpochReport& epoch);

 private:
  std::chrono::steady_clock::time_point shown_{};
};

}  // namespace strata::support
