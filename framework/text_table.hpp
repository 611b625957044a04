// Tables of text, for reports.
#pragma once

#include <string>
#include <vector>

namespace strata {

enum class Align : char { left, right };

/// Pads the cells of each column to one width, two spaces apart, and ends each row with a line feed. Columns
/// beyond those named are aligned as the last one.
std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<Align>& columns);

}  // namespace strata
