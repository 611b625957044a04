#include "support/progress.hpp"

#include <cstdio>
#include <fmt/format.h>
#include <unistd.h>

namespace strata::support {
namespace {

bool on_terminal() {
  static const bool yes = isatty(STDOUT_FILENO) != 0;
  return yes;
}

}  // namespace

std::string duration(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

void Progress::show(const StepReport& step) {
  const auto now = std::chrono::steady_clock::now();
  if (now - shown_ < (on_terminal() ? std::chrono::milliseconds(200) : std::chrono::seconds(10))) return;
  shown_ = now;
  const std::string line =
      fmt::format("epoch {}/{}  step {:>4}/{}  loss {:.4f}  {:>5.0f} images/s  learning rate {:.4f}  {} left",
                  step.epoch, step.epochs, step.step, step.steps_per_epoch, step.loss,
                  step.samples_per_second, step.learning_rate, duration(step.seconds_left));
  fmt::print("{}{:<100}{}", on_terminal() ? "\r" : "", line, on_terminal() ? "" : "\n");
  std::fflush(stdout);
}

void Progress::show(const EpochReport& epoch) {
  const EpochRecord& r = epoch.record;
  const std::string line = fmt::format(
      "epoch {}/{}  loss {:.4f}  training accuracy {:.4f}  validation loss {:.4f}  accuracy {:.4f}{}  {}",
      r.epoch, epoch.epochs, r.train_loss, r.train_accuracy, r.validation_loss, r.validation_accuracy,
      epoch.best ? " (best)" : "", duration(r.seconds));
  fmt::print("{}{:<100}\n", on_terminal() ? "\r" : "", line);
  std::fflush(stdout);
}

}  // namespace strata::support
