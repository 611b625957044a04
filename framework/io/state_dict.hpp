// StateDict: named tensors apart from the objects they come from and go to; what a safetensors file holds.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "strata/framework/export.hpp"
#include "strata/framework/tensor.hpp"

namespace STRATA_EXPORT strata {

/// Element types, in the order in which safetensors ranks them. Strata's own are f32, f64 and i64; f16 and
/// bf16 can be loaded; the others are carried along.
enum class DType : std::uint8_t {
  boolean,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64
};

/// Its name in safetensors: "F32".
std::string_view to_string(DType dtype);
std::optional<DType> dtype_from(std::string_view name);
/// Bytes an element.
std::size_t size_of(DType dtype);
/// Bytes of a tensor; nothing if they, or the product of the extents other than 0, exceed 2^63 - 1.
std::optional<std::size_t> byte_count(DType dtype, const Shape& shape);

/// float, double or std::int64_t.
template <class T>
inline constexpr DType dtype_of = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::i64;

struct StoredTensor {
  DType dtype = DType::f32;
  Shape shape;
  std::vector<std::byte> bytes;  ///< row-major, little-endian

  bool operator==(const StoredTensor&) const = default;
};

/// Tensors and notes by name, sorted.
struct StateDict {
  std::map<std::string, StoredTensor, std::less<>> tensors;
  std::map<std::string, std::string, std::less<>> metadata;

  /// Stores a copy. T is float, double or std::int64_t. Throws StateError if the name is taken.
  template <class T>
  void put(const std::string& name, const Tensor<T>& value);

  /// A copy of a tensor. Throws DataError, which names `source`, if it is missing or of another type.
  template <class T>
  Tensor<T> get(const std::string& name, const std::string& source) const;

  bool operator==(const StateDict&) const = default;
};

/// Where an object keeps a piece of its state. An integer is stored as an I64 tensor of shape ().
struct StateEntry {
  std::string name;
  std::variant<Tensor<float>*, Tensor<double>*, std::int64_t*> place;
};

/// Copies of all entries. Throws StateError if two have one name.
StateDict capture(const std::vector<StateEntry>& entries);

struct LoadOptions {
  bool strict = true;  ///< every tensor must have a place and every place a tensor
  bool widen = true;   ///< what is exact: F16 and BF16 to F32 or F64, and F32 to F64
};

/// What became of a load.
struct LoadReport {
  std::vector<std::string> loaded;
  std::vector<std::string> missing;     ///< places that the file has no tensor for
  std::vector<std::string> unexpected;  ///< tensors that have no place
  std::vector<std::string> mismatched;  ///< tensors of another type or shape than their place
  /// The missing and mismatched but for counters: what keeps the values it had, in a new network random ones.
  std::vector<std::string> unset;

  bool complete() const { return missing.empty() && unexpected.empty() && mismatched.empty(); }
  /// One line that tells all that did not fit, with types and shapes; what is unset comes first.
  std::string to_string() const { return text; }

  std::string text;
};

/// Copies tensors to the places of their names. If strict and anything does not fit, throws one DataError
/// that lists all of it, beginning with `source`, and changes nothing; otherwise what fits is loaded, unless
/// that is nothing at all, which is a DataError too.
LoadReport restore(const std::vector<StateEntry>& entries, const StateDict& state, const std::string& source,
                   LoadOptions options = {});

}  // namespace strata
