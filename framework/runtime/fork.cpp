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

// The calling thread's own hold is left alone by all three.
template <class Do>
void for_others(const Do& act) {
  for (Hold* hold = first; hold; hold = hold->next)
    if (hold != &own()) act(hold->mutex);
}

void before_fork() {
  own();  // it would enter itself into the list below, which is locked
  list_mutex.lock();
  for_others([](std::mutex& mutex) { mutex.lock(); });
}

void in_parent() {
  for_others([](std::mutex& mutex) { mutex.unlock(); });
  list_mutex.unlock();
}

// Other threads are gone, and what they had in themselves will be written over.
void in_child() {
  first = &own();
  first->next = nullptr;
  forks_so_far.fetch_add(1, std::memory_order_relaxed);
  list_mutex.unlock();
}

[[maybe_unused]] const int registered = pthread_atfork(before_fork, in_parent, in_child);

}  // namespace

unsigned forks() {
  return forks_so_far.load(std::memory_order_relaxed);
}

void HoldFork::begin() {
  if (Hold& hold = own(); hold.depth++ == 0) hold.mutex.lock();
}

void HoldFork::end() {
  if (Hold& hold = own(); --hold.depth == 0) hold.mutex.unlock();
}

}  // namespace strata::detail
