// The readers accept exactly whole records with labels in range.
#include <algorithm>
#include <vector>

#include "strata/framework/data/cifar.hpp"
#include "strata/framework/error.hpp"
#include "tests/fuzz/fuzzing.hpp"

namespace strata {
namespace {

constexpr std::size_t kPixels = 3072;

template <class Reader>
void check(std::span<const std::uint8_t> file, const std::string& path,
           const std::vector<std::uint8_t>& classes, Reader read) {
  const std::size_t record = classes.size() + kPixels;
  bool expected = !file.empty() && file.size() % record == 0;
  if (expected)
    for (std::size_t i = 0; i < file.size(); i += record)
      for (std::size_t label = 0; label < classes.size(); ++label)
        expected = expected && file[i + label] < classes[label];

  const std::vector<std::string> files{path};
  std::shared_ptr<const ImageDataset> data;
  try {
    const fuzz::AllocationGuard guard(file.size());
    data = read(files);
  } catch (const DataError&) {
  }
  fuzz::require((data != nullptr) == expected);
  if (!data) return;
  fuzz::require(data->size() == static_cast<Index>(file.size() / record));
  for (Index i = 0; i < data->size(); ++i) {
    const auto bytes = file.subspan(static_cast<std::size_t>(i) * record, record);
    fuzz::require(data->label(i) == bytes[classes.size() - 1]);
    fuzz::require(std::ranges::equal(data->pixels(i), bytes.last(kPixels)));
  }
}

}  // namespace
}  // namespace strata

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

// Every other time the size is made right, for most mutations to be seen behind that test.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 2 == 0) return size;
  const std::size_t record = 3073 + seed / 2 % 2;
  const std::size_t whole = std::min((size + record / 2) / record, max_size / record) * record;
  if (whole > size) std::fill(data + size, data + whole, std::uint8_t{1});
  return whole;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span file(data, size);
  const std::string& path = strata::fuzz::as_file(file);
  strata::check(file, path, {10}, strata::read_cifar10);
  strata::check(file, path, {20, 100}, strata::read_cifar100);
  return 0;
}
