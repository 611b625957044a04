#include "strata/framework/runtime/parallel.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include "strata/framework/error.hpp"
#include "strata/framework/runtime/environment.hpp"
#include "strata/framework/runtime/fork.hpp"
#include "strata/framework/runtime/hand_over.hpp"
#include "strata/framework/runtime/processors.hpp"
#include "strata/framework/runtime/thread_team.hpp"

namespace strata {
namespace {

int default_num_threads() {
  const auto chosen = detail::number_from_environment("STRATA_NUM_THREADS", 1, detail::most_threads());
  return chosen ? static_cast<int>(*chosen) : detail::usable_cores();
}

// oneTBB starts no more threads than there are processors, and complains on stderr, unless it is told to.
std::unique_ptr<tbb::global_control> allow_threads(int count) {
  if (count <= tbb::info::default_concurrency()) return nullptr;
  return std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism, count);
}

class Threads {
 public:
  explicit Threads(int count) { set(count); }

  void set(int count) {
    const std::scoped_lock lock(mutex_);
    detail::ThreadTeam* const now = team_.load(std::memory_order_relaxed);
    if ((now && now->threads() == count) || are_lost()) return;
    allowed_ = allow_threads(count);
    // Release, and acquire below: who gets a new team finds it made. A loop under way keeps the old one.
    team_.store(&teams_.try_emplace(count, count).first->second, std::memory_order_release);
  }

  /// To be called before a team of several threads works.
  void start() {
    if (started_at_.load(std::memory_order_relaxed) < 0)
      started_at_.store(detail::forks(), std::memory_order_relaxed);
  }

  detail::ThreadTeam& team() { return are_lost() ? alone_ : *team_.load(std::memory_order_acquire); }

 private:
  // Whether oneTBB may have had threads before a fork. It does not start new ones, and waits for the old.
  bool are_lost() const {
    const std::int64_t started_at = started_at_.load(std::memory_order_relaxed);
    return started_at >= 0 && started_at != detail::forks();
  }

  detail::Mutex mutex_;
  std::atomic<std::int64_t> started_at_ = -1;  // of forks(); below 0: there has never been a second thread
  detail::ThreadTeam alone_{1};
  std::unique_ptr<tbb::global_control> allowed_;
  std::map<int, detail::ThreadTeam> teams_;
  std::atomic<detail::ThreadTeam*> team_ = nullptr;
};

// Teams stay for as long as the process: helpers may be on their seats until it ends.
Threads& threads() {
  static constinit detail::Lazy<Threads> instance;
  return instance.get(default_num_threads);
}

}  // namespace

void set_num_threads(int count) {
  if (count < 1 || count > detail::most_threads())
    throw ArgumentError("set_num_threads: expected a number from 1 to " +
                        std::to_string(detail::most_threads()) + ", got " + std::to_string(count));
  threads().set(count);
}

int num_threads() {
  return threads().team().threads();
}

namespace detail {
namespace {

void run_alone(const Loop& loop) {
  for (Index piece = 0; piece < loop.pieces; ++piece) loop.body(loop.context, piece);
}

void run_by_onetbb(tbb::task_arena& arena, const Loop& loop, bool nested) {
  HandOver start, end;
  std::atomic<Index> not_begun = loop.pieces;
  const auto run = [&](const tbb::blocked_range<Index>& range) {
    not_begun.fetch_sub(static_cast<Index>(range.size()), std::memory_order_relaxed);
    start.take();
    struct Give {
      HandOver& to;
      ~Give() { to.give(); }
    } const when_done{end};
    const InsideLoop inside(loop.nests, &not_begun);
    // Isolated: where a body has a loop of its own, its thread waits for that loop's pieces, and takes up
    // none of this one's meanwhile.
    tbb::this_task_arena::isolate([&] {
      for (Index piece = range.begin(); piece < range.end(); ++piece) loop.body(loop.context, piece);
    });
  };
  struct Take {
    HandOver& from;
    ~Take() { from.take(); }
  } const at_return{end};
  const InsideLoop waiting(loop.nests);
  const auto all = [&] {
    tbb::parallel_for(tbb::blocked_range<Index>(0, loop.pieces, 1), run, tbb::simple_partitioner{});
  };
  start.give();
  // Isolated as well: a thread that comes from outside of the arena brings no isolation with it.
  arena.execute([&] { nested ? tbb::this_task_arena::isolate(all) : all(); });
}

}  // namespace

void run_pieces(const Loop& loop) {
  if (loop.pieces <= 0) return;
  ThreadTeam& team = threads().team();
  if (team.threads() == 1) return run_alone(loop);
  threads().start();
  // Loops within loops are oneTBB's, and so are, once it shows, those around them: in its loops a thread
  // without a piece helps with those inside.
  const bool nested = InsideLoop::nested();
  // As long as the loop around has pieces, no thread lacks one: it would only cost to share these.
  if (nested && InsideLoop::has_more()) return run_alone(loop);
  if (!nested && !loop.nests->load(std::memory_order_relaxed) && team.run(loop)) return;
  team.dismiss();
  run_by_onetbb(team.arena(), loop, nested);
}

}  // namespace detail
}  // namespace strata
