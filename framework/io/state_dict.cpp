#include "strata/framework/io/state_dict.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "strata/framework/error.hpp"
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
    void* to;
    const std::vector<std::byte>* from;
  };
  LoadReport report;
  std::vector<Copy> copies;
  std::vector<std::string> faults;
  std::map<std::string_view, const StateEntry*> known;
  for (const StateEntry& entry : entries) {
    known.emplace(entry.name, &entry);
    const Place place = place_of(entry);
    const auto found = state.tensors.find(entry.name);
    if (found == state.tensors.end()) {
      report.missing.push_back(entry.name);
      faults.push_back("missing " + in_quotes(entry.name) + ", " + describe(place.dtype, place.shape));
    } else if (found->second.dtype != place.dtype || found->second.shape != place.shape) {
      report.mismatched.push_back(entry.name);
      faults.push_back(in_quotes(entry.name) + ": expected " + describe(place.dtype, place.shape) +
                       ", found " + describe(found->second.dtype, found->second.shape));
    } else {
      report.loaded.push_back(entry.name);
      copies.push_back({place.data, &found->second.bytes});
    }
  }
  for (const auto& [name, tensor] : state.tensors) {
    if (known.contains(name)) continue;
    report.unexpected.push_back(name);
    faults.push_back("unexpected " + in_quotes(name) + ", " + describe(tensor.dtype, tensor.shape));
  }
  report.text = detail::join_some(faults);
  if (options.strict && !report.complete())
    throw DataError(source + ": " + std::to_string(faults.size()) +
                    (faults.size() == 1 ? " tensor does not fit: " : " tensors do not fit: ") + report.text);
  for (const Copy& copy : copies)
    if (!copy.from->empty()) std::memcpy(copy.to, copy.from->data(), copy.from->size());
  return report;
}

template void StateDict::put(const std::string&, const Tensor<float>&);
template void StateDict::put(const std::string&, const Tensor<double>&);
template void StateDict::put(const std::string&, const Tensor<std::int64_t>&);
template Tensor<float> StateDict::get(const std::string&, const std::string&) const;
template Tensor<double> StateDict::get(const std::string&, const std::string&) const;
template Tensor<std::int64_t> StateDict::get(const std::string&, const std::string&) const;

}  // namespace strata
