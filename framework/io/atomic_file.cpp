#include "strata/framework/io/atomic_file.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <signal.h>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "strata/framework/error.hpp"
#include "strata/framework/io/quote.hpp"

namespace strata {
namespace {

using detail::in_quotes;

// A write beyond the limit on file size (ulimit -f) sends SIGXFSZ, which by default ends the process. While
// one of these lives, this thread gets the error alone.
class HoldSizeSignal {
 public:
  HoldSizeSignal() {
    sigset_t pending;
    sigemptyset(&pending);
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGXFSZ) == 1;
    sigemptyset(&signal_);
    sigaddset(&signal_, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &signal_, &before_);
  }
  ~HoldSizeSignal() {
    const timespec at_once{};
    if (!was_pending_) sigtimedwait(&signal_, nullptr, &at_once);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  HoldSizeSignal(const HoldSizeSignal&) = delete;
  HoldSizeSignal& operator=(const HoldSizeSignal&) = delete;

 private:
  sigset_t signal_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

struct Descriptor {
  explicit Descriptor(int number_) : number(number_) {}
  ~Descriptor() {
    if (number != -1) close(number);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  const int number;
};

template <class Call>
auto retry(const Call& call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& target) : target_(target) {
  std::error_code ignored;
  if (std::filesystem::is_symlink(target_, ignored)) {
    const auto real = std::filesystem::weakly_canonical(target_, ignored);
    if (!ignored) target_ = real.string();
  }
  struct stat status {};
  if (stat(target_.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    throw DataError(in_quotes(target_) + ": is not a regular file");

  const std::filesystem::path path = target_;
  static std::atomic<unsigned> counter{0};
  do {
    std::string name = ".";
    name.append(path.filename().string()).append(".").append(std::to_string(getpid()));
    name.append("-").append(std::to_string(counter++)).append(".tmp");
    temporary_ = (path.parent_path() / name).string();
    descriptor_ =
        retry([&] { return open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
  } while (descriptor_ == -1 && errno == EEXIST);
  if (descriptor_ == -1) fail("cannot create a file there", errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ != -1) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  const HoldSizeSignal hold;
  while (!bytes.empty()) {
    const ssize_t written = retry([&] { return ::write(descriptor_, bytes.data(), bytes.size()); });
    if (written < 0) fail("cannot write", errno);
    if (written == 0) fail("cannot write", ENOSPC);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::commit() {
  // First, while there is a way back.
  const std::filesystem::path path = target_;
  const std::string folder = path.has_parent_path() ? path.parent_path().string() : ".";
  const Descriptor place(retry([&] { return open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (place.number == -1) fail("cannot open its folder", errno);
  if (retry([&] { return fsync(descriptor_); }) == -1) fail("cannot sync", errno);
  // On Linux the descriptor is gone even if close was interrupted.
  const int closed = close(descriptor_);
  descriptor_ = -1;
  if (closed == -1 && errno != EINTR) fail("cannot close", errno);
  if (rename(temporary_.c_str(), target_.c_str()) == -1) fail("cannot rename", errno);
  temporary_.clear();

  // EINVAL: a file system that cannot sync a folder.
  if (retry([&] { return fsync(place.number); }) == -1 && errno != EINVAL)
    fail("is in place, but a loss of power may undo that: cannot sync its folder", errno);
}

void AtomicFile::fail(const char* action, int error) const {
  throw DataError(in_quotes(target_) + ": " + action + ": " + std::generic_category().message(error));
}

}  // namespace strata
