#include "strata/framework/runtime/processors.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <string>
#include <unistd.h>

#include <tbb/info.h>
#if defined(__linux__)
#include <sched.h>
#endif

namespace strata::detail {
namespace {

namespace fs = std::filesystem;

// Two threads of one core count once where the system tells. (oneTBB would ask hwloc, which writes to stderr
// where there is no /sys.)
int physical_cores(const fs::path& root) {
  const int processors = tbb::info::default_concurrency();  // of the affinity mask
  std::set<std::string> cores;
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return processors;  // more than it has room for
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::ifstream siblings(root / "sys/devices/system/cpu" / ("cpu" + std::to_string(cpu)) /
                           "topology/thread_siblings_list");
    if (std::string threads; std::getline(siblings, threads)) cores.insert(threads);
  }
#endif
  return cores.empty() ? processors : std::min(processors, static_cast<int>(cores.size()));
}

double quota_of(const fs::path& group) {
  double time = 0, period = 0;  // time is "max" or -1 where there is no limit
  if (std::ifstream file(group / "cpu.max"); !(file >> time >> period)) {
    std::ifstream(group / "cpu.cfs_quota_us") >> time;
    std::ifstream(group / "cpu.cfs_period_us") >> period;
  }
  return time > 0 && period > 0 ? time / period : std::numeric_limits<double>::infinity();
}

}  // namespace

double processor_quota(const fs::path& root) {
  double least = std::numeric_limits<double>::infinity();
  std::ifstream groups(root / "proc/self/cgroup");
  // "0::/path" in version 2, "4:cpu,cpuacct:/path" in version 1.
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && ("," + controllers + ",").find(",cpu,") == line.npos) continue;
    const fs::path path = fs::path(line.substr(second + 1)).lexically_normal().relative_path();
    for (const char* mount : {"", "unified", "cpu", "cpu,cpuacct"}) {
      // In a container the path may be the host's: then it is not there, and the limit stands at the top.
      const fs::path top = root / "sys/fs/cgroup" / mount;
      for (fs::path group = path;; group = group.parent_path()) {
        least = std::min(least, quota_of(top / group));
        if (group.empty()) break;
      }
    }
  }
  return least;
}

int usable_cores(const fs::path& root) {
  const double quota = std::ceil(processor_quota(root));
  return static_cast<int>(std::max(1.0, std::min<double>(physical_cores(root), quota)));
}

int most_threads() {
  return std::max(8, 4 * static_cast<int>(sysconf(_SC_NPROCESSORS_CONF)));
}

}  // namespace strata::detail
