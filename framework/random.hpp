// Counter-based random numbers (Philox 4x32-10, Salmon et al., SC 2011): value i of a stream is a pure
// function of (key, i), so neither threads nor the order of calls change what is drawn.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/tensor.hpp"

namespace STRATA_EXPORT strata {

/// A stream of random numbers. The same seed and stream number give the same values everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0);

  /// The four words at position `index`; does not move the stream.
  std::array<std::uint32_t, 4> block(std::uint64_t index) const;

  std::uint64_t bits();
  /// Uniform in [0, 1).
  double uniform();
  /// Standard normal.
  double normal();
  /// Uniform in [0, bound), without bias; bound > 0.
  std::uint64_t below(std::uint64_t bound);

  template <class T>
  Tensor<T> uniform(const Shape& shape, double low = 0, double high = 1);
  template <class T>
  Tensor<T> normal(const Shape& shape, double mean = 0, double standard_deviation = 1);
  /// 0 .. count-1 in random order.
  std::vector<Index> permutation(Index count);

 private:
  // convert(bits) for each value, in parallel, with so many words of 64 bits.
  template <class T, Index draws, class Convert>
  Tensor<T> tensor(const Shape& shape, const Convert& convert);

  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 2> stream_;
  std::uint64_t position_ = 0;
};

/// Seeds the process-wide source from which layers draw their first weights; call it before constructing
/// them. `Layer::initialize(seed)` does not depend on it.
void manual_seed(std::uint64_t seed);

/// The next seed of that source.
std::uint64_t next_seed();

/// Mixes values into one seed, e.g. combine_seeds(seed, epoch).
std::uint64_t combine_seeds(std::uint64_t a, std::uint64_t b);
/// The same with a name, e.g. that of a layer.
std::uint64_t combine_seeds(std::uint64_t seed, std::string_view name);

}  // namespace strata
