// CIFAR-10 and CIFAR-100, binary version (Krizhevsky, 2009; www.cs.toronto.edu/~kriz/cifar.html).
#pragma once

#include <string>
#include <vector>

#include "strata/framework/data/in_memory.hpp"
#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// Records of 1 + 3072 bytes: a label below 10, then the red, green and blue planes of a 32x32 image; any
/// number of records in any number of files. Throws DataError, naming the file, what was expected and what
/// was found.
std::shared_ptr<const ImageDataset> read_cifar10(const std::vector<std::string>& files);

/// Records of 2 + 3072 bytes: a coarse label below 20, which is left out, and a fine label below 100.
std::shared_ptr<const ImageDataset> read_cifar100(const std::vector<std::string>& files);

/// data_batch_1.bin to data_batch_5.bin and test_batch.bin in a directory or its cifar-10-batches-bin.
TrainTest cifar10(const std::string& directory);

/// train.bin and test.bin in a directory or its cifar-100-binary.
TrainTest cifar100(const std::string& directory);

}  // namespace strata
