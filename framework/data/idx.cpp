#include "strata/framework/data/idx.hpp"

#include <array>
#include <filesystem>

#include "strata/framework/data/byte_reader.hpp"
#include "strata/framework/error.hpp"

namespace strata {
namespace {

constexpr std::uint32_t kUnsignedBytes = 0x08;

std::uint32_t read_big_endian(detail::ByteReader& file) {
  std::array<std::uint8_t, 4> b;
  file.read(b, "the header");
  return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
}

std::string hexadecimal(std::uint32_t value) {
  std::string text = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[(value >> shift) & 15];
  return text;
}

// As the data's authors call it, and as programs that unpack it do.
std::string find_file(const std::filesystem::path& directory, const std::string& name,
                      const std::string& type, const std::string& advice) {
  std::error_code ignored;
  for (const char* separator : {"-", "."})
    for (const char* ending : {"", ".gz"}) {
      const auto path = directory / (name + separator + type + ending);
      if (std::filesystem::is_regular_file(path, ignored)) return path.string();
    }
  const auto usual = directory / (name + "-" + type);
  throw DataError(usual.string() + ": there is no such file, with or without .gz, nor " + name + "." + type +
                  advice);
}

TrainTest read_directory(const std::string& directory, const std::vector<std::string>& class_names,
                         const std::string& advice) {
  const auto part = [&](const std::string& name) {
    const std::string images = find_file(directory, name + "-images", "idx3-ubyte", advice);
    return read_idx_images(images, find_file(directory, name + "-labels", "idx1-ubyte", advice), class_names);
  };
  TrainTest sets{part("train"), part("t10k")};
  if (sets.train->sample_shape() != sets.test->sample_shape())
    throw DataError(directory + ": the images for training have shape " +
                    to_string(sets.train->sample_shape()) + ", those for testing " +
                    to_string(sets.test->sample_shape()));
  return sets;
}

}  // namespace

IdxArray read_idx(const std::string& path, int dimensions) {
  if (dimensions < 1 || dimensions > 255)
    throw ArgumentError("read_idx: 1 to 255 dimensions, got " + std::to_string(dimensions));
  detail::ByteReader file(path);
  const std::uint32_t magic = read_big_endian(file);
  const std::uint32_t expected = kUnsignedBytes << 8 | static_cast<std::uint32_t>(dimensions);
  if (magic != expected)
    file.fail("expected the IDX magic number " + hexadecimal(expected) + " (unsigned bytes, " +
              std::to_string(dimensions) + " dimensions), got " + hexadecimal(magic));

  const std::uint64_t header = 4 + 4 * static_cast<std::uint64_t>(dimensions);
  const std::uint64_t longest = file.longest_content();
  Shape shape(static_cast<std::size_t>(dimensions));
  for (auto& extent : shape) extent = read_big_endian(file);
  std::uint64_t count = 1;
  for (const std::size_t extent : shape) {
    if (extent == 0) file.fail("the header says " + to_string(shape) + ": there is nothing in it");
    if (extent > longest / count)
      file.fail("the header says " + to_string(shape) + ", the file can hold at most " +
                std::to_string(longest) + " bytes");
    count *= extent;
  }
  auto values = file.read(count, "values");
  if (!file.at_end())
    file.fail("expected " + std::to_string(header + count) + " bytes for " + to_string(shape) +
              ", the file goes on after them");
  return {std::move(shape), std::move(values)};
}

std::shared_ptr<const ImageDataset> read_idx_images(const std::string& images, const std::string& labels,
                                                    std::vector<std::string> class_names) {
  auto pixels = read_idx(images, 3);
  const auto numbers = read_idx(labels, 1);
  if (numbers.shape[0] != pixels.shape[0])
    throw DataError(labels + ": expected " + std::to_string(pixels.shape[0]) +
                    " labels, one for each image of " + images + ", got " + std::to_string(numbers.shape[0]));
  for (std::size_t i = 0; i < numbers.values.size(); ++i)
    if (numbers.values[i] >= class_names.size())
      throw DataError(labels + ": label " + std::to_string(numbers.values[i]) + " of image " +
                      std::to_string(i) + " is outside [0, " + std::to_string(class_names.size()) + ")");
  return std::make_shared<ImageDataset>(std::move(pixels.values), Shape{1, pixels.shape[1], pixels.shape[2]},
                                        Labels(numbers.values.begin(), numbers.values.end()),
                                        std::move(class_names));
}

TrainTest mnist(const std::string& directory) {
  return read_directory(directory, {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, "");
}

TrainTest fashion_mnist(const std::string& directory) {
  return read_directory(directory,
                        {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
                         "Bag", "Ankle boot"},
                        "; on Debian: apt install dataset-fashion-mnist");
}

}  // namespace strata
