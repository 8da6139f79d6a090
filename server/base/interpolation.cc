// Replaces references from left to right; what was put in is never looked at again.
#include "server/base/interpolation.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace mfn {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 20;
constexpr int kMaxNesting = 8;

// The index of the brace that closes a reference whose body starts at `body`, or npos.
size_t ClosingBrace(absl::string_view text, size_t body) {
  int open = 1;
  for (size_t i = body; i < text.size(); ++i) {
    if (absl::StartsWith(text.substr(i), "${")) {
      ++open;
      ++i;
    } else if (text[i] == '}' && --open == 0) {
      return i;
    }
  }
  return absl::string_view::npos;
}

bool ValidVariable(absl::string_view name) {
  if (name.empty() || absl::ascii_isdigit(static_cast<unsigned char>(name[0]))) return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_') return false;
  }
  return true;
}

absl::StatusOr<std::string> ReadSecretFile(absl::string_view name, absl::string_view base_dir) {
  if (name.empty()) return absl::InvalidArgumentError("${file:} names no file");
  const std::filesystem::path path =
      std::filesystem::path(std::string(base_dir)) / std::string(name);
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return absl::InvalidArgumentError(absl::StrCat("${file:", name, "}: is a folder"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::InvalidArgumentError(
        absl::StrCat("${file:", name, "}: cannot be read: ", std::strerror(errno)));
  }
  std::string content(kMaxFileBytes + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<size_t>(file.gcount()));
  if (content.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("${file:", name, "}: is over the limit of ", kMaxFileBytes, " bytes"));
  }
  if (!content.empty() && content.back() == '\n') content.pop_back();
  if (!content.empty() && content.back() == '\r') content.pop_back();
  return content;
}

class Interpolator {
 public:
  Interpolator(absl::string_view base_dir, const EnvLookup& env) : base_dir_(base_dir), env_(env) {}

  absl::StatusOr<std::string> Expand(absl::string_view text, int nesting) {
    if (nesting > kMaxNesting) {
      return absl::InvalidArgumentError(
          absl::StrCat("defaults nest deeper than ", kMaxNesting, " levels"));
    }
    std::string out;
    for (size_t i = 0; i < text.size();) {
      if (absl::StartsWith(text.substr(i), "$${")) {
        out += "${";
        i += 3;
        continue;
      }
      if (!absl::StartsWith(text.substr(i), "${")) {
        out += text[i++];
        continue;
      }
      const size_t end = ClosingBrace(text, i + 2);
      if (end == absl::string_view::npos) {
        return absl::InvalidArgumentError("\"${\" without \"}\"; a literal \"${\" is written $${");
      }
      absl::StatusOr<std::string> value = Reference(text.substr(i + 2, end - i - 2), nesting);
      if (!value.ok()) return value.status();
      out += *value;
      changed_ = true;
      i = end + 1;
    }
    return out;
  }

  bool changed() const { return changed_; }
  bool from_file() const { return from_file_; }

 private:
  absl::StatusOr<std::string> Reference(absl::string_view body, int nesting) {
    if (absl::StartsWith(body, "file:")) {
      from_file_ = true;
      return ReadSecretFile(body.substr(5), base_dir_);
    }
    const size_t separator = body.find(":-");
    const std::string name(body.substr(0, separator));
    if (!ValidVariable(name)) {
      return absl::InvalidArgumentError(
          "expected ${VARIABLE}, ${VARIABLE:-default} or ${file:path}; a literal \"${\" is "
          "written $${");
    }
    const std::optional<std::string> value = env_ ? env_(name) : std::nullopt;
    const bool has_default = separator != absl::string_view::npos;
    if (value.has_value() && !(has_default && value->empty())) return *value;
    if (has_default) return Expand(body.substr(separator + 2), nesting + 1);
    return absl::InvalidArgumentError(absl::StrCat(
        "environment variable ", name, " is not set; set it or write ${", name, ":-default}"));
  }

  const absl::string_view base_dir_;
  const EnvLookup& env_;
  bool changed_ = false;
  bool from_file_ = false;
};

}  // namespace

absl::StatusOr<Interpolated> Interpolate(absl::string_view text, absl::string_view base_dir,
                                         const EnvLookup& env) {
  Interpolator interpolator(base_dir, env);
  absl::StatusOr<std::string> expanded = interpolator.Expand(text, 0);
  if (!expanded.ok()) return expanded.status();
  return Interpolated{*std::move(expanded), interpolator.changed(), interpolator.from_file()};
}

}  // namespace mfn
