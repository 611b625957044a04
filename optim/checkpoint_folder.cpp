#include "strata/optim/checkpoint_folder.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <dirent.h>
#include <memory>
#include <system_error>

#include "strata/framework/error.hpp"
#include "strata/framework/io/atomic_file.hpp"
#include "strata/framework/io/quote.hpp"

namespace strata::detail {
namespace {

constexpr std::string_view kPrefix = "step-", kSuffix = ".safetensors";
constexpr std::size_t kDigits = 9;

std::optional<Index> step_of(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  name.remove_suffix(std::min(kSuffix.size(), name.size()));
  Index step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size() || step < 0) return std::nullopt;
  return step;
}

template <class Number>
std::string number_to_text(Number value) {
  std::array<char, 32> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

template <class Number>
std::optional<Number> number_from(const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::filesystem::path CheckpointFolder::path_of(Index step) const {
  std::string number = std::to_string(step);
  if (number.size() < kDigits) number.insert(0, kDigits - number.size(), '0');
  return std::filesystem::path(options_.folder) / std::string(kPrefix).append(number).append(kSuffix);
}

std::map<Index, std::filesystem::path> CheckpointFolder::all() const {
  std::map<Index, std::filesystem::path> found;
  for (const auto& path : entries())
    if (const auto step = step_of(path.filename().string())) found.emplace(*step, path);
  return found;
}

// By readdir, because std::filesystem::directory_iterator ends the program where memory runs out (libstdc++
// 12).
std::vector<std::filesystem::path> CheckpointFolder::entries() const {
  const auto fail = [&](int code) {
    throw DataError(in_quotes(options_.folder) +
                    ": cannot read the folder: " + std::generic_category().message(code));
  };
  const auto close = [](DIR* open) { closedir(open); };
  const std::unique_ptr<DIR, decltype(close)> folder(opendir(options_.folder.c_str()), close);
  if (!folder && errno == ENOENT) return {};
  if (!folder) fail(errno);
  std::vector<std::filesystem::path> paths;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(folder.get());
    if (!entry && errno != 0) fail(errno);
    if (!entry) return paths;
    paths.push_back(std::filesystem::path(options_.folder) / entry->d_name);
  }
}

std::optional<Index> CheckpointFolder::newest() const {
  const auto found = all();
  if (found.empty()) return std::nullopt;
  return found.rbegin()->first;
}

std::vector<std::filesystem::path> CheckpointFolder::newest_first() const {
  std::vector<std::filesystem::path> paths;
  for (const auto& [step, path] : all()) paths.insert(paths.begin(), path);
  return paths;
}

void CheckpointFolder::prepare() const {
  std::error_code error;
  std::filesystem::create_directories(options_.folder, error);
  if (error) throw DataError(in_quotes(options_.folder) + ": cannot create the folder: " + error.message());
  for (const auto& path : entries()) {
    const std::string name = path.filename().string();
    std::error_code ignored;
    if (name.ends_with(".tmp") && (name.starts_with(".step-") || name.starts_with(".best.safetensors.")))
      std::filesystem::remove(path, ignored);
  }
  AtomicFile{best_weights()};
}

void CheckpointFolder::prune() const {
  auto found = all();
  std::error_code ignored;
  while (static_cast<Index>(found.size()) > options_.keep_last) {
    std::filesystem::remove(found.begin()->second, ignored);
    found.erase(found.begin());
  }
}

std::string to_text(double value) {
  return number_to_text(value);
}

std::string to_text(Index value) {
  return number_to_text(value);
}

const std::string& Notes::text(const std::string& name) const {
  const auto found = notes_.find(name);
  if (found == notes_.end()) fail("is not a checkpoint: the note '" + name + "' is missing");
  return found->second;
}

double Notes::number(const std::string& name) const {
  const auto value = number_from<double>(text(name));
  if (!value) fail("note '" + name + "': expected a number, found " + in_quotes(text(name)));
  return *value;
}

Index Notes::count(const std::string& name, Index most) const {
  const auto value = number_from<Index>(text(name));
  if (!value || *value < 0 || *value > most)
    fail("note '" + name + "': expected a count of at most " + std::to_string(most) + ", found " +
         in_quotes(text(name)));
  return *value;
}

std::vector<std::string> Notes::compare_run(const std::map<std::string, std::string>& own, bool old) const {
  const std::string prefix = old ? "" : "run.";
  std::vector<std::string> differences, unknown;
  for (const auto& [name, value] : own) {
    const auto found = notes_.find(prefix + name);
    if (found == notes_.end() && old)
      unknown.push_back(name);
    else if (found == notes_.end())
      differences.push_back("it has no " + name + ", here it is " + in_quotes(value));
    else if (found->second != value)
      differences.push_back("its " + name + " is " + in_quotes(found->second) + ", here it is " +
                            in_quotes(value));
  }
  for (const auto& [name, value] : notes_)
    if (!old && name.starts_with(prefix) && !name.starts_with("run.option.") &&
        !own.contains(name.substr(prefix.size())))
      differences.push_back("its " + name.substr(prefix.size()) + " is " + in_quotes(value) +
                            ", here there is none");
  if (!differences.empty()) fail("was made by another run: " + join_some(differences, 10));
  if (unknown.empty()) return {};
  return {"the checkpoint is of an older version and does not tell its " + join_some(unknown) +
          "; whether they are the same was not compared"};
}

bool Notes::agrees(const std::string& name, const std::string& own) const {
  const auto found = notes_.find(name);
  return found != notes_.end() && found->second == own;
}

void Notes::fail(const std::string& message) const {
  throw DataError(file_ + ": " + message);
}

}  // namespace strata::detail
