// The reader accepts exactly what the format allows, and packed files as plain ones.
#include <algorithm>
#include <optional>
#include <vector>

#include <zlib.h>

#include "strata/framework/data/idx.hpp"
#include "strata/framework/error.hpp"
#include "tests/fuzz/fuzzing.hpp"

namespace strata {
namespace {

// A buffer for packed bytes, one for unpacked ones, and the state of zlib.
constexpr std::size_t kUnpacking = 192 << 10;
constexpr std::size_t kMostGzipExpands = 1032;

std::optional<IdxArray> accepted(std::span<const std::uint8_t> file, int dimensions) {
  const bool packed = file.size() > 1 && file[0] == 0x1f && file[1] == 0x8b;
  const std::string& path = fuzz::as_file(file);
  try {
    // A vector that grows is there twice: as it was, and twice as large.
    const fuzz::AllocationGuard guard(
        (packed ? 3 * kMostGzipExpands * file.size() + kUnpacking : 2 * file.size()) + fuzz::kSlack);
    return read_idx(path, dimensions);
  } catch (const DataError&) {
    return std::nullopt;
  }
}

bool is_well_formed(std::span<const std::uint8_t> file, std::size_t dimensions) {
  if (file.size() < 4 + 4 * dimensions) return false;
  if (file[0] != 0 || file[1] != 0 || file[2] != 8 || file[3] != dimensions) return false;
  std::size_t count = 1;
  for (std::size_t i = 4; i < 4 + 4 * dimensions; i += 4) {
    const std::size_t extent =
        std::size_t{file[i]} << 24 | file[i + 1] << 16 | file[i + 2] << 8 | file[i + 3];
    if (extent > file.size()) return false;  // or the product could be too large for its type
    count = std::min(count * extent, file.size());
  }
  return count > 0 && count == file.size() - 4 - 4 * dimensions;
}

std::vector<std::uint8_t> gzip(std::span<const std::uint8_t> bytes) {
  z_stream stream{};
  fuzz::require(deflateInit2(&stream, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::vector<std::uint8_t> packed(deflateBound(&stream, bytes.size()));
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = packed.data();
  stream.avail_out = static_cast<uInt>(packed.size());
  fuzz::require(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

}  // namespace
}  // namespace strata

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  const std::span file(data, size);
  const int dimensions = size > 3 && data[3] > 0 ? data[3] : 3;
  const auto array = accepted(file, dimensions);
  if (size > 1 && data[0] == 0x1f && data[1] == 0x8b) return 0;

  fuzz::require(array.has_value() == is_well_formed(file, static_cast<std::size_t>(dimensions)));
  const auto again = accepted(gzip(file), dimensions);
  fuzz::require(again.has_value() == array.has_value());
  if (!array) return 0;
  const auto values = file.last(array->values.size());
  fuzz::require(std::equal(values.begin(), values.end(), array->values.begin()));
  fuzz::require(again->shape == array->shape && again->values == array->values);
  return 0;
}
