#include <cmath>
#include <filesystem>
#include <sys/resource.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/data/idx.hpp"
#include "tests/framework/data/data_files.hpp"
#include "tests/framework/temporary_folder.hpp"

namespace strata {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using testing::ThrowsMessage;

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 255);
  return bytes;
}

std::string idx_file(const std::vector<std::uint32_t>& shape, const std::string& values) {
  std::string bytes = big_endian(0x0800 | static_cast<std::uint32_t>(shape.size()));
  for (const std::uint32_t extent : shape) bytes += big_endian(extent);
  return bytes + values;
}

// Images of 2x3 whose header is 16 bytes and whose values are 24.
std::string four_images() {
  return idx_file({4, 2, 3}, some_bytes(24));
}

class Idx : public testing::Test {
 protected:
  std::string write(const std::string& bytes, const char* name = "file") const {
    write_text(folder / name, bytes);
    return (folder / name).string();
  }
  // What read_idx says about a file with these bytes, without the path it must begin with.
  std::string fault(const std::string& bytes, int dimensions = 3) const {
    const std::string path = write(bytes);
    const std::string message = data_error_of([&] { read_idx(path, dimensions); });
    EXPECT_THAT(message, StartsWith(path + ": "));
    return message.substr(std::min(message.size(), path.size() + 2));
  }

  TemporaryFolder folder;
};

using IdxFaults = Idx;
using IdxImages = Idx;

TEST_F(Idx, ReadsAnyNumberOfDimensions) {
  const std::string values = some_bytes(120);
  for (const auto& shape :
       std::vector<std::vector<std::uint32_t>>{{120}, {10, 12}, {4, 5, 6}, {2, 3, 4, 5}, {1, 1, 120, 1, 1}}) {
    const auto array = read_idx(write(idx_file(shape, values)), static_cast<int>(shape.size()));
    EXPECT_EQ(array.shape, Shape(shape.begin(), shape.end()));
    EXPECT_EQ(array.values, as_numbers(values));
  }
  std::vector<std::uint32_t> longest(255, 1);
  EXPECT_THAT(read_idx(write(idx_file(longest, "A")), 255).values, ElementsAre('A'));
  for (const int wrong : {-1, 0, 256})
    EXPECT_THAT([&] { read_idx(write("x"), wrong); },
                ThrowsMessage<ArgumentError>(HasSubstr("1 to 255 dimensions, got " + std::to_string(wrong))));
}

TEST_F(Idx, TellsGzipByTheContentNotTheName) {
  EXPECT_EQ(read_idx(write(gzip(four_images()), "plain"), 3).values, as_numbers(some_bytes(24)));
  EXPECT_EQ(read_idx(write(four_images(), "packed.gz"), 3).values, as_numbers(some_bytes(24)));
}

TEST_F(Idx, ReadsFilesLargerThanItsBuffers) {
  const std::string noise = some_bytes(300 * 1000);
  EXPECT_EQ(read_idx(write(idx_file({300, 1000}, noise)), 2).values, as_numbers(noise));
  for (const int level : {0, 1, 9})
    EXPECT_EQ(read_idx(write(gzip(idx_file({300, 1000}, noise), level)), 2).values, as_numbers(noise));
  const std::string zeros(5000 * 1000, '\0');  // packed a thousand times smaller
  EXPECT_EQ(read_idx(write(gzip(idx_file({5000, 1000}, zeros), 9)), 2).values, as_numbers(zeros));
}

TEST_F(Idx, JoinsGzipMembers) {
  const std::string whole = four_images();
  for (std::size_t cut = 0; cut <= whole.size(); ++cut)
    EXPECT_EQ(read_idx(write(gzip(whole.substr(0, cut)) + gzip(whole.substr(cut))), 3).values,
              as_numbers(some_bytes(24)));
  std::string one_by_one;
  for (const char byte : whole) one_by_one += gzip({byte}) + gzip("");
  EXPECT_EQ(read_idx(write(one_by_one), 3).values, as_numbers(some_bytes(24)));
}

