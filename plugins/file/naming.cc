#include "plugins/file/naming.h"

#include <cstdio>
#include <iomanip>
#include <locale>
#include <nlohmann/json.hpp>
#include <sstream>

namespace mfn::file {
namespace {

constexpr size_t kMaxValueBytes = 120;
constexpr const char* kDefaultTime = "%Y%m%dT%H%M%SZ";

uint64_t Fnv1a(std::string_view text) {
  uint64_t hash = 14695981039346656037ull;
  for (unsigned char c : text) hash = (hash ^ c) * 1099511628211ull;
  return hash;
}

bool Allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

std::string RequestId(const sdk::RecordView& record) {
  for (const char* name : {"request_id", "request-id"}) {
    if (auto value = record.attr(name)) return std::string(*value);
  }
  const std::string_view payload = record.payload();
  const auto json = nlohmann::json::parse(payload.begin(), payload.end(), nullptr, false);
  if (!json.is_object()) return {};
  const auto it = json.find("request_id");
  return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
}

Status Invalid(const std::string& message) { return Status::InvalidConfig("/filename", message); }

}  // namespace

std::string Sanitize(std::string_view value) {
  if (value.empty()) return "none";
  std::string out;
  for (char c : value.substr(0, kMaxValueBytes)) out += Allowed(c) ? c : '_';
  if (out[0] == '.') out[0] = '_';
  if (out == value) return out;
  char hash[20];
  std::snprintf(hash, sizeof(hash), "-%016llx", static_cast<unsigned long long>(Fnv1a(value)));
  return out + hash;
}

std::string FormatTime(const std::string& format, std::time_t time) {
  std::tm utc = {};
  gmtime_r(&time, &utc);
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << std::put_time(&utc, format.c_str());
  return out.str();
}

Status NameTemplate::ParseField(std::string_view field, std::vector<Part>* parts) {
  if (field == "id") {
    parts->push_back({Kind::kId, {}});
  } else if (field == "key") {
    parts->push_back({Kind::kKey, {}});
  } else if (field == "request_id") {
    parts->push_back({Kind::kRequestId, {}});
  } else if (field == "seq") {
    parts->push_back({Kind::kSeq, {}});
  } else if (field == "time") {
    parts->push_back({Kind::kTime, kDefaultTime});
  } else if (field.substr(0, 5) == "time:" && field.size() > 5) {
    const std::string format(field.substr(5));
    const std::string sample = FormatTime(format, 0);
    if (sample.empty() || sample.find('/') != std::string::npos) {
      return Invalid("time format '" + format + "' gives no usable file name");
    }
    parts->push_back({Kind::kTime, format});
  } else {
    return Invalid("unknown field {" + std::string(field) +
                   "}; known are {time}, {time:FORMAT}, {id}, {key}, {request_id}, {seq}");
  }
  return Status::Ok();
}

Status NameTemplate::Parse(const std::string& text, NameTemplate* out) {
  if (text.empty() || text[0] == '.') return Invalid("must not be empty or start with a dot");
  if (text.find('/') != std::string::npos || text.find('\0') != std::string::npos) {
    return Invalid("is a name inside `path` and must not contain '/'");
  }
  std::vector<Part> parts;
  for (size_t at = 0; at < text.size();) {
    const size_t open = text.find('{', at);
    if (open != at) parts.push_back({Kind::kText, text.substr(at, open - at)});
    if (open == std::string::npos) break;
    const size_t close = text.find('}', open);
    if (close == std::string::npos) return Invalid("has a '{' without '}'");
    Status status = ParseField(std::string_view(text).substr(open + 1, close - open - 1), &parts);
    if (!status.ok()) return status;
    at = close + 1;
  }
  if (out != nullptr) out->parts_ = std::move(parts);
  return Status::Ok();
}

bool NameTemplate::Has(Kind kind) const {
  for (const Part& part : parts_) {
    if (part.kind == kind) return true;
  }
  return false;
}

std::string NameTemplate::Render(const sdk::RecordView& record, std::time_t now,
                                 uint64_t seq) const {
  std::string name;
  for (const Part& part : parts_) {
    switch (part.kind) {
      case Kind::kText:
        name += part.text;
        break;
      case Kind::kTime:
        name += FormatTime(part.text, now);
        break;
      case Kind::kId:
        name += Sanitize(record.id());
        break;
      case Kind::kKey:
        name += Sanitize(record.key());
        break;
      case Kind::kRequestId:
        name += Sanitize(RequestId(record));
        break;
      case Kind::kSeq: {
        char digits[24];
        std::snprintf(digits, sizeof(digits), "%06llu", static_cast<unsigned long long>(seq));
        name += digits;
        break;
      }
    }
  }
  return name;
}

}  // namespace mfn::file
