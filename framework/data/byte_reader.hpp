// ByteReader: a file's bytes in order, unpacked if it is a gzip file. For the readers of data sets.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

struct z_stream_s;

namespace strata::detail {

/// Every error is a DataError that begins with the file's path.
class ByteReader {
 public:
  /// Whether the file is packed is told by its first two bytes, not by its name.
  explicit ByteReader(std::string path);
  ~ByteReader();

  bool packed() const { return gzip_ != nullptr; }
  /// The content cannot be longer than this: the size of the file, or what gzip could make of it.
  std::uint64_t longest_content() const;

  /// Fills `bytes`; `what` they are is for the message about a file that ends too early.
  void read(std::span<std::uint8_t> bytes, const char* what);
  /// The next `count` bytes. Takes memory only as the file delivers, at most three times as much.
  std::vector<std::uint8_t> read(std::uint64_t count, const char* what);
  /// Whether all has been read; a packed file must then be whole and its checksum right.
  bool at_end();

  [[noreturn]] void fail(const std::string& message) const;

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
    void operator()(z_stream_s* stream) const;
  };

  std::size_t read_some(std::uint8_t* out, std::size_t count);
  std::size_t read_file(std::uint8_t* out, std::size_t count);
  std::size_t inflate_some(std::uint8_t* out, std::size_t count);

  std::string path_;
  std::uint64_t file_size_ = 0;
  std::uint64_t delivered_ = 0;
  std::unique_ptr<std::FILE, Close> file_;
  std::unique_ptr<z_stream_s, Close> gzip_;  // null for a plain file
  std::vector<std::uint8_t> packed_;
  bool in_member_ = false;
};

}  // namespace strata::detail
