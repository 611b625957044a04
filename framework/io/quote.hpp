// Names from a stranger's file, made fit to print.
#pragma once

#include <string>
#include <string_view>

namespace strata::detail {

/// 'name' in quotes, control characters escaped, cut at 500 bytes.
std::string in_quotes(std::string_view name);

/// The items joined by "; ", all of the first 50 or as many as are said.
template <class Strings>
std::string join_some(const Strings& items, std::size_t most = 50) {
  std::string text;
  std::size_t count = 0;
  for (const std::string& item : items)
    if (count++ < most) text += (count > 1 ? "; " : "") + item;
  if (count > most) text += "; and " + std::to_string(count - most) + " more";
  return text;
}

}  // namespace strata::detail
