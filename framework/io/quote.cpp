#include "strata/framework/io/quote.hpp"

namespace strata::detail {

std::string in_quotes(std::string_view name) {
  constexpr std::string_view hex = "0123456789abcdef";
  constexpr std::size_t longest = 500;
  std::string text = "'";
  for (const char c : name.substr(0, longest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f)
      text += c;
    else
      text.append("\\x").append(1, hex[byte >> 4]).append(1, hex[byte & 15]);
  }
  return text + (name.size() > longest ? "…'" : "'");
}

}  // namespace strata::detail
