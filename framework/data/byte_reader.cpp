#include "strata/framework/data/byte_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <zlib.h>

#include "strata/framework/error.hpp"

namespace strata::detail {
namespace {

constexpr std::size_t kChunk = std::size_t{16} << 10;
constexpr std::uint64_t kMostGzipExpands = 1032;  // 258 bytes from two bits
constexpr int kGzipOnly = 16 + MAX_WBITS;

}  // namespace

void ByteReader::Close::operator()(z_stream_s* stream) const {
  inflateEnd(stream);
  delete stream;
}

ByteReader::ByteReader(std::string path) : path_(std::move(path)) {
  std::error_code error;
  const auto status = std::filesystem::status(path_, error);
  if (!std::filesystem::exists(status)) fail("there is no such file");
  if (!std::filesystem::is_regular_file(status)) fail("expected a file, got a folder or a device");
  file_size_ = std::filesystem::file_size(path_, error);
  file_.reset(error ? nullptr : std::fopen(path_.c_str(), "rb"));
  if (!file_) fail(std::string("cannot be read: ") + std::strerror(error ? error.value() : errno));

  std::uint8_t first[2] = {};
  const bool packed = read_file(first, 2) == 2 && first[0] == 0x1f && first[1] == 0x8b;
  std::rewind(file_.get());
  if (!packed) return;
  auto stream = std::make_unique<z_stream>();  // inflateEnd is for one that was initialized
  if (inflateInit2(stream.get(), kGzipOnly) != Z_OK) throw std::bad_alloc();
  gzip_.reset(stream.release());
  packed_.resize(std::min<std::uint64_t>(kChunk, file_size_));
}

ByteReader::~ByteReader() = default;

void ByteReader::fail(const std::string& message) const {
  throw DataError(path_ + ": " + message);
}

std::uint64_t ByteReader::longest_content() const {
  if (!gzip_) return file_size_;
  return file_size_ > UINT64_MAX / kMostGzipExpands ? UINT64_MAX : file_size_ * kMostGzipExpands;
}

void ByteReader::read(std::span<std::uint8_t> bytes, const char* what) {
  const std::size_t count = read_some(bytes.data(), bytes.size());
  if (count < bytes.size())
    fail("expected " + std::to_string(bytes.size() - count) + " more bytes of " + what +
         ", the file ends after " + std::to_string(delivered_) + (gzip_ ? " unpacked bytes" : " bytes"));
}

std::vector<std::uint8_t> ByteReader::read(std::uint64_t count, const char* what) {
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < count) {
    const std::size_t before = bytes.size();
    const std::uint64_t room = std::max<std::uint64_t>(gzip_ ? kChunk : file_size_, 2 * before);
    const std::size_t after = std::min(count, room);
    bytes.reserve(after);  // exactly: resize alone may take up to twice as much
    bytes.resize(after);
    read(std::span(bytes).subspan(before), what);
  }
  return bytes;
}

bool ByteReader::at_end() {
  std::uint8_t byte;
  return read_some(&byte, 1) == 0;
}

std::size_t ByteReader::read_some(std::uint8_t* out, std::size_t count) {
  const std::size_t got = gzip_ ? inflate_some(out, count) : read_file(out, count);
  delivered_ += got;
  return got;
}

std::size_t ByteReader::read_file(std::uint8_t* out, std::size_t count) {
  const std::size_t got = std::fread(out, 1, count, file_.get());
  if (got < count && std::ferror(file_.get())) fail(std::string("cannot be read: ") + std::strerror(errno));
  return got;
}

std::size_t ByteReader::inflate_some(std::uint8_t* out, std::size_t count) {
  z_stream& stream = *gzip_;
  std::size_t done = 0;
  while (done < count) {
    if (stream.avail_in == 0) {
      stream.next_in = packed_.data();
      stream.avail_in = static_cast<uInt>(read_file(packed_.data(), packed_.size()));
      if (stream.avail_in == 0) {
        if (in_member_) fail("the gzip data ends too early: the file is truncated");
        return done;
      }
    }
    // After one gzip member zeros may follow, with which tapes are filled up, and another member.
    if (!in_member_ && *stream.next_in == 0) {
      ++stream.next_in;
      --stream.avail_in;
      continue;
    }
    in_member_ = true;
    const auto room = static_cast<uInt>(std::min(count - done, std::size_t{1} << 30));
    stream.next_out = out + done;
    stream.avail_out = room;
    const int result = inflate(&stream, Z_NO_FLUSH);
    done += room - stream.avail_out;
    if (result == Z_STREAM_END) {
      in_member_ = false;
      inflateReset(&stream);
    } else if (result == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (result != Z_OK) {
      fail(std::string("the gzip data is damaged: ") + (stream.msg ? stream.msg : "unexpected bytes"));
    }
  }
  return done;
}

}  // namespace strata::detail
