// What the ways of normalizing share, by pieces (normalization.cpp), by planes (planes.hpp) and
// by rows (rows.hpp): the problem, and the numbers that are computed once a set.
#pragma once

#include <algorithm>
#include <vector>

#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/memory.hpp"
#include "strata/layers/kernels/normalization/normalization.hpp"
#include "strata/layers/kernels/normalization/vector_loops.hpp"

namespace strata::normalization {

constexpr Index kPiece = Index{1} << 15;      // elements of a piece: worth a thread, and small enough for L2
constexpr Index kCachedSet = Index{1} << 17;  // elements of a set that is still taken as one piece
constexpr Index kFewPieces = 8;               // and if there are so few of them, a smaller one is cut as well
constexpr Index kShortRun = 16;               // below this a run does not fill a vector

template <class T>
using Values = std::vector<T, RecyclingAllocator<T>>;

/// What one call works on.
template <class T>
struct Problem {
  Sets sets;
  const T* x;
  Affine<T> affine;
  double eps;
  bool frozen;  ///< the statistics are given

  double gamma(Index channel) const { return affine.gamma ? static_cast<double>(affine.gamma[channel]) : 1; }
  double beta(Index channel) const { return affine.beta ? static_cast<double>(affine.beta[channel]) : 0; }
};

/// A mean that is split so that (x - center) - low keeps all digits, and what follows from the variance.
template <class T>
struct Normalizer {
  Normalizer(double mean, double inverse_root)
      : center(static_cast<T>(mean)), low(mean - static_cast<double>(center)), inv_std(inverse_root) {}

  T center;
  double low;
  double inv_std;
};

/// The normalizers of all sets.
template <class T>
class Normalizers {
 public:
  Normalizers(const Statistics& statistics, double eps)
      : statistics_(statistics), eps_(eps), inv_std_(statistics.variance.size()) {}

  /// Has to come before sets [first, last) are asked for, and after their statistics are set: roots take
  /// long one by one.
  void prepare(Index first, Index last) {
    kernel_.inverse_roots(&statistics_.variance[first], eps_, last - first, &inv_std_[first]);
  }
  Normalizer<T> operator[](Index set) const { return {statistics_.mean[set], inv_std_[set]}; }
  const double* means() const { return statistics_.mean.data(); }
  const double* inverse_roots() const { return inv_std_.data(); }

 private:
  const Statistics& statistics_;
  double eps_;
  Values<double> inv_std_;
  const kernels::Normalization<T>& kernel_ = kernels::table<kernels::Normalization<T>>();
};

/// dx = inv_std g + slope (x - center) + offset; from sum g and sum g (x - mean) over the m elements of a
/// set.
template <class T>
struct Pull {
  Pull(const Normalizer<T>& n, double sum_g, double sum_g_x, Index m, bool frozen) {
    if (frozen) return;
    const double factor = n.inv_std / static_cast<double>(m);
    const double b = -factor * n.inv_std * n.inv_std * sum_g_x;
    slope = static_cast<T>(b);
    offset = static_cast<T>(-factor * sum_g - b * n.low);
  }
  T slope = 0;
  T offset = 0;
};

// Sums of x - shift are good enough if the shift is near the mean: sum (x - shift)^2 exceeds m2 by n (mean -
// shift)^2, and only that cancels. Where the shift is the mean of some of the elements, the excess is at most
// m2 times n divided by their number, and in practice a few percent of m2. `share` is 1 / count: divisions
// take long.
inline kernels::Moments shifted_moments(Index count, double share, double shift, double sum, double squares) {
  const double m2 = squares - sum * (sum * share);
  return {count, shift + sum * share, kernels::settled(m2)};
}

/// Elements that give a shift. Of a set in the cache an eighth will do, and costs less.
inline Index pilot_of_whole(Index elements) {
  return std::min(elements, std::max(kShortRun, elements / 8));
}

/// `share` is 1 / the number of elements.
inline void store(const kernels::Moments& moments, double share, Statistics& statistics, Index set) {
  statistics.mean[set] = moments.mean;
  statistics.variance[set] = moments.m2 * share;
}

}  // namespace strata::normalization
