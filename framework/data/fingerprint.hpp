// Fingerprint: a few digits that tell one data set from another.
#pragma once

#include <string>

#include "strata/framework/data/dataset.hpp"
#include "strata/framework/export.hpp"

namespace STRATA_EXPORT strata {

/// The CRC-32 (as in gzip) of the data set's shape, classes, labels and samples in their order, as eight
/// hexadecimal digits. Reads every sample once, on all threads.
std::string fingerprint(const Dataset& dataset);

}  // namespace strata
