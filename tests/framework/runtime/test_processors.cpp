// How many processors a process may use, told by files as a container shows them.
#include <limits>
#include <unistd.h>

#include <gtest/gtest.h>

#include "strata/framework/runtime/processors.hpp"
#include "tests/framework/temporary_folder.hpp"

namespace strata {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

// A machine's /proc and /sys.
class Processors : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const auto file = root_.path() / path;
    std::filesystem::create_directories(file.parent_path());
    write_text(file, text);
  }
  double quota() const { return detail::processor_quota(root_.path()); }
  int cores() const { return detail::usable_cores(root_.path()); }

 private:
  TemporaryFolder root_;
};

TEST_F(Processors, NoFilesNoLimit) {
  EXPECT_EQ(quota(), kNoLimit);
  EXPECT_GE(cores(), 1);
  write("proc/self/cgroup", "nonsense\n::\n:\n\n");
  EXPECT_EQ(quota(), kNoLimit);
}

TEST_F(Processors, Version2) {
  write("proc/self/cgroup", "0::/jobs/mine\n");
  write("sys/fs/cgroup/jobs/mine/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), kNoLimit);
  write("sys/fs/cgroup/jobs/mine/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 1.5);
}

TEST_F(Processors, AGroupAroundLimitsToo) {
  write("proc/self/cgroup", "0::/jobs/mine/inner\n");
  write("sys/fs/cgroup/jobs/mine/inner/cpu.max", "800000 100000\n");
  write("sys/fs/cgroup/jobs/cpu.max", "300000 100000\n");
  write("sys/fs/cgroup/other/cpu.max", "10000 100000\n");
  EXPECT_EQ(quota(), 3);
}

TEST_F(Processors, AContainerSeesItsGroupAtTheTop) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(quota(), 0.5);
  EXPECT_EQ(cores(), 1);
  write("proc/self/cgroup", "0::/../../host/path\n");
  EXPECT_EQ(quota(), 0.5);
}

TEST_F(Processors, Version1) {
  write("proc/self/cgroup", "5:cpuset:/set\n4:cpu,cpuacct:/docker/7f3\n1:name=systemd:/docker/7f3\n0::/\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/7f3/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/7f3/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), kNoLimit);
  write("sys/fs/cgroup/cpu,cpuacct/docker/7f3/cpu.cfs_quota_us", "250000\n");
  EXPECT_EQ(quota(), 2.5);
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "120000\n");  // at the top
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "60000\n");
  EXPECT_EQ(quota(), 2);
  write("proc/self/cgroup", "5:cpuset:/docker/7f3\n");  // which has no quota
  EXPECT_EQ(quota(), kNoLimit);
}

TEST_F(Processors, CountsThreadsOfOneCoreOnce) {
  for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); ++cpu)
    write("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", "0-1023\n");
  EXPECT_EQ(cores(), 1);
}

}  // namespace
}  // namespace strata
