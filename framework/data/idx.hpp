// IDX files, plain or gzip: the format of MNIST and Fashion-MNIST (yann.lecun.com/exdb/mnist).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "strata/framework/data/in_memory.hpp"
#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// The unsigned bytes of an IDX file, row-major.
struct IdxArray {
  Shape shape;
  std::vector<std::uint8_t> values;
};

/// Reads an IDX file of unsigned bytes with this many dimensions. Throws DataError, naming the file, what was
/// expected and what was found; takes no more memory than the file's content needs, whatever its header says.
IdxArray read_idx(const std::string& path, int dimensions);

/// Gray images (N, H, W) and their labels (N).
std::shared_ptr<const ImageDataset> read_idx_images(const std::string& images, const std::string& labels,
                                                    std::vector<std::string> class_names);

/// The four files of MNIST in a directory: "train-images-idx3-ubyte" or "train-images.idx3-ubyte", …, plain
/// or with ".gz".
TrainTest mnist(const std::string& directory);

/// Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017): 60,000 + 10,000 gray images of clothes, 28x28, 10 classes.
/// The directory is where Debian's package dataset-fashion-mnist puts it.
TrainTest fashion_mnist(const std::string& directory = "/usr/share/datasets/fashion-mnist");

}  // namespace strata
