#include "strata/framework/io/safetensors_header.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

#include <nlohmann/json.hpp>

#include "strata/framework/error.hpp"
#include "strata/framework/io/quote.hpp"

namespace strata::detail {
namespace {

using nlohmann::json;

// Receives the header piece by piece, so that nothing is built that the format does not allow: a second name
// is seen, and nesting ends where it is not expected.
class HeaderReader final : public nlohmann::json_sax<json> {
 public:
  HeaderReader(const std::string& file, StateDict& state) : file_(file), state_(state) {}

  std::vector<DataRange> ranges;

  bool null() override {
    if (at_ != At::metadata_value) fail_value("null");
    at_ = At::top;  // the reference implementation takes it for no metadata, too
    return true;
  }
  bool boolean(bool) override { fail_value("a boolean"); }
  bool number_integer(number_integer_t value) override { fail_value(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& text) override { fail_value(in_quotes(text)); }
  bool binary(binary_t&) override { fail_value("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (at_ == At::extents) {
      if (value > std::numeric_limits<Index>::max())
        fail("expected extents below 2^63, found " + std::to_string(value));
      if (tensor_->shape.size() == kMaxDimensions)
        fail("expected at most " + std::to_string(kMaxDimensions) + " dimensions");
      tensor_->shape.push_back(value);
    } else if (at_ == At::offsets) {
      if (offset_count_ == 2) fail("expected 2 data_offsets, found more");
      offsets_[offset_count_++] = value;
    } else {
      fail_value(std::to_string(value));
    }
    return true;
  }

  bool string(string_t& value) override {
    if (at_ == At::note) {
      state_.metadata.find(note_)->second = std::move(value);
      at_ = At::metadata;
    } else if (at_ == At::dtype) {
      const auto dtype = dtype_from(value);
      if (!dtype) fail("expected a dtype such as F32, found " + in_quotes(value));
      tensor_->dtype = *dtype;
      at_ = At::tensor;
    } else {
      fail_value("the string " + in_quotes(value));
    }
    return true;
  }

  bool key(string_t& name) override {
    if (at_ == At::top) {
      name_ = nullptr;
      if (name == kMetadataKey) {
        if (has_metadata_) fail("the key '__metadata__' appears twice");
        has_metadata_ = true;
        at_ = At::metadata_value;
      } else {
        const auto [entry, is_new] = state_.tensors.try_emplace(std::move(name));
        name_ = &entry->first;
        tensor_ = &entry->second;
        if (!is_new) fail("the name appears twice");
        at_ = At::tensor_value;
      }
    } else if (at_ == At::metadata) {
      const auto [entry, is_new] = state_.metadata.try_emplace(name);
      if (!is_new) fail("__metadata__: the key " + in_quotes(name) + " appears twice");
      note_ = std::move(name);
      at_ = At::note;
    } else {
      tensor_key(name);
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (at_ == At::start)
      at_ = At::top;
    else if (at_ == At::metadata_value)
      at_ = At::metadata;
    else if (at_ == At::tensor_value)
      start_tensor();
    else
      fail_value("an object");
    return true;
  }

  bool end_object() override {
    if (at_ == At::tensor) finish_tensor();
    at_ = At::top;
    return true;
  }

  bool start_array(std::size_t) override {
    if (at_ != At::shape_value && at_ != At::offsets_value) fail_value("an array");
    at_ = at_ == At::shape_value ? At::extents : At::offsets;
    return true;
  }

  bool end_array() override {
    if (at_ == At::offsets && offset_count_ != 2)
      fail("expected 2 data_offsets, found " + std::to_string(offset_count_));
    at_ = At::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    name_ = nullptr;
    fail("is not JSON at its byte " + std::to_string(position));
  }

 private:
  enum class At {
    start,
    top,
    metadata_value,
    metadata,
    note,
    tensor_value,
    tensor,
    dtype,
    shape_value,
    extents,
    offsets_value,
    offsets
  };

  void tensor_key(const std::string& key) {
    bool* seen = nullptr;
    if (key == "dtype")
      seen = &has_dtype_, at_ = At::dtype;
    else if (key == "shape")
      seen = &has_shape_, at_ = At::shape_value;
    else if (key == "data_offsets")
      seen = &has_offsets_, at_ = At::offsets_value;
    else
      fail("expected dtype, shape and data_offsets, found the key " + in_quotes(key));
    if (*seen) fail("the key '" + key + "' appears twice");
    *seen = true;
  }

  void start_tensor() {
    has_dtype_ = has_shape_ = has_offsets_ = false;
    offset_count_ = 0;
    at_ = At::tensor;
  }

  void finish_tensor() {
    if (!has_dtype_ || !has_shape_ || !has_offsets_)
      fail(std::string("expected dtype, shape and data_offsets, found no ") + (!has_dtype_ ? "dtype"
                                                                               : !has_shape_
                                                                                   ? "shape"
                                                                                   : "data_offsets"));
    const auto [begin, end] = offsets_;
    const std::string range = std::to_string(begin) + ".." + std::to_string(end);
    if (begin > end) fail("expected data_offsets in ascending order, found " + range);
    const auto bytes = byte_count(tensor_->dtype, tensor_->shape);
    const std::string what = std::string(to_string(tensor_->dtype)) + " " + to_string(tensor_->shape);
    if (!bytes) fail("expected fewer than 2^63 bytes, found " + what);
    if (end - begin != *bytes)
      fail("expected " + std::to_string(*bytes) + " bytes for " + what + ", found data_offsets " + range);
    ranges.push_back({begin, end, name_, tensor_});
  }

  [[noreturn]] void fail_value(const std::string& found) const {
    const char* expected = at_ == At::note            ? "a string"
                           : at_ == At::dtype         ? "a string as dtype"
                           : at_ == At::shape_value   ? "an array as shape"
                           : at_ == At::offsets_value ? "an array as data_offsets"
                           : at_ == At::extents       ? "extents from 0"
                           : at_ == At::offsets       ? "data_offsets from 0"
                                                      : "an object";
    const std::string where = at_ == At::metadata_value ? "__metadata__: "
                              : at_ == At::note         ? "__metadata__ " + in_quotes(note_) + ": "
                                                        : "";
    fail(where + "expected " + expected + ", found " + found);
  }

  [[noreturn]] void fail(const std::string& message) const {
    throw DataError(file_ + ": " + (name_ ? "tensor " + in_quotes(*name_) : "the header") + ": " + message);
  }

  const std::string& file_;
  StateDict& state_;
  At at_ = At::start;
  bool has_metadata_ = false;
  std::string note_;                   // the key in __metadata__
  const std::string* name_ = nullptr;  // the tensor, if in one
  StoredTensor* tensor_ = nullptr;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  std::size_t offset_count_ = 0;
  std::array<std::size_t, 2> offsets_{};
};

// A string as JSON. Throws ArgumentError if it is not UTF-8.
std::string json_string(const std::string& text) {
  try {
    return json(text).dump();
  } catch (const json::exception&) {
    throw ArgumentError("safetensors: expected UTF-8, got " + in_quotes(text));
  }
}

}  // namespace

std::vector<DataRange> parse_header(std::string_view header, std::size_t data_size, const std::string& file,
                                    StateDict& state) {
  if (!header.starts_with('{'))
    throw DataError(file + ": expected a header that begins with '{', found " +
                    (header.empty() ? "an empty one" : in_quotes(header.substr(0, 1))));
  // The parser takes a zero byte for the end of its input.
  if (const auto zero = header.find('\0'); zero != header.npos)
    throw DataError(file + ": the header: is not JSON at its byte " + std::to_string(zero + 1));
  HeaderReader reader(file, state);
  json::sax_parse(header.begin(), header.end(), &reader);

  std::vector<DataRange> ranges = std::move(reader.ranges);
  std::sort(ranges.begin(), ranges.end(), [](const DataRange& a, const DataRange& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  std::size_t end = 0;
  for (const DataRange& range : ranges) {
    if (range.begin != end)
      throw DataError(file + ": tensor " + in_quotes(*range.name) + ": expected its data to begin at " +
                      std::to_string(end) + ", where the data before it ends, found " +
                      std::to_string(range.begin) + (range.begin > end ? ": a hole" : ": an overlap"));
    end = range.end;
  }
  if (end != data_size)
    throw DataError(file + ": expected " + std::to_string(end) + " bytes of data, found " +
                    std::to_string(data_size) +
                    (end > data_size ? ": the file is cut" : ": bytes are left over"));
  return ranges;
}

std::pair<std::string, std::vector<const StoredTensor*>> make_header(const StateDict& state) {
  using Entry = decltype(state.tensors)::value_type;
  std::vector<const Entry*> order;
  for (const Entry& entry : state.tensors) order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(),
                   [](const Entry* a, const Entry* b) { return a->second.dtype > b->second.dtype; });

  std::string header = "{";
  const auto separate = [&] {
    if (header.back() != '{') header += ',';
  };
  if (!state.metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : state.metadata) {
      separate();
      header += json_string(key) + ':' + json_string(value);
    }
    header += '}';
  }
  std::vector<const StoredTensor*> tensors;
  std::size_t offset = 0;
  for (const Entry* entry : order) {
    const auto& [name, tensor] = *entry;
    if (name == kMetadataKey) throw ArgumentError("safetensors: no tensor can be named '__metadata__'");
    if (tensor.shape.size() > kMaxDimensions)
      throw ArgumentError("safetensors: tensor " + in_quotes(name) + ": expected at most " +
                          std::to_string(kMaxDimensions) + " dimensions, got " +
                          std::to_string(tensor.shape.size()));
    if (byte_count(tensor.dtype, tensor.shape) != tensor.bytes.size())
      throw ArgumentError("safetensors: tensor " + in_quotes(name) + ": got " +
                          std::to_string(tensor.bytes.size()) + " bytes for " +
                          std::string(to_string(tensor.dtype)) + " " + to_string(tensor.shape));
    separate();
    header += json_string(name) + ":{\"dtype\":\"" + std::string(to_string(tensor.dtype)) + "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i)
      header.append(i ? "," : "").append(std::to_string(tensor.shape[i]));
    header += "],\"data_offsets\":[" + std::to_string(offset) + ',';
    offset += tensor.bytes.size();
    header += std::to_string(offset) + "]}";
    tensors.push_back(&tensor);
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');
  if (header.size() > kMaxHeaderSize)
    throw ArgumentError("safetensors: the header takes " + std::to_string(header.size()) +
                        " bytes, more than the format's " + std::to_string(kMaxHeaderSize));
  return {std::move(header), std::move(tensors)};
}

}  // namespace strata::detail
