#include "strata/framework/io/checksum.hpp"

#include <array>
#include <cstdio>

#include <zlib.h>

#include "strata/framework/error.hpp"
#include "strata/framework/io/quote.hpp"
#include "strata/framework/io/safetensors.hpp"

namespace strata::detail {
namespace {

constexpr const char* kNote = "strata.crc32";

std::string checksum_of(const StateDict& state) {
  uLong sum = crc32_z(0, nullptr, 0);
  serialize_safetensors(state, [&](std::span<const std::byte> part) {
    sum = crc32_z(sum, reinterpret_cast<const Bytef*>(part.data()), part.size());
  });
  std::array<char, 9> digits;
  std::snprintf(digits.data(), digits.size(), "%08lx", sum);
  return digits.data();
}

}  // namespace

void add_checksum(StateDict& state) {
  state.metadata.erase(kNote);
  state.metadata[kNote] = checksum_of(state);
}

bool verify_checksum(StateDict& state, const std::string& source) {
  const auto note = state.metadata.extract(kNote);
  if (note.empty()) return false;
  const std::string own = checksum_of(state);
  if (note.mapped() != own)
    throw DataError(source + ": is damaged: expected contents with the checksum " + in_quotes(note.mapped()) +
                    ", found '" + own + "'");
  return true;
}

}  // namespace strata::detail
