// A checksum that a file carries in its notes, so that a flipped bit is noticed.
#pragma once

#include "strata/framework/io/state_dict.hpp"

namespace strata::detail {

/// Adds the note "strata.crc32", eight hexadecimal digits: the CRC-32 (as in gzip) of the bytes that
/// serialize_safetensors makes of the state without this note.
void add_checksum(StateDict& state);

/// Takes that note off again; false if there is none. Throws DataError, which names `source`, if the state is
/// not the one it was made for.
bool verify_checksum(StateDict& state, const std::string& source);

}  // namespace strata::detail
