// AtomicFile: a file that is replaced whole or not at all.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// Writes to a temporary file beside the target; `commit` makes it durable and puts it in the target's place.
/// Until then, and if anything fails, an earlier file stays as it was and the temporary file is removed. Only
/// when at last the folder cannot be synced, the new file is in place already: the error says so.
/// A target that is a symbolic link is followed; one that is not a regular file is refused.
/// A process that is killed may leave the temporary file behind: ".NAME.*.tmp".
class AtomicFile {
 public:
  /// Throws DataError if the temporary file cannot be made.
  explicit AtomicFile(const std::string& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends. Throws DataError: the disk is full, the file too large, … .
  void write(std::span<const std::byte> bytes);

  /// Syncs the file, renames it, syncs the folder, which has to be readable. Throws DataError.
  void commit();

 private:
  [[noreturn]] void fail(const char* action, int error) const;

  std::string target_;
  std::string temporary_;
  int descriptor_ = -1;
};

}  // namespace strata
