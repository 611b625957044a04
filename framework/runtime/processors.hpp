// How many processors a process may use: a container's share, not all that the machine has.
#pragma once

#include <filesystem>

namespace strata::detail {

/// The least of: the physical cores among the processors that the affinity mask allows; and the processor
/// time that a control group of this process, or one around it, may take (rounded up). At least 1. `root` is
/// where /proc and /sys are looked for.
int usable_cores(const std::filesystem::path& root = "/");

/// The second of these, in processors; infinity if there is no such limit. Knows cpu.max of version 2 of
/// control groups and cpu.cfs_quota_us of version 1.
double processor_quota(const std::filesystem::path& root);

/// The most threads that may be asked for: four for each processor of the machine, and 8 on a small one. More
/// would only wait for each other.
int most_threads();

}  // namespace strata::detail
