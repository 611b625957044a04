// Tables of text, for reports.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace strata {

enum class Align : char { left, right };

/// Pads the cells of each column to one width, two spaces apart, and ends each row with a line feed. Columns
/// beyond those named are aligned as the last one. What is wider than `width` goes on below, each part with
/// the first column.
std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<Align>& columns,
                  std::size_t width = 80);

}  // namespace strata