// Zeros fill up the last block of a tape, or of an archive.
TEST_F(Idx, SkipsZerosBehindGzipMembers) {
  const std::string whole = four_images();
  for (const std::size_t count : {1U, 511U, 16'384U, 100'000U}) {
    const std::string padding(count, '\0');
    EXPECT_EQ(read_idx(write(gzip(whole) + padding), 3).values, as_numbers(some_bytes(24))) << count;
    EXPECT_EQ(
        read_idx(write(gzip(whole.substr(0, 20)) + padding + gzip(whole.substr(20)) + padding), 3).values,
        as_numbers(some_bytes(24)))
        << count;
  }
}

TEST_F(IdxFaults, WhatIsNotAFile) {
  const std::string missing = (folder / "missing").string(), directory = folder.path().string();
  EXPECT_EQ(data_error_of([&] { read_idx(missing, 3); }), missing + ": there is no such file");
  EXPECT_EQ(data_error_of([&] { read_idx(directory, 3); }),
            directory + ": expected a file, got a folder or a device");
  EXPECT_EQ(data_error_of([&] { read_idx("/dev/zero", 3); }),
            "/dev/zero: expected a file, got a folder or a device");
  EXPECT_EQ(data_error_of([&] { read_idx("", 3); }), ": there is no such file");
}

TEST_F(IdxFaults, AWrongMagicNumber) {
  const auto expect_magic = [&](const std::string& bytes, const std::string& found) {
    EXPECT_EQ(fault(bytes),
              "expected the IDX magic number 0x00000803 (unsigned bytes, 3 dimensions), got " + found);
  };
  expect_magic(idx_file({4}, "abcd"), "0x00000801");
  expect_magic(big_endian(0x0d03) + std::string(100, '\0'), "0x00000d03");      // floats
  expect_magic(big_endian(0x03080000) + std::string(100, '\0'), "0x03080000");  // little-endian
  expect_magic("<!DOCTYPE html>", "0x3c21444f");
  expect_magic("PK\3\4 a zip file", "0x504b0304");
  expect_magic(gzip(gzip(four_images(), 0)), "0x1f8b0800");  // packed twice
  expect_magic(big_endian(0x803 | 1 << 16) + four_images().substr(4), "0x00010803");
}

TEST_F(IdxFaults, TruncatedAnywhere) {
  const std::string whole = four_images();
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    const std::string part = whole.substr(0, cut);
    const std::string rest = cut < 16 ? std::to_string(4 - cut % 4) + " more bytes of the header"
                                      : std::to_string(40 - cut) + " more bytes of values";
    const std::string end = ", the file ends after " + std::to_string(cut);
    // Before anything is read, the header's claim is compared with the size of the file.
    if (cut >= 16 && cut < 24)
      EXPECT_EQ(fault(part),
                "the header says (4, 2, 3), the file can hold at most " + std::to_string(cut) + " bytes");
    else
      EXPECT_EQ(fault(part), "expected " + rest + end + " bytes");
    EXPECT_EQ(fault(gzip(part)), "expected " + rest + end + " unpacked bytes");
  }
}

TEST_F(IdxFaults, BytesAfterTheValues) {
  for (const std::string& rest : {std::string(1, '\0'), some_bytes(1000)}) {
    EXPECT_EQ(fault(four_images() + rest), "expected 40 bytes for (4, 2, 3), the file goes on after them");
    EXPECT_EQ(fault(gzip(four_images() + rest)),
              "expected 40 bytes for (4, 2, 3), the file goes on after them");
    EXPECT_EQ(fault(gzip(four_images()) + gzip(rest)),
              "expected 40 bytes for (4, 2, 3), the file goes on after them");
  }
}

TEST_F(IdxFaults, NothingInIt) {
  EXPECT_EQ(fault(idx_file({0, 2, 3}, "")), "the header says (0, 2, 3): there is nothing in it");
  EXPECT_EQ(fault(idx_file({4, 0, 3}, "")), "the header says (4, 0, 3): there is nothing in it");
  EXPECT_EQ(fault(gzip(idx_file({4, 2, 0}, ""))), "the header says (4, 2, 0): there is nothing in it");
  EXPECT_EQ(fault(idx_file({0}, ""), 1), "the header says (0): there is nothing in it");
}

