#include "strata/layers/kernels/normalization/planes.hpp"

#include <algorithm>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"
#include "strata/layers/kernels/index_math.hpp"
#include "strata/layers/kernels/normalization/plane_loops.hpp"
#include "strata/layers/kernels/scratch.hpp"

namespace strata::normalization::planes {
namespace {

// Of smaller sets, what is computed once a set counts more than memory: those are taken many at a time.
constexpr Index kLeast = 256;

/// The tensors of one call, and the way to work through them by planes.
template <class T>
class Work {
 public:
  explicit Work(const Problem<T>& problem)
      : problem_(problem),
        length_(problem.sets.over_samples ? problem.sets.length : problem.sets.elements()),
        at_once_(std::max<Index>(1, kPiece / length_)) {}

  void forward(const Output<T>& out, Statistics& statistics) const {
    for_each_piece([&](Index first, Index count) {
      const auto planes = this->planes(first, count, out.rectify);
      double *mean = &statistics.mean[first], *variance = &statistics.variance[first];
      if (!out.pool) return kernel_.forward(planes, out.y + first * length_, mean, variance);
      kernels::Scratch<T> y(count * length_);
      kernel_.forward(planes, y.data(), mean, variance);
      out.pool(first, count, y.data());
    });
  }

  void backward(const Gradient<T>& gradient, const Statistics& statistics, T* dgamma, T* dbeta) const {
    kernels::Scratch<double> sum_g(problem_.sets.count), sum_g_xhat(problem_.sets.count);
    for_each_piece([&](Index first, Index count) {
      const auto run = [&](const T* dy) {
        kernel_.backward(planes(first, count, gradient.rectify), dy, gradient.dx + first * length_,
                         &statistics.mean[first], &statistics.variance[first], sum_g.data() + first,
                         sum_g_xhat.data() + first);
      };
      if (!gradient.unpool) return run(gradient.dy + first * length_);
      kernels::Scratch<T> dy(count * length_);
      gradient.unpool(first, count, dy.data());
      run(dy.data());
    });
    if (!problem_.affine.gamma) return;
    sum_samples(sum_g.data(), dbeta);
    sum_samples(sum_g_xhat.data(), dgamma);
  }

 private:
  template <class Body>
  void for_each_piece(const Body& body) const {
    parallel_ranges(problem_.sets.count, at_once_, [&](Index first, Index end) { body(first, end - first); });
  }

  kernels::PlaneSets<T> planes(Index first, Index count, bool rectify) const {
    const Index channels = problem_.sets.channels;
    return {problem_.x + first * length_,
            count,
            length_,
            problem_.affine.gamma,
            problem_.affine.beta,
            first % channels,
            channels,
            problem_.eps,
            rectify};
  }

  /// With gamma, sets are the channels of one sample after the other.
  void sum_samples(const double* sums, T* result) const {
    const Index channels = problem_.sets.channels;
    Values<double> total(sums, sums + channels);
    for (Index first = channels; first < problem_.sets.count; first += channels)
      for (Index c = 0; c < channels; ++c) total[c] += sums[first + c];
    for (Index c = 0; c < channels; ++c) result[c] = static_cast<T>(total[c]);
  }

  const Problem<T>& problem_;
  const Index length_;   // of a set
  const Index at_once_;  // sets of a piece
  const kernels::PlaneNormalization<T>& kernel_ = kernels::table<kernels::PlaneNormalization<T>>();
};

}  // namespace

template <class T>
bool suits(const Problem<T>& problem, bool whole_runs) {
  const Sets& sets = problem.sets;
  const bool one_run = sets.runs == 1 || (!sets.over_samples && !problem.affine.gamma && !whole_runs);
  const Index elements = sets.elements();
  return one_run && !problem.frozen && elements >= kLeast && elements <= kCachedSet &&
         (sets.count >= kFewPieces || elements <= kPiece);
}

template <class T>
void forward(const Problem<T>& problem, const Output<T>& output, Statistics& statistics) {
  Work<T>(problem).forward(output, statistics);
}

template <class T>
void backward(const Problem<T>& problem, const Gradient<T>& gradient, const Statistics& statistics, T* dgamma,
              T* dbeta) {
  Work<T>(problem).backward(gradient, statistics, dgamma, dbeta);
}

#define STRATA_INSTANTIATE(T)                                                 \
  template bool suits<T>(const Problem<T>&, bool);                            \
  template void forward<T>(const Problem<T>&, const Output<T>&, Statistics&); \
  template void backward<T>(const Problem<T>&, const Gradient<T>&, const Statistics&, T*, T*)

STRATA_INSTANTIATE(float);
STRATA_INSTANTIATE(double);

}  // namespace strata::normalization::planes
