#include "support/stop_signal.hpp"

#include <csignal>
#include <unistd.h>

namespace strata::support {
namespace {

volatile std::sig_atomic_t noted = 0;

extern "C" void note_or_leave(int) {
  if (noted) _exit(kStopped);
  noted = 1;
}

void handle_with(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // a checkpoint that is being written goes on
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

StopSignal::StopSignal() {
  noted = 0;
  handle_with(note_or_leave);
}

StopSignal::~StopSignal() {
  handle_with(SIG_DFL);
}

bool StopSignal::received() const {
  return noted != 0;
}

}  // namespace strata::support
