#include "strata/framework/io/safetensors.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "strata/framework/error.hpp"
#include "strata/framework/io/atomic_file.hpp"
#include "strata/framework/io/quote.hpp"
#include "strata/framework/io/safetensors_header.hpp"

namespace strata {
namespace {

using LengthBytes = std::array<std::byte, 8>;

class InputFile {
 public:
  explicit InputFile(const std::string& path) : name_(detail::in_quotes(path)) {
    // Opening must not wait for the other end of a pipe.
    descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor_ == -1) fail("cannot open");
    struct stat status {};
    if (fstat(descriptor_, &status) == -1 || !S_ISREG(status.st_mode)) {
      close(descriptor_);
      throw DataError(name_ + ": is not a regular file");
    }
    size_ = static_cast<std::size_t>(status.st_size);
  }
  ~InputFile() { close(descriptor_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& name() const { return name_; }
  std::size_t size() const { return size_; }

  void read(std::size_t offset, std::span<std::byte> to) const {
    while (!to.empty()) {
      const ssize_t got = pread(descriptor_, to.data(), to.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail("cannot read");
      if (got == 0) throw DataError(name_ + ": became shorter while it was read");
      offset += static_cast<std::size_t>(got);
      to = to.subspan(static_cast<std::size_t>(got));
    }
  }

 private:
  [[noreturn]] void fail(const char* action) const {
    throw DataError(name_ + ": " + action + ": " + std::generic_category().message(errno));
  }

  std::string name_;
  int descriptor_ = -1;
  std::size_t size_ = 0;
};

// `read(offset, span)` fills a span from the file.
template <class Read>
StateDict parse(std::size_t size, const std::string& name, const Read& read) {
  LengthBytes length_bytes;
  if (size < length_bytes.size())
    throw DataError(name + ": expected at least 8 bytes, found " + std::to_string(size));
  read(0, std::span<std::byte>(length_bytes));
  std::uint64_t length = 0;
  std::memcpy(&length, length_bytes.data(), sizeof length);
  if (length > detail::kMaxHeaderSize)
    throw DataError(name + ": expected a header of at most " + std::to_string(detail::kMaxHeaderSize) +
                    " bytes, found one of " + std::to_string(length));
  const std::size_t rest = size - length_bytes.size();
  if (length > rest)
    throw DataError(name + ": expected a header of " + std::to_string(length) + " bytes, found only " +
                    std::to_string(rest) + ": the file is cut");

  StateDict state;
  std::vector<detail::DataRange> ranges;
  {
    std::string header(length, '\0');
    read(length_bytes.size(), std::as_writable_bytes(std::span(header)));
    ranges = detail::parse_header(header, rest - length, name, state);
  }
  for (const detail::DataRange& range : ranges) {
    range.tensor->bytes.resize(range.end - range.begin);
    read(length_bytes.size() + length + range.begin, std::span(range.tensor->bytes));
  }
  return state;
}

}  // namespace

StateDict read_safetensors(const std::string& path) {
  const InputFile file(path);
  return parse(file.size(), file.name(),
               [&](std::size_t offset, std::span<std::byte> to) { file.read(offset, to); });
}

StateDict parse_safetensors(std::span<const std::byte> file, const std::string& name) {
  return parse(file.size(), name, [&](std::size_t offset, std::span<std::byte> to) {
    if (!to.empty()) std::memcpy(to.data(), file.data() + offset, to.size());
  });
}

void write_safetensors(const StateDict& state, const std::string& path) {
  AtomicFile file(path);
  serialize_safetensors(state, [&](std::span<const std::byte> part) { file.write(part); });
  file.commit();
}

std::vector<std::byte> serialize_safetensors(const StateDict& state) {
  std::vector<std::byte> file;
  serialize_safetensors(
      state, [&](std::span<const std::byte> part) { file.insert(file.end(), part.begin(), part.end()); });
  return file;
}

void serialize_safetensors(const StateDict& state,
                           const std::function<void(std::span<const std::byte>)>& write) {
  const auto [header, tensors] = detail::make_header(state);
  const std::uint64_t length = header.size();
  write(std::as_bytes(std::span(&length, 1)));
  write(std::as_bytes(std::span(header)));
  for (const StoredTensor* tensor : tensors) write(tensor->bytes);
}

}  // namespace strata
