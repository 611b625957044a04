// Safetensors: the file format of weights and checkpoints (https://github.com/huggingface/safetensors).
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/io/state_dict.hpp"

namespace STRATA_EXPORT strata {

/// Reads a file that may come from a stranger. The header's length (8 bytes, little-endian, at most
/// 100,000,000), the header (JSON, begins with '{') and the data must follow the format to the letter: no
/// name twice, every shape times its element size equal to its range, ranges from 0 to the end of the file
/// without hole or overlap. Tensors have at most 64 dimensions. Throws DataError that names the file, the
/// tensor, what was expected and what was found. Data is read only when all that has been checked; the
/// header's contents take a few times its own size, the data exactly its own.
StateDict read_safetensors(const std::string& path);

/// The same of a file in memory; messages call it `name`.
StateDict parse_safetensors(std::span<const std::byte> file, const std::string& name);

/// Writes atomically and durably (see AtomicFile). The same state gives the same bytes: tensors by descending
/// type, then name, as the reference implementation has them; the header is padded with spaces to 8 bytes.
/// Throws DataError, and ArgumentError if a name is not UTF-8 or is reserved, or a tensor's bytes do not fit
/// its shape.
void write_safetensors(const StateDict& state, const std::string& path);

/// The bytes of that file.
std::vector<std::byte> serialize_safetensors(const StateDict& state);

/// The same: `write` is called with one part of the file after the other.
void serialize_safetensors(const StateDict& state,
                           const std::function<void(std::span<const std::byte>)>& write);

}  // namespace strata
