#include <cerrno>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/error.hpp"
#include "strata/framework/io/atomic_file.hpp"
#include "tests/framework/temporary_folder.hpp"

namespace {
bool folders_fail = false;
}

// Takes the place of the system's, and can fail for a folder as a broken disk would.
extern "C" int fsync(int descriptor) {
  struct stat status {};
  if (folders_fail && fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}

namespace strata {
namespace {

using testing::HasSubstr;

void write_whole(const std::filesystem::path& path, const std::string& text) {
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

std::string error_of(const std::filesystem::path& path) {
  try {
    write_whole(path, "new");
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

TEST(AtomicFile, MakesAndReplacesFiles) {
  const TemporaryFolder folder;
  write_whole(folder / "f", "first");
  EXPECT_EQ(read_text(folder / "f"), "first");
  write_whole(folder / "f", "");
  EXPECT_EQ(read_text(folder / "f"), "");
  const std::string large(3 << 20, 'x');
  write_whole(folder / "f", large);
  EXPECT_EQ(read_text(folder / "f"), large);
  EXPECT_EQ(folder.file_count(), 1);
}

TEST(AtomicFile, ObeysTheUmask) {
  const TemporaryFolder folder;
  const mode_t before = umask(027);
  write_whole(folder / "f", "x");
  umask(before);
  struct stat status {};
  ASSERT_EQ(stat((folder / "f").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST(AtomicFile, WritesInTheCurrentFolder) {
  const TemporaryFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_whole("f", "here");
  std::filesystem::current_path(before);
  EXPECT_EQ(read_text(folder / "f"), "here");
  EXPECT_EQ(folder.file_count(), 1);
}

TEST(AtomicFile, ChangesNothingUntilCommitted) {
  const TemporaryFolder folder;
  write_text(folder / "f", "old");
  {
    AtomicFile file(folder / "f");
    const std::string text = "half of the n";
    file.write(std::as_bytes(std::span(text)));
    EXPECT_EQ(read_text(folder / "f"), "old");
    EXPECT_EQ(folder.file_count(), 2);
  }
  EXPECT_EQ(read_text(folder / "f"), "old");
  EXPECT_EQ(folder.file_count(), 1);
}

TEST(AtomicFile, WritersDoNotMixTheirFiles) {
  const TemporaryFolder folder;
  AtomicFile first(folder / "f"), second(folder / "f");
  const std::string one = "one", two = "two";
  first.write(std::as_bytes(std::span(one)));
  second.write(std::as_bytes(std::span(two)));
  first.commit();
  EXPECT_EQ(read_text(folder / "f"), "one");
  second.commit();
  EXPECT_EQ(read_text(folder / "f"), "two");
}

TEST(AtomicFile, FollowsSymbolicLinks) {
  const TemporaryFolder folder;
  write_text(folder / "real", "old");
  std::filesystem::create_symlink("real", folder / "link");
  write_whole(folder / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(read_text(folder / "real"), "new");
}

TEST(AtomicFile, NamesWhatIsInTheWay) {
  const TemporaryFolder folder;
  write_text(folder / "file", "old");
  EXPECT_THAT(error_of(folder / "absent/f"),
              HasSubstr("/absent/f': cannot create a file there: No such file"));
  EXPECT_THAT(error_of(folder / "file/f"),
              HasSubstr("/file/f': cannot create a file there: Not a directory"));
  EXPECT_THAT(error_of(folder.path()), HasSubstr("': is not a regular file"));
  EXPECT_THAT(error_of(folder / std::string(255, 'n').c_str()), HasSubstr("File name too long"));
  EXPECT_EQ(read_text(folder / "file"), "old");
  EXPECT_EQ(folder.file_count(), 1);
}

// Renaming over a device would do away with the device.
TEST(AtomicFile, LeavesDevicesAlone) {
  EXPECT_EQ(error_of("/dev/full"), "'/dev/full': is not a regular file");
  const TemporaryFolder folder;
  std::filesystem::create_symlink("/dev/full", folder / "link");
  EXPECT_EQ(error_of(folder / "link"), "'/dev/full': is not a regular file");
}

TEST(AtomicFile, ACommitThatFailsLeavesNothingBehind) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "f");
  std::filesystem::create_directory(folder / "f");
  EXPECT_THROW(file.commit(), DataError);
}

int exit_code_of_child(int (*body)(const std::filesystem::path&), const std::filesystem::path& path) {
  const pid_t child = fork();
  if (child == 0) _exit(body(path));
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

// Writes 64 KB where only 1000 bytes are allowed. SIGXFSZ has its default action: to end the process.
TEST(AtomicFile, AFileBeyondTheSizeLimitIsAnError) {
  const TemporaryFolder folder;
  write_text(folder / "f", "old");
  const int code = exit_code_of_child(
      [](const std::filesystem::path& path) {
        signal(SIGXFSZ, SIG_DFL);
        const rlimit limit{1000, 1000};
        setrlimit(RLIMIT_FSIZE, &limit);
        try {
          write_whole(path, std::string(1 << 16, 'x'));
        } catch (const DataError& error) {
          sigset_t pending;
          sigpending(&pending);
          if (sigismember(&pending, SIGXFSZ)) return 3;
          return std::string(error.what()).ends_with("cannot write: File too large") ? 0 : 1;
        }
        return 2;
      },
      folder / "f");
  EXPECT_EQ(code, 0);
  EXPECT_EQ(read_text(folder / "f"), "old");
  EXPECT_EQ(folder.file_count(), 1);
}

// As root a folder's permissions are no obstacle, so the child becomes someone else.
void expect_denied(int permissions, int (*write)(const std::filesystem::path&)) {
  const TemporaryFolder folder;
  write_text(folder / "f", "old");
  std::filesystem::permissions(folder.path(), std::filesystem::perms(permissions));
  EXPECT_EQ(exit_code_of_child(write, folder / "f"), 0);
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  EXPECT_EQ(read_text(folder / "f"), "old");
  EXPECT_EQ(folder.file_count(), 1);
}

TEST(AtomicFile, AReadOnlyFolderIsAnError) {
  expect_denied(0555, [](const std::filesystem::path& path) {
    if (geteuid() == 0 && setuid(65534) != 0) return 3;
    return error_of(path).ends_with("cannot create a file there: Permission denied") ? 0 : 1;
  });
}

TEST(AtomicFile, AFolderThatCannotBeOpenedIsAnErrorBeforeAnythingIsReplaced) {
  expect_denied(0333, [](const std::filesystem::path& path) {
    if (geteuid() == 0 && setuid(65534) != 0) return 3;
    return error_of(path).ends_with("cannot open its folder: Permission denied") ? 0 : 1;
  });
}

TEST(AtomicFile, SaysThatTheFileIsInPlaceWhenItsFolderCannotBeSynced) {
  const TemporaryFolder folder;
  write_text(folder / "f", "old");
  folders_fail = true;
  const std::string error = error_of(folder / "f");
  folders_fail = false;
  EXPECT_THAT(error, HasSubstr("is in place, but a loss of power may undo that: cannot sync its folder: "
                               "Input/output error"));
  EXPECT_EQ(read_text(folder / "f"), "new");
  EXPECT_EQ(folder.file_count(), 1);
}

}  // namespace
}  // namespace strata
