// What the main functions share.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace strata::support {

/// Parses the command line, calls `body` and gives the exit status: what `body` returns, 0 after --help, 1 if
/// a value became NaN or infinite, 2 for wrong arguments or files. Then one line on standard error says why.
int run(CLI::App& command_line, int argc, char** argv, const std::function<int()>& body);

}  // namespace strata::support
