#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/data/cifar.hpp"
#include "tests/framework/data/data_files.hpp"
#include "tests/framework/temporary_folder.hpp"

namespace strata {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using testing::ThrowsMessage;

constexpr std::size_t kPixels = 3072;

// The labels of one image, then its pixels.
std::string record(const std::string& labels, std::uint32_t seed) {
  return labels + some_bytes(kPixels, seed);
}

class Cifar : public testing::Test {
 protected:
  std::string write(const char* name, const std::string& bytes) const {
    std::filesystem::create_directories((folder / name).parent_path());
    write_text(folder / name, bytes);
    return (folder / name).string();
  }
  template <class Reader>
  std::string fault(Reader read, const std::string& bytes) const {
    const std::string path = write("file", bytes);
    const std::string message = data_error_of([&] { read({path}); });
    EXPECT_THAT(message, StartsWith(path + ": "));
    return message.substr(std::min(message.size(), path.size() + 2));
  }

  TemporaryFolder folder;
};

TEST_F(Cifar, ReadsSeveralFilesOfAnyLength) {
  const auto a = write("a", record("\3", 1) + record({'\0'}, 2)), b = write("b", record("\t", 3)),
             c = write("c", record("\1", 4) + record("\2", 5) + record("\3", 6));
  const auto data = read_cifar10({a, b, c});
  ASSERT_EQ(data->size(), 6);
  EXPECT_EQ(data->sample_shape(), (Shape{3, 32, 32}));
  EXPECT_EQ(data->classes(), 10);
  const int labels[] = {3, 0, 9, 1, 2, 3};
  for (Index i = 0; i < 6; ++i) {
    EXPECT_EQ(data->label(i), labels[i]);
    EXPECT_EQ(bytes_of(*data, i), as_numbers(some_bytes(kPixels, static_cast<std::uint32_t>(i) + 1)));
  }
  EXPECT_EQ(data->class_name(0), "airplane");
  EXPECT_EQ(data->class_name(9), "truck");
}

TEST_F(Cifar, OfTwoLabelsTheFineOneCounts) {
  const auto path = write("file", record("\23\143", 1) + record({'\7', '\0'}, 2));
  const auto data = read_cifar100({path, path});
  ASSERT_EQ(data->size(), 4);
  EXPECT_EQ(data->classes(), 100);
  EXPECT_EQ(data->class_name(0), "apple");
  EXPECT_EQ(data->class_name(99), "worm");
  for (const Index i : {0, 2}) {
    EXPECT_EQ(data->label(i), 99);
    EXPECT_EQ(data->label(i + 1), 0);
    EXPECT_EQ(bytes_of(*data, i), as_numbers(some_bytes(kPixels, 1)));
    EXPECT_EQ(bytes_of(*data, i + 1), as_numbers(some_bytes(kPixels, 2)));
  }
  // 100 names, sorted: each is there, once.
  for (Index c = 1; c < 100; ++c) EXPECT_LT(data->class_name(c - 1), data->class_name(c));
}

TEST_F(Cifar, FindsTheFilesInADirectoryOrInTheArchivesFolder) {
  const auto missing = [&](const std::string& name) {
    return (folder.path() / name).string() + ": there is no such file";
  };
  const std::string directory = folder.path().string();
  EXPECT_EQ(data_error_of([&] { cifar10(directory); }), missing("data_batch_1.bin"));
  EXPECT_EQ(data_error_of([&] { cifar100(directory + "/none"); }), missing("none/train.bin"));

  for (const std::string place : {"ten/", "packed/cifar-10-batches-bin/"}) {
    const std::string root = (folder.path() / place.substr(0, place.find('/'))).string();
    for (char number = '1'; number <= '5'; ++number)
      write((place + "data_batch_" + number + ".bin").c_str(),
            record({static_cast<char>(number - '0')}, static_cast<std::uint32_t>(number)));
    EXPECT_EQ(data_error_of([&] { cifar10(root); }), missing(place + "test_batch.bin"));
    write((place + "test_batch.bin").c_str(), record("\6", 6) + record("\7", 7));
    const TrainTest sets = cifar10(root);
    ASSERT_EQ(sets.train->size(), 5);
    ASSERT_EQ(sets.test->size(), 2);
    for (Index i = 0; i < 5; ++i) EXPECT_EQ(sets.train->label(i), i + 1);
    EXPECT_EQ(bytes_of(*sets.train, 4), as_numbers(some_bytes(kPixels, '5')));
    EXPECT_EQ(sets.test->label(1), 7);
    std::filesystem::remove(folder.path() / (place + "data_batch_4.bin"));
    EXPECT_EQ(data_error_of([&] { cifar10(root); }), missing(place + "data_batch_4.bin"));
  }
  for (const std::string place : {"hundred/", "packed/cifar-100-binary/"}) {
    const std::string root = (folder.path() / place.substr(0, place.find('/'))).string();
    write((place + "train.bin").c_str(), record("\1\2", 1) + record("\1\3", 2));
    EXPECT_EQ(data_error_of([&] { cifar100(root); }), missing(place + "test.bin"));
    write((place + "test.bin").c_str(), record("\1\143", 3));
    const TrainTest sets = cifar100(root);
    EXPECT_EQ(sets.train->size(), 2);
    EXPECT_EQ(sets.train->label(1), 3);
    EXPECT_EQ(sets.test->label(0), 99);
  }
}

TEST_F(Cifar, RefusesWhatIsNotWholeRecords) {
  const std::string two10 = record("\1", 1) + record("\2", 2), two100 = record("\1\1", 1) + record("\2\2", 2);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kPixels, kPixels + 2, 2 * kPixels + 1}) {
    EXPECT_EQ(fault(read_cifar10, two10.substr(0, size)),
              "expected whole records of 3073 bytes, got " + std::to_string(size) + " bytes");
  }
  for (const std::size_t size : {std::size_t{0}, kPixels + 1, kPixels + 3, 2 * kPixels + 3})
    EXPECT_EQ(fault(read_cifar100, two100.substr(0, size)),
              "expected whole records of 3074 bytes, got " + std::to_string(size) + " bytes");
  EXPECT_EQ(fault(read_cifar10, two10 + '\0'), "expected whole records of 3073 bytes, got 6147 bytes");
  EXPECT_EQ(fault(read_cifar10, two100), "expected whole records of 3073 bytes, got 6148 bytes");
  EXPECT_EQ(fault(read_cifar100, two10), "expected whole records of 3074 bytes, got 6146 bytes");
}

