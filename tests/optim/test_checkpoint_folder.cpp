#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/error.hpp"
#include "strata/optim/checkpoint_folder.hpp"
#include "tests/framework/temporary_folder.hpp"

namespace strata {
namespace {

using detail::CheckpointFolder;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(CheckpointFolder, KnowsItsCheckpointsByTheirSteps) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints({.folder = folder.path(), .keep_last = 2});
  EXPECT_FALSE(checkpoints.newest());
  const auto of = [&](const char* name) {
    write_text(folder / name, "x");
    return folder / name;
  };
  const auto first = of("step-000000007.safetensors"), second = of("step-000000010.safetensors"),
             third = of("step-1234567890.safetensors");
  for (const char* other : {"step-.safetensors", "step-12.safetensors.damaged", "step-x0000001.safetensors",
                            "step--00000001.safetensors", "best.safetensors", "Step-000000001.safetensors"})
    of(other);
  EXPECT_EQ(checkpoints.path_of(7), first);
  EXPECT_EQ(checkpoints.path_of(1234567890), third);
  EXPECT_EQ(checkpoints.newest(), 1234567890);
  EXPECT_THAT(checkpoints.newest_first(), testing::ElementsAre(third, second, first));
  checkpoints.prune();
  EXPECT_THAT(checkpoints.newest_first(), testing::ElementsAre(third, second));
  EXPECT_EQ(folder.file_count(), 8);
}

TEST(CheckpointFolder, OneThatIsAFileIsAnError) {
  const TemporaryFolder folder;
  write_text(folder / "file", "x");
  const CheckpointFolder checkpoints({.folder = folder / "file"});
  EXPECT_THAT(
      [&] { checkpoints.prepare(); },
      ThrowsMessage<DataError>(HasSubstr((folder / "file").string() + "': cannot create the folder: ")));
  EXPECT_THAT(
      [&] { checkpoints.newest(); },
      ThrowsMessage<DataError>(HasSubstr((folder / "file").string() + "': cannot read the folder: ")));
}

}  // namespace
}  // namespace strata
