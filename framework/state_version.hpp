// StateVersion: whether a layer's parameters and buffers are as they were, told without reading them.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

namespace strata {

/// A number for each state that a layer is in; a copy has its origin's. There is none for a layer to whose
/// parameters or buffers someone has a pointer, through which they may change at any time.
class StateVersion {
 public:
  StateVersion();
  StateVersion(const StateVersion& other);  // no one has pointers into a copy
  StateVersion(StateVersion&& other) noexcept;
  StateVersion& operator=(const StateVersion& other);
  StateVersion& operator=(StateVersion&& other) noexcept;
  ~StateVersion() = default;

  /// The state is another now.
  void change();
  /// Someone is given a pointer, for good.
  void lend() { lent_.store(true, std::memory_order_relaxed); }

  std::optional<std::uint64_t> number() const {
    if (lent_.load(std::memory_order_relaxed)) return std::nullopt;
    return number_;
  }

 private:
  std::uint64_t number_;
  // Parameters may be listed while other threads infer.
  std::atomic<bool> lent_ = false;
};

}  // namespace strata
