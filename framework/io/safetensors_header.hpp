// The JSON header of a safetensors file.
#pragma once

#include "strata/framework/io/state_dict.hpp"

namespace strata::detail {

inline constexpr std::size_t kMaxHeaderSize = 100'000'000;
inline constexpr std::size_t kMaxDimensions = 64;
inline constexpr std::string_view kMetadataKey = "__metadata__";

/// Where a tensor's bytes stand, counted from the end of the header.
struct DataRange {
  std::size_t begin;
  std::size_t end;
  const std::string* name;
  StoredTensor* tensor;  ///< bytes not yet filled
};

/// Fills the state but for the tensors' bytes. The ranges come sorted; each has been checked against its
/// tensor's shape, and that they cover [0, data_size) without hole or overlap. Throws DataError.
std::vector<DataRange> parse_header(std::string_view header, std::size_t data_size, const std::string& file,
                                    StateDict& state);

/// The header, padded, and the tensors in the order of the file. Throws ArgumentError.
std::pair<std::string, std::vector<const StoredTensor*>> make_header(const StateDict& state);

}  // namespace strata::detail
