// Checkpoints: all that a Solver needs to go on as if it had not been interrupted.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "strata/framework/index.hpp"
#include "strata/optim/schedule.hpp"

namespace strata {

/// When a Solver writes checkpoints, and where: "step-000001500.safetensors" for each, and
/// "best.safetensors", the weights alone, after each best epoch.
struct CheckpointOptions {
  std::filesystem::path folder;  ///< created if there is none
  /// Besides, when training ends or is stopped; if given in steps, at the end of each epoch too.
  Span every = epochs(1);
  Index keep_last = 3;  ///< older ones are removed
  /// What the Solver cannot know and must be the same to go on, e.g. {"model", "vgg"}: kept in the checkpoint
  /// and compared.
  std::map<std::string, std::string> run_options = {};
};

/// What resume() did.
struct ResumeReport {
  std::filesystem::path file;  ///< the checkpoint it loaded
  /// What load_checkpoint returned.
  std::vector<std::string> remarks;
  /// Why newer ones could not be read; they are now called "….damaged".
  std::vector<std::string> damaged;
};

namespace detail {

/// The checkpoints of one run.
class CheckpointFolder {
 public:
  explicit CheckpointFolder(CheckpointOptions options) : options_(std::move(options)) {}

  std::filesystem::path path_of(Index step) const;
  std::filesystem::path best_weights() const { return options_.folder / "best.safetensors"; }
  /// The last step that has a checkpoint.
  std::optional<Index> newest() const;
  std::vector<std::filesystem::path> newest_first() const;

  /// Makes the folder, and removes what a killed process left unfinished in it. Throws DataError.
  void prepare() const;
  /// Removes all but the newest. A file that cannot be removed is left.
  void prune() const;

 private:
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
  /// Throws unless the note is what this run would write.
  void expect(const std::string& name, const std::string& own) const;
  /// Whether it is there and is what this run would write.
  bool agrees(const std::string& name, const std::string& own) const;
  [[noreturn]] void fail(const std::string& message) const;

 private:
  const std::map<std::string, std::string, std::less<>>& notes_;
  std::string file_;
};

}  // namespace detail
}  // namespace strata
