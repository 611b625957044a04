// Parallel loops. Work is cut into pieces by the size of the problem, never by the number of threads, so that
// results have the same bits with any number of threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>

#include "strata/framework/export.hpp"
#include "strata/framework/tensor.hpp"

namespace STRATA_EXPORT strata {

/// Sets how many threads Strata's loops may use, for the whole process. Throws ArgumentError unless it is
/// from 1 to four for each processor of the machine (8 on a small one). Default: STRATA_NUM_THREADS if set,
/// otherwise the number of physical cores that this process may use: those of its affinity mask, and no more
/// than a container's processor quota.
///
/// fork() is safe while other threads work: it waits for a moment at which nothing is locked, and the child
/// may use all of the library, with the same results. It runs on one thread, whatever is set here, if the
/// parent had begun to run on several, as oneTBB's threads do not come along. A program that wants more in
/// its children forks before its first loop, or has one thread until then. What another thread was changing,
/// such as a network in training, is in the child as it was at that moment. A fork inside a layer's or
/// dataset's function has to end in exec or _exit there, as the loop around it has lost its threads.
void set_num_threads(int count);
int num_threads();

namespace detail {
/// A loop: what is run for each piece, and whether pieces have turned out to have loops of their own.
struct Loop {
  Index pieces = 0;
  void (*body)(const void*, Index) = nullptr;
  const void* context = nullptr;
  std::atomic<bool>* nests = nullptr;
};

void run_pieces(const Loop& loop);

template <class Body>
inline std::atomic<bool> nests = false;
}  // namespace detail

/// Runs body(piece) for every piece in [0, pieces), in no particular order; with one piece, on the calling
/// thread. An exception that a body throws is rethrown here.
template <class Body>
void parallel_for(Index pieces, const Body& body) {
  if (pieces == 1) return body(Index{0});
  detail::run_pieces({pieces,
                      [](const void* context, Index piece) { (*static_cast<const Body*>(context))(piece); },
                      std::addressof(body), &detail::nests<Body>});
}

/// Cuts [0, count) into ranges of `grain` (the last may be shorter) and runs body(begin, end) for each.
/// Choose a grain worth at least some 20 microseconds: a loop of one range costs nothing to start.
template <class Body>
void parallel_ranges(Index count, Index grain, const Body& body) {
  if (count <= 0) return;
  parallel_for((count + grain - 1) / grain, [&](Index piece) {
    const Index begin = piece * grain;
    body(begin, std::min(count, begin + grain));
  });
}

}  // namespace strata
