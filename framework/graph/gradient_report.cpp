#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ostream>

#include "strata/framework/graph/gradient_check.hpp"
#include "strata/framework/text_table.hpp"

namespace strata {
namespace {

std::string scientific(double value, int digits) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*e", digits, value);
  return text;
}

}  // namespace

bool GradientReport::passed() const {
  return !rows.empty() && std::all_of(rows.begin(), rows.end(), [](const auto& row) { return row.passed; });
}

double GradientReport::max_relative_error() const {
  double error = 0;
  for (const GradientCheckRow& row : rows) error = std::max(error, row.error);
  return error;
}

std::string GradientReport::to_string() const {
  std::vector<std::vector<std::string>> cells{{"mode", "tensor", "shape", "checked", "kinks", "error", ""}};
  std::string faults;
  for (const GradientCheckRow& row : rows) {
    cells.push_back({row.mode, row.tensor, strata::to_string(row.shape), std::to_string(row.checked),
                     std::to_string(row.kinks), scientific(row.error, 1),
                     !row.passed     ? "FAIL"
                     : row.kinks > 0 ? "kink"
                                     : "ok"});
    if (!row.passed)
      faults += row.mode + " " + row.tensor + ", " + row.where + ": backward says " +
                (std::isnan(row.analytic) ? "nothing (not written)" : scientific(row.analytic, 9)) +
                ", differences " + scientific(row.numeric, 9) + "\n";
  }
  const std::string rows_text = table(
      cells, {Align::left, Align::left, Align::left, Align::right, Align::right, Align::right, Align::left});
  return "Gradients of " + subject + "\n" + rows_text + faults + (passed() ? "passed" : "FAILED") +
         ": largest relative error " + scientific(max_relative_error(), 1) + ", tolerance " +
         scientific(tolerance, 0) + "\n";
}

std::ostream& operator<<(std::ostream& stream, const GradientReport& report) {
  return stream << report.to_string();
}

}  // namespace strata
