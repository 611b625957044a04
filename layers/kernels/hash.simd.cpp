#include "strata/layers/kernels/hash.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "strata/framework/runtime/instruction_set.hpp"

namespace strata::kernels {
namespace {

Hash of(const void* data, Index bytes) {
  const XXH128_hash_t hash = XXH3_128bits(data, static_cast<std::size_t>(bytes));
  return {hash.low64, hash.high64};
}

constexpr Hashing kTable{of};

}  // namespace

template <>
const Hashing& compiled_for<Hashing, InstructionSet::STRATA_ISA>() {
  return kTable;
}

}  // namespace strata::kernels
