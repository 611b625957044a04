#include "strata/framework/runtime/instruction_set.hpp"

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>

#include "strata/framework/error.hpp"
#include "strata/framework/runtime/fork.hpp"

namespace strata {
namespace {

constexpr std::array kBestFirst{InstructionSet::avx512, InstructionSet::avx2, InstructionSet::generic};

InstructionSet default_instruction_set() {
  if (const char* name = std::getenv("STRATA_INSTRUCTION_SET")) {
    for (const InstructionSet set : kBestFirst)
      if (name == to_string(set) && is_available(set)) return set;
    throw ArgumentError(
        "STRATA_INSTRUCTION_SET: expected generic, avx2 or avx512, and one that this processor and this "
        "build have; got '" +
        std::string(name) + "'");
  }
  for (const InstructionSet set : kBestFirst)
    if (is_available(set)) return set;
  return InstructionSet::generic;
}

std::atomic<InstructionSet>& current() {
  static constinit detail::Lazy<std::atomic<InstructionSet>> set;
  return set.get(default_instruction_set);
}

}  // namespace

std::string_view to_string(InstructionSet set) {
  switch (set) {
    case InstructionSet::avx512:
      return "avx512";
    case InstructionSet::avx2:
      return "avx2";
    case InstructionSet::generic:
      break;
  }
  return "generic";
}

bool is_available(InstructionSet set) {
  switch (set) {
#if defined(STRATA_AVX512)
    case InstructionSet::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx2") &&
             __builtin_cpu_supports("fma");
#endif
#if defined(STRATA_AVX2)
    case InstructionSet::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    case InstructionSet::generic:
      return true;
    default:
      return false;
  }
}

InstructionSet instruction_set() {
  return current().load(std::memory_order_relaxed);
}

void set_instruction_set(InstructionSet set) {
  if (!is_available(set))
    throw ArgumentError("set_instruction_set: this processor or this build has no " +
                        std::string(to_string(set)));
  current() = set;
}

}  // namespace strata
