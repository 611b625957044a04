#include "support/program.hpp"

#include <filesystem>
#include <fmt/format.h>

#include "strata/framework/error.hpp"

namespace strata::support {

int run(CLI::App& command_line, int argc, char** argv, const std::function<int()>& body) {
  const std::string program = std::filesystem::path(argv[0]).filename().string();
  try {
    command_line.parse(argc, argv);
    return body();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return command_line.exit(error);  // --help
    fmt::print(stderr, "{}: {} (--help tells more)\n", program, error.what());
    return 2;
  } catch (const NotFiniteError& error) {
    fmt::print(stderr, "{}: {}\n", program, error.what());
    return 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", program, error.what());
    return 2;
  }
}

}  // namespace strata::support
