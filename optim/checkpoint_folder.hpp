// The folder of a run's checkpoints, and the notes in one.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "strata/optim/checkpoint.hpp"

namespace strata {
namespace detail {

class CheckpointFolder {
 public:
  explicit CheckpointFolder(CheckpointOptions options) : options_(std::move(options)) {}

  std::filesystem::path path_of(Index step) const;
  std::filesystem::path best_weights() const {
    return std::filesystem::path(options_.folder) / "best.safetensors";
  }
  /// The last step that has a checkpoint.
  std::optional<Index> newest() const;
  std::vector<std::filesystem::path> newest_first() const;

  /// Makes the folder, removes what a killed process left unfinished in it, and tries to write there. Throws
  /// DataError.
  void prepare() const;
  /// Removes all but the newest. A file that cannot be removed is left.
  void prune() const;

 private:
  /// Nothing if there is no folder yet. Throws DataError if it cannot be read.
  std::vector<std::filesystem::path> entries() const;
  std::map<Index, std::filesystem::path> all() const;

  CheckpointOptions options_;
};

/// Numbers as text, every bit of them.
std::string to_text(double value);
std::string to_text(Index value);

/// Reads the notes of a checkpoint. Throws DataError, which names the file and the note.
class Notes {
 public:
  Notes(const std::map<std::string, std::string, std::less<>>& notes, std::string file)
      : notes_(notes), file_(std::move(file)) {}

  const std::string& text(const std::string& name) const;
  double number(const std::string& name) const;
  /// At least 0 and at most `most`.
  Index count(const std::string& name, Index most) const;
  /// Throws if it was made by another run than `own`, and names all that differs; options ("option.…") that
  /// `own` has not may be any. Notes of the old format do not tell all: returns a sentence that says what was
  /// not compared.
  std::vector<std::string> compare_run(const std::map<std::string, std::string>& own, bool old) const;
  /// Whether it is there and is what this run would write.
  bool agrees(const std::string& name, const std::string& own) const;
  [[noreturn]] void fail(const std::string& message) const;

 private:
  const std::map<std::string, std::string, std::less<>>& notes_;
  std::string file_;
};

}  // namespace detail
}  // namespace strata