TEST_F(IdxFaults, AHeaderThatPromisesMoreThanTheFileHasTakesNoMemory) {
  const auto peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;  // in KiB
  };
  const std::uint32_t most = 0xffffffff;
  // Stored, so that a packed file could have gigabytes in it for all one can tell from its size.
  const std::string content = some_bytes(4 << 20);
  const std::string packed = gzip(idx_file({4000, 1000, 1000}, content), 0);
  const std::string path = write(packed, "packed");
  const auto before = peak();
  EXPECT_EQ(fault(idx_file({most, 28, 28}, some_bytes(784))),
            "the header says (4294967295, 28, 28), the file can hold at most 800 bytes");
  EXPECT_EQ(fault(idx_file({most, most, most}, "")),
            "the header says (4294967295, 4294967295, 4294967295), the file can hold at most 16 bytes");
  EXPECT_EQ(fault(idx_file({65536, 65536, 65536, 65536}, ""), 4),  // 2^64 wraps to 0
            "the header says (65536, 65536, 65536, 65536), the file can hold at most 20 bytes");
  EXPECT_THAT(fault(gzip(idx_file({most, 28, 28}, some_bytes(784)))),
              StartsWith("the header says (4294967295, 28, 28), the file can hold at most "));
  EXPECT_THAT(data_error_of([&] { read_idx(path, 3); }),
              AllOf(StartsWith(path + ": expected "), HasSubstr("more bytes of values"),
                    HasSubstr("the file ends after 4194320 unpacked bytes")));
  EXPECT_LT(peak() - before, 256 << 10);
}

TEST_F(IdxFaults, GzipCutOffAnywhere) {
  const std::string packed = gzip(four_images());
  EXPECT_EQ(fault(packed.substr(0, 1)), "expected 3 more bytes of the header, the file ends after 1 bytes");
  for (std::size_t cut = 2; cut < packed.size(); ++cut) {
    EXPECT_EQ(fault(packed.substr(0, cut)), "the gzip data ends too early: the file is truncated");
    EXPECT_THAT(fault(gzip("") + packed.substr(0, cut)),
                "the gzip data ends too early: the file is truncated");
  }
}

