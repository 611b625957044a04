#include "strata/framework/text_table.hpp"

#include <algorithm>

namespace strata {

std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<Align>& columns,
                  std::size_t width) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string text;
  std::size_t begin = 1, end = 1;  // the columns of a part, besides the first of all
  do {
    std::size_t taken = widths.empty() ? 0 : widths[0];
    for (begin = end; end < widths.size() && (end == begin || taken + 2 + widths[end] <= width); ++end)
      taken += 2 + widths[end];
    if (begin > 1) text += "\n";
    for (const auto& row : rows) {
      std::string line;
      for (std::size_t c = 0; c < row.size(); c = c == 0 ? begin : c + 1) {
        if (c >= end) break;
        const std::string padding(widths[c] - row[c].size(), ' ');
        const Align align = columns[std::min(c, columns.size() - 1)];
        line += (c == 0 ? "" : "  ") + (align == Align::left ? row[c] + padding : padding + row[c]);
      }
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
  } while (end < widths.size());
  return text;
}

}  // namespace strata
