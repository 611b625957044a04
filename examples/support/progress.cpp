#include "support/progress.hpp"

#include <cmath>
#include <cstdio>
#include <fmt/format.h>
#include <limits>
#include <sys/ioctl.h>
#include <unistd.h>

namespace strata::support {
namespace {

bool on_terminal() {
  static const bool yes = isatty(STDOUT_FILENO) != 0;
  return yes;
}

// Asked each time, because a window may become another.
std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// On a terminal the line takes the place of the one before it and leaves the last column free, so that it
// never wraps.
void print(const std::vector<std::string>& fields, const char* end) {
  if (on_terminal()) {
    const std::size_t width = terminal_width() - 1;
    fmt::print("\r{:<{}}{}", fit(fields, width), width, end);
  } else {
    fmt::print("{}\n", fit(fields, std::numeric_limits<std::size_t>::max()));
  }
  std::fflush(stdout);
}

}  // namespace

std::string fit(const std::vector<std::string>& fields, std::size_t width) {
  std::string line = fields.at(0).substr(0, width);
  for (std::size_t i = 1; i < fields.size(); ++i)
    if (line.size() + 2 + fields[i].size() <= width) line += "  " + fields[i];
  return line;
}

std::string figure(double value) {
  return std::isnan(value) ? "-" : fmt::format("{:.4f}", value);
}

std::string duration(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

Progress::~Progress() {
  if (!line_is_open_) return;
  std::putchar('\n');
  std::fflush(stdout);
}

void Progress::show(const StepReport& step) {
  const auto now = std::chrono::steady_clock::now();
  if (now - shown_ < (on_terminal() ? std::chrono::milliseconds(200) : std::chrono::seconds(10))) return;
  shown_ = now;
  print({fmt::format("epoch {}/{}", step.epoch, step.epochs),
         fmt::format("step {:>{}}/{}", step.step, std::to_string(step.steps_per_epoch).size(),
                     step.steps_per_epoch),
         "loss " + figure(step.loss), duration(step.seconds_left) + " left",
         fmt::format("{:.0f} images/s", step.samples_per_second),
         fmt::format("rate {:.2g}", step.learning_rate)},
        "");
  line_is_open_ = on_terminal();
}

void Progress::show(const EpochReport& epoch) {
  const EpochRecord& r = epoch.record;
  print({fmt::format("epoch {}/{}", r.epoch, epoch.epochs),
         fmt::format("loss {}, validation {}", figure(r.train_loss), figure(r.validation_loss)),
         fmt::format("accuracy {}, {}{}", figure(r.train_accuracy), figure(r.validation_accuracy),
                     epoch.best ? " (best)" : ""),
         duration(r.seconds)},
        "\n");
  line_is_open_ = false;
}

}  // namespace strata::support
