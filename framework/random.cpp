#include "strata/framework/random.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numbers>
#include <numeric>

#include <Random123/philox.h>

#include "strata/framework/philox.hpp"
#include "strata/framework/runtime/kernel_table.hpp"
#include "strata/framework/runtime/parallel.hpp"

namespace strata {
namespace {

std::atomic<std::uint64_t> default_seed{0};
std::atomic<std::uint64_t> drawn_seeds{0};

constexpr std::uint32_t low_word(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}
constexpr std::uint32_t high_word(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}

constexpr std::uint64_t both_words(std::uint32_t low, std::uint32_t high) {
  return std::uint64_t{high} << 32 | low;
}

// Uniform in [0, 1).
double to_uniform(std::uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

double to_normal(std::uint64_t first, std::uint64_t second) {
  // Box-Muller; 1 - u is in (0, 1], where the logarithm is finite.
  const double radius = std::sqrt(-2 * std::log(1 - to_uniform(first)));
  return radius * std::cos(2 * std::numbers::pi * to_uniform(second));
}

}  // namespace

Random::Random(std::uint64_t seed, std::uint64_t stream)
    : key_{low_word(seed), high_word(seed)}, stream_{low_word(stream), high_word(stream)} {}

std::array<std::uint32_t, 4> Random::block(std::uint64_t index) const {
  const r123::Philox4x32::ctr_type counter = {{low_word(index), high_word(index), stream_[0], stream_[1]}};
  const r123::Philox4x32::key_type key = {{key_[0], key_[1]}};
  const auto words = r123::Philox4x32{}(counter, key);
  return {words[0], words[1], words[2], words[3]};
}

std::uint64_t Random::bits() {
  const auto words = block(position_++);
  return both_words(words[0], words[1]);
}

double Random::uniform() {
  return to_uniform(bits());
}

double Random::normal() {
  const std::uint64_t first = bits();
  return to_normal(first, bits());
}

std::uint64_t Random::below(std::uint64_t bound) {
  const std::uint64_t unbiased = UINT64_MAX - UINT64_MAX % bound;
  std::uint64_t value = bits();
  while (value >= unbiased) value = bits();
  return value % bound;
}

template <class T, Index draws, class Convert>
Tensor<T> Random::tensor(const Shape& shape, const Convert& convert) {
  auto values = empty<T>(shape);
  const auto count = static_cast<Index>(values.size());
  const auto& kernel = kernels::table<kernels::RandomBits>();
  const auto seed = both_words(key_[0], key_[1]), stream = both_words(stream_[0], stream_[1]);
  parallel_ranges(count, Index{1} << 14, [&](Index begin, Index end) {
    constexpr Index kAtOnce = 256;
    std::uint64_t bits[draws * kAtOnce];
    for (; begin < end; begin += kAtOnce) {
      const Index many = std::min(kAtOnce, end - begin);
      kernel.fill(seed, stream, position_ + static_cast<std::uint64_t>(draws * begin), draws * many, bits);
      for (Index i = 0; i < many; ++i) values.data()[begin + i] = static_cast<T>(convert(bits + draws * i));
    }
  });
  position_ += static_cast<std::uint64_t>(draws * count);
  return values;
}

template <class T>
Tensor<T> Random::uniform(const Shape& shape, double low, double high) {
  return tensor<T, 1>(shape,
                      [=](const std::uint64_t* bits) { return low + (high - low) * to_uniform(bits[0]); });
}

template <class T>
Tensor<T> Random::normal(const Shape& shape, double mean, double standard_deviation) {
  return tensor<T, 2>(shape, [=](const std::uint64_t* bits) {
    return mean + standard_deviation * to_normal(bits[0], bits[1]);
  });
}

std::vector<Index> Random::permutation(Index count) {
  std::vector<Index> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), Index{0});
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[below(i)]);  // Fisher-Yates
  return order;
}

template Tensor<float> Random::uniform<float>(const Shape&, double, double);
template Tensor<double> Random::uniform<double>(const Shape&, double, double);
template Tensor<float> Random::normal<float>(const Shape&, double, double);
template Tensor<double> Random::normal<double>(const Shape&, double, double);

void manual_seed(std::uint64_t seed) {
  default_seed = seed;
  drawn_seeds = 0;
}

std::uint64_t next_seed() {
  return combine_seeds(default_seed, drawn_seeds++);
}

std::uint64_t combine_seeds(std::uint64_t a, std::uint64_t b) {
  return Random(a, b).bits();
}

std::uint64_t combine_seeds(std::uint64_t seed, std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return combine_seeds(seed, hash);
}

}  // namespace strata
