// History: what happened in a training.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/index.hpp"

namespace STRATA_EXPORT strata {

struct EpochRecord {
  Index epoch = 0;            ///< from 1
  double train_loss = 0;      ///< mean over the samples, each measured before the step it took part in
  double train_accuracy = 0;  ///< likewise
  double validation_loss = std::numeric_limits<double>::quiet_NaN();      ///< NaN without validation data
  double validation_accuracy = std::numeric_limits<double>::quiet_NaN();  ///< NaN without validation data
  double learning_rate = 0;                                               ///< of the last step
  double seconds = 0;                                                     ///< validation included
};

struct History {
  std::vector<double> step_losses;  ///< one per optimizer step
  std::vector<EpochRecord> epochs;
  Index best_epoch = 0;  ///< from 1; the best on validation, 0 if there is none
  bool stopped_early = false;

  /// Writes the epochs: a line of names, then a line each; an absent value is left empty. Atomic
  /// and durable. Throws DataError.
  void write_csv(const std::string& path) const;
};

}  // namespace strata
