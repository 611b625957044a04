#include "strata/framework/io/state_dict.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "strata/framework/error.hpp"
#include "strata/framework/io/half.hpp"
#include "strata/framework/io/quote.hpp"

static_assert(std::endian::native == std::endian::little, "files hold little-endian numbers");

namespace strata {
namespace {

using detail::in_quotes;

struct DTypeFacts {
  std::string_view name;
  std::size_t size;
};

// In the order of the enumeration.
constexpr std::array<DTypeFacts, 17> kDTypes = {{{"BOOL", 1},
                                                 {"U8", 1},
                                                 {"I8", 1},
                                                 {"F8_E5M2", 1},
                                                 {"F8_E4M3", 1},
                                                 {"F8_E8M0", 1},
                                                 {"I16", 2},
                                                 {"U16", 2},
                                                 {"F16", 2},
                                                 {"BF16", 2},
                                                 {"I32", 4},
                                                 {"U32", 4},
                                                 {"F32", 4},
                                                 {"C64", 8},
                                                 {"F64", 8},
                                                 {"I64", 8},
                                                 {"U64", 8}}};
static_assert(static_cast<std::size_t>(DType::u64) + 1 == kDTypes.size());

template <class T>
StoredTensor store(const T* data, const Shape& shape) {
  StoredTensor stored{dtype_of<T>, shape, {}};
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  stored.bytes.assign(bytes, bytes + static_cast<std::size_t>(element_count(shape)) * sizeof(T));
  return stored;
}

// An entry's memory, whatever its type.
struct Place {
  DType dtype;
  Shape shape;
  void* data;
};

Place place_of(const StateEntry& entry) {
  struct Visitor {
    Place operator()(Tensor<float>* tensor) const { return {DType::f32, tensor->shape(), tensor->data()}; }
    Place operator()(Tensor<double>* tensor) const { return {DType::f64, tensor->shape(), tensor->data()}; }
    Place operator()(std::int64_t* integer) const { return {DType::i64, {}, integer}; }
  };
  return std::visit(Visitor{}, entry.place);
}

std::string describe(DType dtype, const Shape& shape) {
  return std::string(to_string(dtype)) + " " + to_string(shape);
}

// Whether a place of type `to` holds every value of type `from`, other than of its own.
bool widens(DType from, DType to) {
  const bool half = from == DType::f16 || from == DType::bf16;
  return (to == DType::f32 && half) || (to == DType::f64 && (half || from == DType::f32));
}

template <class T>
void widen(const StoredTensor& from, T* to) {
  const auto each = [&](auto stored, const auto& value_of) {
    for (std::size_t i = 0; i < from.bytes.size() / sizeof stored; ++i) {
      std::memcpy(&stored, from.bytes.data() + i * sizeof stored, sizeof stored);
      to[i] = value_of(stored);
    }
  };
  if (from.dtype == DType::f16)
    each(std::uint16_t{}, detail::from_f16);
  else if (from.dtype == DType::bf16)
    each(std::uint16_t{}, detail::from_bf16);
  else
    each(float{}, [](float value) { return value; });
}

void copy(const StoredTensor& from, const Place& to) {
  if (from.bytes.empty()) return;
  if (from.dtype == to.dtype)
    std::memcpy(to.data, from.bytes.data(), from.bytes.size());
  else if (to.dtype == DType::f32)
    widen(from, static_cast<float*>(to.data));
  else
    widen(from, static_cast<double*>(to.data));
}

}  // namespace

std::string_view to_string(DType dtype) {
  return kDTypes[static_cast<std::size_t>(dtype)].name;
}

std::optional<DType> dtype_from(std::string_view name) {
  for (std::size_t i = 0; i < kDTypes.size(); ++i)
    if (kDTypes[i].name == name) return static_cast<DType>(i);
  return std::nullopt;
}

std::size_t size_of(DType dtype) {
  return kDTypes[static_cast<std::size_t>(dtype)].size;
}

std::optional<std::size_t> byte_count(DType dtype, const Shape& shape) {
  return detail::checked_count(shape, static_cast<Index>(size_of(dtype)));
}

template <class T>
void StateDict::put(const std::string& name, const Tensor<T>& value) {
  if (!tensors.try_emplace(name, store(value.data(), value.shape())).second)
    throw StateError("state: two tensors are named " + in_quotes(name));
}

template <class T>
Tensor<T> StateDict::get(const std::string& name, const std::string& source) const {
  const auto found = tensors.find(name);
  if (found == tensors.end()) throw DataError(source + ": tensor " + in_quotes(name) + " is missing");
  const StoredTensor& stored = found->second;
  if (stored.dtype != dtype_of<T>)
    throw DataError(source + ": tensor " + in_quotes(name) + ": expected " +
                    std::string(to_string(dtype_of<T>)) + ", found " + std::string(to_string(stored.dtype)));
  auto value = empty<T>(stored.shape);
  if (!stored.bytes.empty()) std::memcpy(value.data(), stored.bytes.data(), stored.bytes.size());
  return value;
}

StateDict capture(const std::vector<StateEntry>& entries) {
  struct Visitor {
    StateDict& state;
    const std::string& name;
    void operator()(const Tensor<float>* tensor) const { state.put(name, *tensor); }
    void operator()(const Tensor<double>* tensor) const { state.put(name, *tensor); }
    void operator()(const std::int64_t* integer) const {
      state.put(name, Tensor<std::int64_t>(Shape{}, *integer));
    }
  };
  StateDict state;
  for (const StateEntry& entry : entries) std::visit(Visitor{state, entry.name}, entry.place);
  return state;
}

LoadReport restore(const std::vector<StateEntry>& entries, const StateDict& state, const std::string& source,
                   LoadOptions options) {
  struct Copy {
    const StoredTensor* from;
    Place to;
  };
  LoadReport report;
  std::vector<Copy> copies;
  std::vector<std::string> faults, other_faults;  // of tensors that stay unset; the rest
  std::map<std::string_view, const StateEntry*> known;
  for (const StateEntry& entry : entries) {
    known.emplace(entry.name, &entry);
    const Place place = place_of(entry);
    const auto found = state.tensors.find(entry.name);
    const StoredTensor* const stored = found == state.tensors.end() ? nullptr : &found->second;
    if (stored && stored->shape == place.shape &&
        (stored->dtype == place.dtype || (options.widen && widens(stored->dtype, place.dtype)))) {
      report.loaded.push_back(entry.name);
      copies.push_back({stored, place});
      continue;
    }
    (stored ? report.mismatched : report.missing).push_back(entry.name);
    const bool counter = place.dtype == DType::i64;
    if (!counter) report.unset.push_back(entry.name);
    const std::string expected = describe(place.dtype, place.shape);
    (counter ? other_faults : faults)
        .push_back(stored ? in_quotes(entry.name) + ": expected " + expected + ", found " +
                                describe(stored->dtype, stored->shape)
                          : "missing " + in_quotes(entry.name) + ", " + expected);
  }
  for (const auto& [name, tensor] : state.tensors) {
    if (known.contains(name)) continue;
    report.unexpected.push_back(name);
    other_faults.push_back("unexpected " + in_quotes(name) + ", " + describe(tensor.dtype, tensor.shape));
  }
  if (!faults.empty())
    report.text = std::to_string(faults.size()) + (faults.size() == 1 ? " tensor keeps" : " tensors keep") +
                  " the values of before: ";
  faults.insert(faults.end(), other_faults.begin(), other_faults.end());
  const std::string all = detail::join_some(faults);
  report.text += all;
  if (!report.complete() && (options.strict || copies.empty()))
    throw DataError(source + ": " + std::to_string(faults.size()) +
                    (faults.size() == 1 ? " tensor does not fit: " : " tensors do not fit: ") + all);
  for (const auto& [from, to] : copies) copy(*from, to);
  return report;
}

template void StateDict::put(const std::string&, const Tensor<float>&);
template void StateDict::put(const std::string&, const Tensor<double>&);
template void StateDict::put(const std::string&, const Tensor<std::int64_t>&);
template Tensor<float> StateDict::get(const std::string&, const std::string&) const;
template Tensor<double> StateDict::get(const std::string&, const std::string&) const;
template Tensor<std::int64_t> StateDict::get(const std::string&, const std::string&) const;

}  // namespace strata
