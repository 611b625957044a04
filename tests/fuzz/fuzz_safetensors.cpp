// What the reader accepts it must read the same again after it was written.
#include <cstring>

#include "strata/framework/error.hpp"
#include "strata/framework/io/safetensors.hpp"
#include "tests/fuzz/fuzzing.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

// Every other time the header's length is put right, for most mutations to be seen behind it.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 2 == 0 || size < 9) return size;
  const auto* end = static_cast<const std::uint8_t*>(memrchr(data + 8, '}', size - 8));
  const std::uint64_t length = end ? static_cast<std::uint64_t>(end - data) - 7 : size - 8;
  std::memcpy(data, &length, sizeof length);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  StateDict state;
  try {
    const fuzz::AllocationGuard guard(2 * size + fuzz::kSlack);
    state = parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz");
  } catch (const DataError&) {
    return 0;
  }
  const std::vector<std::byte> file = serialize_safetensors(state);
  fuzz::require(parse_safetensors(file, "fuzz") == state);
  for (const auto& [name, tensor] : state.tensors)
    if (tensor.dtype == DType::f32) {
      StateDict again;
      again.put(name, state.get<float>(name, "fuzz"));
      fuzz::require(again.tensors.at(name) == tensor);
    }
  return 0;
}
