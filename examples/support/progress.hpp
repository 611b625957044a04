// The line that tells how training goes.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "strata/optim/solver.hpp"

namespace strata::support {

/// "3:07", minutes and seconds.
std::string duration(double seconds);

/// Four digits behind the point, or "-" for NaN: what is undefined.
std::string figure(double value);

/// The fields in a line, two spaces apart; those that would make it wider than `width` are left out, but for
/// the first, which is cut.
std::string fit(const std::vector<std::string>& fields, std::size_t width);

/// Rewrites its line in place on a terminal, as wide as that is; prints it now and then elsewhere.
class Progress {
 public:
  Progress() = default;
  /// Ends a line that is left when training is.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(const StepReport& step);
  void show(const EpochReport& epoch);

 private:
  std::chrono::steady_clock::time_point shown_{};
  bool line_is_open_ = false;
};

}  // namespace strata::support
