// What PyTorch computed (tests/reference/), as test cases.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "strata/framework/size_2d.hpp"
#include "strata/framework/tensor.hpp"

namespace strata::pytorch {

/// The names of the cases in tests/reference/FILE.jsonl.gz. Throws std::runtime_error if the file is missing,
/// damaged or without cases.
std::vector<std::string> case_names(const std::string& file);

struct Case {
  std::string file;
  std::string name;
};
void PrintTo(const Case& which, std::ostream* out);

/// For INSTANTIATE_TEST_SUITE_P, where nothing may be thrown: a file that case_names refuses has no cases.
/// So a test of its own must ask case_names.
std::vector<Case> cases(const std::string& file) noexcept;
std::string name_of(const testing::TestParamInfo<Case>& info);

nlohmann::json load(const Case& which);

/// Options that a case does not name keep our defaults, which are thereby compared as well.
template <class V>
void read(const nlohmann::json& options, const char* name, V& value) {
  if (options.contains(name)) options.at(name).get_to(value);
}

/// The same for options that are no number: a size is one extent or two, null stands for nothing.
void read(const nlohmann::json& options, const char* name, Size2D& value);
void read(const nlohmann::json& options, const char* name, std::optional<Size2D>& value);
void read(const nlohmann::json& options, const char* name, std::optional<double>& value);

Size2D to_size(const nlohmann::json& size);
Shape to_shape(const nlohmann::json& extents);
Tensor<double> to_tensor(const nlohmann::json& tensor);

/// Passes if shapes are equal and no element is further from the expected one than `tolerance` times the
/// largest expected magnitude. NaN never passes.
testing::AssertionResult near(const Tensor<double>& actual, const nlohmann::json& expected,
                              double tolerance = 1e-12);
testing::AssertionResult near(double actual, double expected, double tolerance = 1e-12);

}  // namespace strata::pytorch