TEST_F(Cifar, RefusesLabelsOutOfRange) {
  const std::string good = record("\1", 1);
  EXPECT_EQ(fault(read_cifar10, good + record("\n", 2)), "label 10 of image 1 is outside [0, 10)");
  EXPECT_EQ(fault(read_cifar10, record("\xff", 2) + good), "label 255 of image 0 is outside [0, 10)");
  EXPECT_EQ(fault(read_cifar100, record({'\24', '\0'}, 1)), "label 20 of image 0 is outside [0, 20)");
  const std::string fine = record("\23\143", 1);
  EXPECT_EQ(fault(read_cifar100, fine + fine + record("\1\144", 2)),
            "label 100 of image 2 is outside [0, 100)");
}

TEST_F(Cifar, RefusesWhatIsNotAPlainFile) {
  const std::string message = "expected the unpacked binary version of CIFAR, got a gzip file";
  EXPECT_EQ(fault(read_cifar10, gzip(record("\1", 1))), message);
  EXPECT_EQ(fault(read_cifar100, gzip(record("\1\1", 1))), message);
  const std::string directory = folder.path().string();
  EXPECT_EQ(data_error_of([&] { read_cifar10({directory}); }),
            directory + ": expected a file, got a folder or a device");
  // Any of the files, not the first alone.
  const std::string good = write("good", record("\1", 1));
  EXPECT_EQ(data_error_of([&] {
              read_cifar10({good, directory});
            }),
            directory + ": expected a file, got a folder or a device");
  EXPECT_THAT([] { read_cifar10({}); }, ThrowsMessage<ArgumentError>(HasSubstr("at least one file")));
  EXPECT_THAT([] { read_cifar100({}); }, ThrowsMessage<ArgumentError>(HasSubstr("at least one file")));
}

}  // namespace
}  // namespace strata
