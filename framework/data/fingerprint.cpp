#include "strata/framework/data/fingerprint.hpp"

#include <array>
#include <cstdio>
#include <vector>

#include <zlib.h>

#include "strata/framework/runtime/parallel.hpp"
#include "strata/framework/shape.hpp"

namespace strata {
namespace {

template <class Number>
std::uint32_t add(std::uint32_t sum, std::span<const Number> numbers) {
  return static_cast<std::uint32_t>(
      crc32_z(sum, reinterpret_cast<const Bytef*>(numbers.data()), numbers.size_bytes()));
}

}  // namespace

std::string fingerprint(const Dataset& dataset) {
  constexpr Index kGrain = 64;
  const Shape shape = dataset.sample_shape();
  std::vector<std::uint32_t> sums(static_cast<std::size_t>(dataset.size()));
  parallel_ranges(dataset.size(), kGrain, [&](Index begin, Index end) {
    std::vector<float> sample(static_cast<std::size_t>(element_count(shape)));
    for (Index i = begin; i < end; ++i) {
      dataset.read(i, sample);
      const std::int32_t label = dataset.label(i);
      sums[static_cast<std::size_t>(i)] = add<float>(add<std::int32_t>(0, std::span(&label, 1)), sample);
    }
  });
  std::vector<Index> sizes{dataset.classes()};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  std::array<char, 9> digits;
  std::snprintf(digits.data(), digits.size(), "%08x", add<std::uint32_t>(add<Index>(0, sizes), sums));
  return digits.data();
}

}  // namespace strata
