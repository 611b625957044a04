#include "strata/framework/runtime/fork.hpp"

#include <pthread.h>

namespace strata::detail {
namespace {

// A thread's lock, in the thread itself, so that it takes no memory. Nobody else takes it unless the process
// forks, which makes that cheap: some 15 nanoseconds.
struct Hold {
  std::mutex mutex;
  unsigned depth = 0;
  Hold* next = nullptr;
};

constinit std::atomic<unsigned> forks_so_far = 0;
constinit std::atomic<bool> fork_waits = false;
constinit std::mutex list_mutex;
constinit Hold* first = nullptr;

// While a thread lives, its hold is in the list. What it frees after that is not looked at.
class Listed {
 public:
  explicit Listed(Hold& hold) : hold_(hold) {
    const std::scoped_lock lock(list_mutex);
    hold_.next = first;
    first = &hold_;
  }
  ~Listed() {
    const std::scoped_lock lock(list_mutex);
    Hold** place = &first;
    while (*place && *place != &hold_) place = &(*place)->next;
    if (*place) *place = hold_.next;
  }
  Listed(const Listed&) = delete;
  Listed& operator=(const Listed&) = delete;

 private:
  Hold& hold_;
};

Hold& own() {
  constinit thread_local Hold hold;
  const thread_local Listed listed(hold);
  return hold;
}

template <class Do>
void for_others(const Do& act) {
  for (Hold* hold = first; hold; hold = hold->next)
    if (hold != &own()) act(hold->mutex);
}

// Until it has forked, the calling thread locks what it likes: others' holds are taken, not its own.
void before_fork() {
  ++own().depth;
  list_mutex.lock();
  fork_waits.store(true, std::memory_order_relaxed);
  for_others([](std::mutex& mutex) { mutex.lock(); });
}

void after_fork() {
  fork_waits.store(false, std::memory_order_relaxed);
  list_mutex.unlock();
  --own().depth;
}

void in_parent() {
  for_others([](std::mutex& mutex) { mutex.unlock(); });
  after_fork();
}

// Other threads are gone, and what they had in themselves will be written over.
void in_child() {
  first = &own();
  first->next = nullptr;
  forks_so_far.fetch_add(1, std::memory_order_relaxed);
  after_fork();
}

[[maybe_unused]] const int registered = pthread_atfork(before_fork, in_parent, in_child);

}  // namespace

unsigned forks() {
  return forks_so_far.load(std::memory_order_relaxed);
}

void HoldFork::begin() {
  Hold& hold = own();
  if (hold.depth++ > 0) return;
  // A fork goes first. Otherwise a thread that holds it again and again would keep it waiting.
  if (fork_waits.load(std::memory_order_relaxed)) const std::scoped_lock wait(list_mutex);
  hold.mutex.lock();
}

void HoldFork::end() {
  if (Hold& hold = own(); --hold.depth == 0) hold.mutex.unlock();
}

}  // namespace strata::detail
