#include "strata/framework/data/cifar.hpp"

#include <filesystem>

#include "strata/framework/data/byte_reader.hpp"
#include "strata/framework/error.hpp"

namespace strata {
namespace {

constexpr std::size_t kPixels = 3 * 32 * 32;

// The labels that come before the pixels of each image.
struct Format {
  std::vector<std::size_t> label_classes;
  std::vector<std::string> class_names;  // of the last label
};

Format cifar10_format() {
  return {{10}, {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}};
}

Format cifar100_format() {
  return {{20, 100},
          {"apple",       "aquarium_fish", "baby",      "bear",       "beaver",       "bed",
           "bee",         "beetle",        "bicycle",   "bottle",     "bowl",         "boy",
           "bridge",      "bus",           "butterfly", "camel",      "can",          "castle",
           "caterpillar", "cattle",        "chair",     "chimpanzee", "clock",        "cloud",
           "cockroach",   "couch",         "crab",      "crocodile",  "cup",          "dinosaur",
           "dolphin",     "elephant",      "flatfish",  "forest",     "fox",          "girl",
           "hamster",     "house",         "kangaroo",  "keyboard",   "lamp",         "lawn_mower",
           "leopard",     "lion",          "lizard",    "lobster",    "man",          "maple_tree",
           "motorcycle",  "mountain",      "mouse",     "mushroom",   "oak_tree",     "orange",
           "orchid",      "otter",         "palm_tree", "pear",       "pickup_truck", "pine_tree",
           "plain",       "plate",         "poppy",     "porcupine",  "possum",       "rabbit",
           "raccoon",     "ray",           "road",      "rocket",     "rose",         "sea",
           "seal",        "shark",         "shrew",     "skunk",      "skyscraper",   "snail",
           "snake",       "spider",        "squirrel",  "streetcar",  "sunflower",    "sweet_pepper",
           "table",       "tank",          "telephone", "television", "tiger",        "tractor",
           "train",       "trout",         "tulip",     "turtle",     "wardrobe",     "whale",
           "willow_tree", "wolf",          "woman",     "worm"}};
}

std::shared_ptr<const ImageDataset> read_records(const std::vector<std::string>& files, Format format) {
  if (files.empty()) throw ArgumentError("CIFAR: at least one file is needed");
  const std::size_t record = format.label_classes.size() + kPixels;
  std::vector<std::uint8_t> pixels;
  Labels labels;
  for (const std::string& path : files) {
    detail::ByteReader file(path);
    if (file.packed()) file.fail("expected the unpacked binary version of CIFAR, got a gzip file");
    const std::uint64_t bytes = file.longest_content();
    if (bytes == 0 || bytes % record != 0)
      file.fail("expected whole records of " + std::to_string(record) + " bytes, got " +
                std::to_string(bytes) + " bytes");
    const std::size_t count = bytes / record;
    const std::size_t before = labels.size();
    labels.reserve(before + count);
    pixels.reserve((before + count) * kPixels);
    for (std::size_t i = 0; i < count; ++i) {
      std::uint8_t label = 0;
      for (const std::size_t classes : format.label_classes) {
        file.read({&label, 1}, "a label");
        if (label >= classes)
          file.fail("label " + std::to_string(label) + " of image " + std::to_string(i) + " is outside [0, " +
                    std::to_string(classes) + ")");
      }
      labels.push_back(label);
      pixels.resize(pixels.size() + kPixels);
      file.read(std::span(pixels).last(kPixels), "pixels");
    }
  }
  return std::make_shared<ImageDataset>(std::move(pixels), Shape{3, 32, 32}, std::move(labels),
                                        std::move(format.class_names));
}

// The files in the directory, or in the folder that the archive unpacks to.
std::vector<std::string> in_directory(const std::string& directory, const char* folder,
                                      const std::vector<std::string>& names) {
  std::filesystem::path place = directory;
  std::error_code ignored;
  if (!std::filesystem::exists(place / names[0], ignored) && std::filesystem::exists(place / folder, ignored))
    place /= folder;
  std::vector<std::string> paths;
  for (const std::string& name : names) paths.push_back((place / name).string());
  return paths;
}

}  // namespace

std::shared_ptr<const ImageDataset> read_cifar10(const std::vector<std::string>& files) {
  return read_records(files, cifar10_format());
}

std::shared_ptr<const ImageDataset> read_cifar100(const std::vector<std::string>& files) {
  return read_records(files, cifar100_format());
}

TrainTest cifar10(const std::string& directory) {
  const char* folder = "cifar-10-batches-bin";
  return {read_cifar10(in_directory(directory, folder,
                                    {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                     "data_batch_4.bin", "data_batch_5.bin"})),
          read_cifar10(in_directory(directory, folder, {"test_batch.bin"}))};
}

TrainTest cifar100(const std::string& directory) {
  const char* folder = "cifar-100-binary";
  return {read_cifar100(in_directory(directory, folder, {"train.bin"})),
          read_cifar100(in_directory(directory, folder, {"test.bin"}))};
}

}  // namespace strata