TEST_F(IdxFaults, DamagedGzip) {
  const auto flipped = [](std::string bytes, std::size_t i) {
    bytes[i] = static_cast<char>(bytes[i] ^ 0x10);
    return bytes;
  };
  const std::string stored = gzip(four_images(), 0);
  const std::size_t end = stored.size();
  EXPECT_EQ(fault(flipped(stored, end - 9)), "the gzip data is damaged: incorrect data check");  // a pixel
  EXPECT_EQ(fault(flipped(stored, end - 8)), "the gzip data is damaged: incorrect data check");
  EXPECT_EQ(fault(flipped(stored, end - 1)), "the gzip data is damaged: incorrect length check");
  EXPECT_EQ(fault(flipped(stored, 2)), "the gzip data is damaged: unknown compression method");
  const std::string padding(100'000, '\0');
  EXPECT_EQ(fault(stored + padding + '\x1f'), "the gzip data ends too early: the file is truncated");
  EXPECT_EQ(fault(stored + padding + "more"), "the gzip data is damaged: incorrect header check");
  EXPECT_EQ(fault(stored + "more"), "the gzip data is damaged: incorrect header check");
  EXPECT_EQ(fault(gzip("", 0) + flipped(stored, end - 9)), "the gzip data is damaged: incorrect data check");

  // Wherever a bit flips: an error, or the right values. The header's time, system and hints, 7 bytes, do not
  // matter, and neither do the bits that fill up a byte.
  for (const int level : {0, 9}) {
    const std::string packed = gzip(four_images(), level);
    int harmless = 0;
    for (std::size_t i = 0; i < packed.size(); ++i)
      for (int bit = 0; bit < 8; ++bit) {
        std::string bytes = packed;
        bytes[i] = static_cast<char>(bytes[i] ^ 1 << bit);
        const std::string path = write(bytes);
        try {
          EXPECT_EQ(read_idx(path, 3).values, as_numbers(some_bytes(24))) << i;
          ++harmless;
        } catch (const DataError& error) {
          EXPECT_THAT(error.what(), StartsWith(path + ": "));
        }
      }
    EXPECT_LE(harmless, 8 * 7 + 7);
  }
}

TEST_F(IdxImages, PairsImagesWithLabels) {
  const std::string images = write(four_images(), "images"),
                    labels = write(idx_file({4}, {2, 0, 1, 2}), "labels");
  for (const bool packed : {false, true}) {
    const auto data =
        packed ? read_idx_images(write(gzip(four_images()), "images.gz"),
                                 write(gzip(idx_file({4}, {2, 0, 1, 2})), "labels.gz"), {"cat", "dog", "fox"})
               : read_idx_images(images, labels, {"cat", "dog", "fox"});
    EXPECT_EQ(data->size(), 4);
    EXPECT_EQ(data->sample_shape(), (Shape{1, 2, 3}));
    EXPECT_EQ(data->classes(), 3);
    EXPECT_EQ(data->class_name(2), "fox");
    const int expected[] = {2, 0, 1, 2};
    for (Index i = 0; i < 4; ++i) {
      EXPECT_EQ(data->label(i), expected[i]);
      EXPECT_EQ(bytes_of(*data, i), as_numbers(some_bytes(24).substr(static_cast<std::size_t>(i) * 6, 6)));
    }
  }
}

TEST_F(IdxImages, RefusesLabelsThatDoNotFit) {
  const std::string images = write(four_images(), "images");
  const auto labels_fault = [&](const std::string& values) {
    const auto count = static_cast<std::uint32_t>(values.size());
    const std::string labels = write(idx_file({count}, values), "labels");
    const std::string message = data_error_of([&] {
      read_idx_images(images, labels, {"cat", "dog", "fox"});
    });
    EXPECT_THAT(message, StartsWith(labels + ": "));
    return message.substr(std::min(message.size(), labels.size() + 2));
  };
  EXPECT_EQ(labels_fault({0, 1, 3, 2}), "label 3 of image 2 is outside [0, 3)");
  EXPECT_EQ(labels_fault({0, 1, 2, '\xff'}), "label 255 of image 3 is outside [0, 3)");
  EXPECT_EQ(labels_fault({0, 1, 2}), "expected 4 labels, one for each image of " + images + ", got 3");
  EXPECT_EQ(labels_fault({0, 1, 2, 0, 1}), "expected 4 labels, one for each image of " + images + ", got 5");

  const std::string labels = write(idx_file({4}, {0, 1, 2, 0}), "labels");
  EXPECT_THAT(data_error_of([&] {
                read_idx_images(labels, images, {"cat", "dog", "fox"});
              }),
              AllOf(StartsWith(labels), HasSubstr("0x00000803"), HasSubstr("got 0x00000801")));
  EXPECT_THAT(data_error_of([&] {
                read_idx_images(images, images, {"cat", "dog", "fox"});
              }),
              AllOf(StartsWith(images), HasSubstr("0x00000801"), HasSubstr("got 0x00000803")));
}

TEST_F(IdxImages, FindsTheFourFilesOfADirectory) {
  const std::string directory = folder.path().string();
  const auto missing = [&](const char* name) {
    std::string with_dot = name;
    with_dot[with_dot.find("-idx")] = '.';
    return (folder / name).string() + ": there is no such file, with or without .gz, nor " + with_dot;
  };
  EXPECT_EQ(data_error_of([&] { mnist(directory); }), missing("train-images-idx3-ubyte"));
  write(four_images(), "train-images-idx3-ubyte");
  EXPECT_EQ(data_error_of([&] { mnist(directory); }), missing("train-labels-idx1-ubyte"));
  write(gzip(idx_file({4}, {9, 8, 0, 1})), "train-labels-idx1-ubyte.gz");
  EXPECT_EQ(data_error_of([&] { mnist(directory); }), missing("t10k-images-idx3-ubyte"));
  write(gzip(idx_file({1, 2, 3}, "abcdef")), "t10k-images-idx3-ubyte.gz");
  EXPECT_EQ(data_error_of([&] { fashion_mnist(directory); }),
            missing("t10k-labels-idx1-ubyte") + "; on Debian: apt install dataset-fashion-mnist");
  write(idx_file({1}, {7}), "t10k-labels-idx1-ubyte");

  const TrainTest digits = mnist(directory), clothes = fashion_mnist(directory);
  EXPECT_EQ(digits.train->size(), 4);
  EXPECT_EQ(digits.test->size(), 1);
  EXPECT_EQ(digits.train->label(1), 8);
  EXPECT_EQ(digits.test->label(0), 7);
  EXPECT_EQ(bytes_of(*digits.test, 0), as_numbers("abcdef"));
  EXPECT_EQ(digits.train->class_name(9), "9");
  EXPECT_EQ(clothes.train->class_name(0), "T-shirt/top");
  EXPECT_EQ(clothes.test->class_name(9), "Ankle boot");

  write(gzip(idx_file({1, 3, 2}, "abcdef")), "t10k-images-idx3-ubyte.gz");
  EXPECT_EQ(data_error_of([&] { mnist(directory); }),
            directory + ": the images for training have shape (1, 2, 3), those for testing (1, 3, 2)");
  write(idx_file({4}, {9, 8, 10, 1}), "train-labels-idx1-ubyte");  // preferred to the packed file
  EXPECT_EQ(data_error_of([&] { mnist(directory); }),
            (folder / "train-labels-idx1-ubyte").string() + ": label 10 of image 2 is outside [0, 10)");
}

// As some programs name what they unpack, in folders of the files' usual names.
TEST_F(IdxImages, FindsFilesWithADotInTheirNames) {
  write(four_images(), "train-images.idx3-ubyte");
  std::filesystem::create_directory(folder / "train-images-idx3-ubyte");
  write(idx_file({4}, {9, 8, 0, 1}), "train-labels.idx1-ubyte");
  write(gzip(idx_file({1, 2, 3}, "abcdef")), "t10k-images.idx3-ubyte.gz");
  write(gzip(idx_file({1}, {7})), "t10k-labels.idx1-ubyte.gz");
  const TrainTest digits = mnist(folder.path().string());
  EXPECT_EQ(digits.train->label(1), 8);
  EXPECT_EQ(digits.test->label(0), 7);
  EXPECT_EQ(bytes_of(*digits.test, 0), as_numbers("abcdef"));
}

// Sums over all bytes, and the first labels, were taken from the unpacked files without this library; mean
// and standard deviation are also the published ones, 0.2860 and 0.3530.
TEST(FashionMnist, IsAsPublished) {
  const TrainTest sets = fashion_mnist();
  ASSERT_EQ(sets.train->size(), 60000);
  ASSERT_EQ(sets.test->size(), 10000);
  const auto expect_part = [](const Dataset& data, std::int64_t sum, std::int64_t sum_of_squares) {
    EXPECT_EQ(data.sample_shape(), (Shape{1, 28, 28}));
    EXPECT_EQ(data.classes(), 10);
    std::vector<Index> count(10);
    std::int64_t total = 0, squares = 0;
    for (Index i = 0; i < data.size(); ++i) {
      ++count.at(static_cast<std::size_t>(data.label(i)));
      for (const std::int64_t byte : bytes_of(data, i)) {
        total += byte;
        squares += byte * byte;
      }
    }
    EXPECT_EQ(count, std::vector<Index>(10, data.size() / 10));
    EXPECT_EQ(total, sum);
    EXPECT_EQ(squares, sum_of_squares);
    return std::pair(static_cast<double>(total) / static_cast<double>(data.size() * 784) / 255,
                     std::sqrt(static_cast<double>(squares) / static_cast<double>(data.size() * 784)) / 255);
  };
  const auto [mean, root_mean_square] = expect_part(*sets.train, 3431114169, 631470052347);
  EXPECT_NEAR(mean, 0.2860, 1e-4);
  EXPECT_NEAR(std::sqrt(root_mean_square * root_mean_square - mean * mean), 0.3530, 1e-4);
  expect_part(*sets.test, 573469082, 105272563536);
  std::vector<int> first;
  for (Index i = 0; i < 10; ++i) first.push_back(sets.train->label(i));
  EXPECT_THAT(first, ElementsAre(9, 0, 0, 3, 0, 2, 7, 2, 5, 5));
}

}  // namespace
}  // namespace strata
