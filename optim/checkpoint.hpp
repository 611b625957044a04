// Checkpoints: all that a Solver needs to go on as if it had not been interrupted.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/index.hpp"
#include "strata/optim/schedule.hpp"

namespace STRATA_EXPORT strata {

/// When a Solver writes checkpoints, and where: "step-000001500.safetensors" for each, and
/// "best.safetensors", the weights alone, after each best epoch.
struct CheckpointOptions {
  std::string folder;  ///< created if there is none
  /// Besides, when training ends or is stopped; if given in steps, at the end of each epoch too.
  Span every = epochs(1);
  Index keep_last = 3;  ///< older ones are removed
  /// What the Solver cannot know and must be the same to go on, e.g. {"model", "vgg"}: kept in the checkpoint
  /// and compared.
  std::map<std::string, std::string> run_options = {};
};

/// What resume() did.
struct ResumeReport {
  std::string file;  ///< the checkpoint it loaded
  /// What load_checkpoint returned.
  std::vector<std::string> remarks;
  /// Why newer ones could not be read; they are now called "….damaged".
  std::vector<std::string> damaged;
};

}  // namespace strata
