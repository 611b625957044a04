// What a fork() has to wait for, and what its child has to know.
#pragma once

#include <atomic>
#include <mutex>

#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {
namespace detail {

/// How many forks lie between this process and the first one that loaded the library: threads that were
/// started at another number are not here.
unsigned forks();

/// While one lives on any thread, fork() waits: a child would find what that thread has locked, here or in
/// another library, locked for ever. They nest. No parallel loop may run meanwhile, as its other threads
/// might come to wait for the fork.
class HoldFork {
 public:
  HoldFork() { begin(); }
  ~HoldFork() { end(); }
  HoldFork(const HoldFork&) = delete;
  HoldFork& operator=(const HoldFork&) = delete;

  static void begin();
  static void end();
};

/// A mutex that no child finds locked.
class Mutex {
 public:
  void lock() {
    HoldFork::begin();
    mutex_.lock();
  }
  void unlock() {
    mutex_.unlock();
    HoldFork::end();
  }

 private:
  std::mutex mutex_;
};

/// What is made at its first use, as static variables of functions are, but so that no child finds it half
/// made. To be declared static constinit; never destroyed, as threads and tensors may outlive all else.
template <class T>
class Lazy {
 public:
  template <class Make>
  T& get(const Make& make) {
    if (T* const made = made_.load(std::memory_order_acquire)) return *made;
    const std::scoped_lock lock(mutex_);
    if (!made_.load(std::memory_order_relaxed)) made_.store(new T(make()), std::memory_order_release);
    return *made_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<T*> made_ = nullptr;
  Mutex mutex_;
};

}  // namespace detail
}  // namespace strata
