// What the thread sanitizer has to be told of parallel loops.
#pragma once

#if defined(STRATA_THREAD_SANITIZED)
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#endif

namespace strata::detail {

// Debian's oneTBB is not built for the thread sanitizer, which therefore takes the handing over of every task
// for a race. So the sources that run loops, with all that is inlined of oneTBB, are compiled without the
// sanitizer, and tell it what comes after what: pieces after their start, the return after all pieces. Bodies
// and all that they call are checked.
struct HandOver {
#if defined(STRATA_THREAD_SANITIZED)
  void give() {
    __tsan_release(this);
  }
  void take() {
    __tsan_acquire(this);
  }
#else
  void give() {}
  void take() {}
#endif
};

}  // namespace strata::detail
