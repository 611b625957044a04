#include "tests/reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <ostream>
#include <stdexcept>

#include <zlib.h>

namespace strata::pytorch {
namespace {

class Lines {
 public:
  explicit Lines(const std::string& file)
      : path_(std::string(STRATA_REFERENCE_DIR) + "/" + file + ".jsonl.gz"),
        stream_(gzopen(path_.c_str(), "rb"), gzclose) {
    if (!stream_) throw std::runtime_error("cannot open " + path_);
  }

  /// False at the end.
  bool next(std::string& line) {
    line.clear();
    char buffer[1 << 14];
    while (gzgets(stream_.get(), buffer, sizeof buffer) != nullptr) {
      line += buffer;
      if (line.back() == '\n') return true;
    }
    if (!line.empty() || gzeof(stream_.get()) == 0) throw std::runtime_error(path_ + " is damaged");
    return false;
  }

 private:
  std::string path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> stream_;
};

}  // namespace

std::vector<std::string> case_names(const std::string& file) {
  std::string line;
  if (!Lines(file).next(line)) throw std::runtime_error(file + " is empty");
  auto names = nlohmann::json::parse(line).at("cases").get<std::vector<std::string>>();
  if (names.empty()) throw std::runtime_error(file + " has no cases");
  return names;
}

void PrintTo(const Case& which, std::ostream* out) {
  *out << which.file << ' ' << which.name;
}

std::vector<Case> cases(const std::string& file) noexcept {
  std::vector<Case> result;
  try {
    for (const auto& name : case_names(file)) result.push_back({file, name});
  } catch (const std::exception&) {
    result.clear();
  }
  return result;
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
  return info.param.name;
}

nlohmann::json load(const Case& which) {
  const auto& [file, name] = which;
  const auto names = case_names(file);
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) throw std::runtime_error(file + " has no case " + name);
  Lines lines(file);
  std::string line;
  for (auto i = names.begin(); i <= found + 1; ++i)
    if (!lines.next(line)) throw std::runtime_error(file + " ends before case " + name);
  auto result = nlohmann::json::parse(line);
  if (result.at("name") != name) throw std::runtime_error(file + " has another case in the place of " + name);
  return result;
}

void read(const nlohmann::json& options, const char* name, Size2D& value) {
  if (options.contains(name)) value = to_size(options.at(name));
}

void read(const nlohmann::json& options, const char* name, std::optional<Size2D>& value) {
  if (options.contains(name)) value = to_size(options.at(name));
}

void read(const nlohmann::json& options, const char* name, std::optional<double>& value) {
  if (!options.contains(name)) return;
  const auto& option = options.at(name);
  value = option.is_null() ? std::nullopt : std::optional(option.get<double>());
}

Size2D to_size(const nlohmann::json& size) {
  return size.is_array() ? Size2D(size.at(0).get<Index>(), size.at(1).get<Index>())
                         : Size2D(size.get<Index>());
}

Shape to_shape(const nlohmann::json& extents) {
  Shape shape;
  for (const auto& extent : extents) shape.push_back(extent.get<std::size_t>());
  return shape;
}

Tensor<double> to_tensor(const nlohmann::json& tensor) {
  const auto values = tensor.at("values").get<std::vector<double>>();
  auto result = empty<double>(to_shape(tensor.at("shape")));
  if (result.size() != values.size()) throw std::runtime_error("a tensor's values do not fill its shape");
  std::copy(values.begin(), values.end(), result.begin());
  return result;
}

testing::AssertionResult near(const Tensor<double>& actual, const nlohmann::json& expected,
                              double tolerance) {
  const Tensor<double> values = to_tensor(expected);
  if (actual.shape() != values.shape())
    return testing::AssertionFailure()
           << "shape " << to_string(actual.shape()) << ", PyTorch has " << to_string(values.shape());
  double scale = 0, largest = 0;
  std::size_t where = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double difference = std::abs(actual.data()[i] - values.data()[i]);
    scale = std::max(scale, std::abs(values.data()[i]));
    if (difference > largest || std::isnan(difference)) {
      largest = std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference;
      where = i;
    }
  }
  if (largest <= tolerance * scale) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "element " << where << " is " << actual.data()[where]
                                     << ", PyTorch has " << values.data()[where] << "; the difference is "
                                     << largest / scale << " of the largest magnitude";
}

testing::AssertionResult near(double actual, double expected, double tolerance) {
  const double difference = std::abs(actual - expected);
  if (difference <= tolerance * std::abs(expected)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << actual << ", PyTorch has " << expected << ", relative difference "
                                     << difference / std::abs(expected);
}

}  // namespace strata::pytorch
