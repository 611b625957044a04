// Threads that stay together between loops that follow each other closely.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <vector>

#include <tbb/task_arena.h>

#include "strata/framework/runtime/hand_over.hpp"
#include "strata/framework/runtime/parallel.hpp"

namespace strata::detail {

/// While it lives, the calling thread is inside a loop: at one of its pieces, or waiting for others to end.
class InsideLoop {
 public:
  /// `not_begun`: how many of the loop's pieces no thread has taken up, if that is known.
  explicit InsideLoop(std::atomic<bool>* nests, const std::atomic<Index>* not_begun = nullptr);
  ~InsideLoop();
  InsideLoop(const InsideLoop&) = delete;
  InsideLoop& operator=(const InsideLoop&) = delete;

  /// Whether the calling thread is inside a loop.
  static bool inside();
  /// The same; the loop is then known to nest.
  static bool nested();
  /// Whether that loop has pieces for every thread that might have none.
  static bool has_more();

 private:
  struct Around {
    std::atomic<bool>* nests = nullptr;
    const std::atomic<Index>* not_begun = nullptr;
  };
  static thread_local Around around_;

  const Around outer_;
};

/// An arena of oneTBB for Strata's loops (one of our own leaves an application's thread count alone), with a
/// fast lane.
///
/// To start and to end a loop of oneTBB takes some 3 microseconds, most of it spent waking, yielding and
/// stealing; inference of a single image has twenty loops in 130. So a thread that helped with a loop stays a
/// while, spinning, on its seat, where the next loop is offered to it by one write.
///
/// The helpers are tasks in the arena: oneTBB supplies their threads, and has them back once no loop has come
/// for a while, or as soon as a loop runs outside the lane. A team must outlive them: it is never destroyed.
class ThreadTeam {
 public:
  explicit ThreadTeam(int threads);

  int threads() const { return static_cast<int>(seats_.size()); }
  tbb::task_arena& arena() { return arena_; }

  /// Runs the loop on the calling thread and those on the seats. False, having done nothing, where it would
  /// not be fast: another thread's loop has the team, or there are more threads than processors. What a body
  /// throws is rethrown, the first of several; pieces that have not begun are left out then.
  bool run(const Loop& loop);

  /// Makes threads that wait on their seats return to the arena.
  void dismiss();

 private:
  // `hired`: sent for, for a loop that is about to be offered.
  enum class State : std::uint32_t { absent, hired, idle, offered, working };

  // A member's place, on cache lines of its own (a pair: processors fetch the neighbor of a line, too).
  struct alignas(128) Seat {
    std::atomic<State> state = State::absent;
    std::atomic<std::uint64_t> share = 0;  // pieces not begun: first in the low half, end in the high half
  };

  void hire(std::size_t members);
  void help(Seat& seat);
  void work(const Seat& own);
  bool run_piece(Index piece);

  tbb::task_arena arena_;
  std::vector<Seat> seats_;  // the first is the caller's
  const bool fast_;

  alignas(128) std::atomic<bool> taken_ = false;
  alignas(128) std::atomic<bool> dismissed_ = false;

  // Of the loop under way: written by the caller while nobody works on any.
  alignas(128) Loop loop_;
  std::size_t members_ = 0;
  HandOver start_, end_;
  std::atomic<bool> failed_ = false;
  std::exception_ptr error_;
};

}  // namespace strata::detail
