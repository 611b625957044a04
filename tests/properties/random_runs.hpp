// Runs a property for many seeds.
#pragma once

#include <cstdlib>
#include <string>

#include "tests/layers/layer_checks.hpp"

namespace strata::testing {

/// From the environment, or `fallback`.
inline std::uint64_t setting(const char* variable, std::uint64_t fallback) {
  const char* const text = std::getenv(variable);
  return text ? std::stoull(text) : fallback;
}

/// Calls body(random, trace) for `cases` seeds, until one fails. STRATA_PROPERTY_SEED sets the first seed and
/// STRATA_PROPERTY_CASES their number; a failure names the seed that replays it.
template <class Body>
void for_random_seeds(std::uint64_t cases, const Body& body) {
  const std::uint64_t first = setting("STRATA_PROPERTY_SEED", 0);
  const InstructionSet set_before = instruction_set();
  const int threads_before = num_threads();
  cases = setting("STRATA_PROPERTY_CASES", cases);
  for (std::uint64_t seed = first; seed < first + cases && !::testing::Test::HasFailure(); ++seed) {
    Random random(seed);
    const auto set = static_cast<InstructionSet>(random.below(3));
    set_instruction_set(is_available(set) ? set : InstructionSet::generic);
    set_num_threads(1 + static_cast<int>(random.below(4)));
    SCOPED_TRACE("replay with STRATA_PROPERTY_SEED=" + std::to_string(seed) + " STRATA_PROPERTY_CASES=1 (" +
                 std::string(to_string(instruction_set())) + ", " + std::to_string(num_threads()) +
                 " threads)");
    body(random);
  }
  set_num_threads(threads_before);
  set_instruction_set(set_before);
}

}  // namespace strata::testing
