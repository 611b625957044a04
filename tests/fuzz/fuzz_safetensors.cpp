// What the reader accepts it must read the same again after it was written.
#include "strata/framework/error.hpp"
#include "strata/framework/io/safetensors.hpp"
#include "tests/fuzz/fuzzing.hpp"

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                               unsigned seed) {
  return strata::fuzz::mutate_safetensors(data, size, most, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  StateDict state;
  try {
    const fuzz::AllocationGuard guard(size, fuzz::kTimesOfJson);
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
