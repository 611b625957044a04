// Ctrl-C between two steps instead of within one.
#pragma once

namespace strata::support {

/// The exit status of a program that was told to stop.
constexpr int kStopped = 130;

/// While one lives, the first SIGINT or SIGTERM is only noted; the second ends the process at once, with
/// status 130.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool received() const;
};

}  // namespace strata::support
