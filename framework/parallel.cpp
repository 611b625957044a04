#include "strata/framework/parallel.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <thread>

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include "strata/framework/error.hpp"

#if defined(STRATA_THREAD_SANITIZED)
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#endif

namespace strata {
namespace {

// Debian's oneTBB is not built for the thread sanitizer, which therefore takes the handing over of every task
// for a race. So this file, with all that is inlined of oneTBB, is compiled without the sanitizer, and tells
// it what comes after what: pieces after their start, the return after all pieces. Bodies and all that they
// call are checked.
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

// The processors that this process may use, two threads of one core counted once where the system tells.
// (oneTBB would ask hwloc, which writes to stderr where there is no /sys.)
int physical_cores() {
  std::set<std::string> cores;
  std::error_code ignored;
  for (const auto& cpu : std::filesystem::directory_iterator("/sys/devices/system/cpu", ignored)) {
    std::string threads;
    if (std::getline(std::ifstream(cpu.path() / "topology/thread_siblings_list"), threads))
      cores.insert(threads);
  }
  const int processors = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return cores.empty() ? processors : std::min(processors, static_cast<int>(cores.size()));
}

int default_num_threads() {
  if (const char* text = std::getenv("STRATA_NUM_THREADS")) {
    char* end = nullptr;
    const long count = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || count < 1 || count > 1024)
      throw ArgumentError("STRATA_NUM_THREADS must be a number from 1 to 1024, got '" + std::string(text) +
                          "'");
    return static_cast<int>(count);
  }
  return physical_cores();
}

// oneTBB starts no more threads than there are processors, and complains on stderr, unless it is told to.
std::unique_ptr<tbb::global_control> allow_threads(int count) {
  if (count <= static_cast<int>(std::thread::hardware_concurrency())) return nullptr;
  return std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism, count);
}

// An arena of our own leaves the thread count of an application that uses oneTBB itself alone.
struct Threads {
  std::mutex mutex;
  int count = default_num_threads();
  std::unique_ptr<tbb::global_control> allowed = allow_threads(count);
  std::shared_ptr<tbb::task_arena> arena = std::make_shared<tbb::task_arena>(count);
};

Threads& threads() {
  static Threads instance;
  return instance;
}

}  // namespace

void set_num_threads(int count) {
  if (count < 1) throw ArgumentError("set_num_threads: at least 1 is needed, got " + std::to_string(count));
  const std::scoped_lock lock(threads().mutex);
  if (count == threads().count) return;
  threads().allowed = allow_threads(count);
  threads().arena = std::make_shared<tbb::task_arena>(count);  // a loop under way keeps the old one
  threads().count = count;
}

int num_threads() {
  const std::scoped_lock lock(threads().mutex);
  return threads().count;
}

namespace detail {

void run_pieces(Index pieces, void (*body)(const void*, Index), const void* context) {
  if (pieces <= 0) return;
  std::shared_ptr<tbb::task_arena> arena;
  {
    const std::scoped_lock lock(threads().mutex);
    if (threads().count > 1) arena = threads().arena;
  }
  if (!arena) {
    for (Index piece = 0; piece < pieces; ++piece) body(context, piece);
    return;
  }
  HandOver start, end;
  const auto run = [&](const tbb::blocked_range<Index>& range) {
    start.take();
    struct Give {
      HandOver& to;
      ~Give() { to.give(); }
    } const when_done{end};
    // Isolated: where a body has a loop of its own, its thread waits for that loop's pieces, and takes up
    // none of this one's meanwhile.
    tbb::this_task_arena::isolate([&] {
      for (Index piece = range.begin(); piece < range.end(); ++piece) body(context, piece);
    });
  };
  struct Take {
    HandOver& from;
    ~Take() { from.take(); }
  } const at_return{end};
  start.give();
  arena->execute(
      [&] { tbb::parallel_for(tbb::blocked_range<Index>(0, pieces, 1), run, tbb::simple_partitioner{}); });
}

}  // namespace detail
}  // namespace strata
