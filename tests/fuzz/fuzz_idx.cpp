// The reader accepts exactly what the format allows, and packed files as plain ones.
#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <zlib.h>

#include "strata/framework/data/idx.hpp"
#include "strata/framework/error.hpp"
#include "tests/fuzz/fuzzing.hpp"

namespace strata {
namespace {

constexpr std::size_t kWindow = 40 << 10;  // of zlib, the largest of what unpacking takes

bool is_packed(std::span<const std::uint8_t> file) {
  return file.size() > 1 && file[0] == 0x1f && file[1] == 0x8b;
}

// The bytes that a packed file unpacks to, as far as it is whole; of all its members.
std::size_t unpacked_size(std::span<const std::uint8_t> file) {
  z_stream stream{};
  fuzz::require(inflateInit2(&stream, 16 + MAX_WBITS) == Z_OK);
  stream.next_in = const_cast<Bytef*>(file.data());
  stream.avail_in = static_cast<uInt>(file.size());
  std::array<Bytef, 16 << 10> bytes;
  std::size_t size = 0;
  int result = Z_OK;
  while (result == Z_OK || (result == Z_STREAM_END && stream.avail_in > 0)) {
    if (result == Z_STREAM_END) inflateReset(&stream);
    stream.next_out = bytes.data();
    stream.avail_out = bytes.size();
    result = inflate(&stream, Z_NO_FLUSH);
    size += bytes.size() - stream.avail_out;
  }
  inflateEnd(&stream);
  return size;
}

// A packed file's reader does not know what is to come: it takes twice as much each time, and holds both.
fuzz::AllocationGuard guard(std::span<const std::uint8_t> file) {
  if (is_packed(file)) return fuzz::AllocationGuard(unpacked_size(file), 3, kWindow);
  return fuzz::AllocationGuard(file.size());
}

std::optional<IdxArray> accepted(std::span<const std::uint8_t> file, int dimensions) {
  const std::string& path = fuzz::as_file(file);
  try {
    const fuzz::AllocationGuard watched = guard(file);
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
  if (is_packed(file)) return 0;

  fuzz::require(array.has_value() == is_well_formed(file, static_cast<std::size_t>(dimensions)));
  const auto again = accepted(gzip(file), dimensions);
  fuzz::require(again.has_value() == array.has_value());
  if (!array) return 0;
  const auto values = file.last(array->values.size());
  fuzz::require(std::equal(values.begin(), values.end(), array->values.begin()));
  fuzz::require(again->shape == array->shape && again->values == array->values);
  return 0;
}
