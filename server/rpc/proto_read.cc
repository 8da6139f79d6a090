#include "server/rpc/proto_read.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/engine/config.h"
#include "server/pipeline/codec.h"

namespace mfn::rpc {
namespace {

using pipeline::FieldError;

constexpr absl::string_view kTokenPrefix = "p1:";

}  // namespace

absl::StatusOr<engine::Seed> ReadSeed(bool has_seed, uint64_t seed, const std::string& wide_seed) {
  if (wide_seed.empty()) return has_seed ? engine::Seed(seed) : engine::RandomSeed();
  if (has_seed) {
    return FieldError("wide_seed", "INVALID_VALUE", "wide_seed and seed exclude each other");
  }
  auto wide = engine::Seed::FromDecimal(wide_seed);
  if (wide.ok()) return *wide;
  return FieldError("wide_seed", "INVALID_VALUE",
                    absl::StrCat("wide_seed must be decimal digits, at most ",
                                 engine::kMaxSeedDigits, " of them"));
}

absl::Status CheckRange(absl::string_view field, double value, double min, double max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return FieldError(field, "OUT_OF_RANGE",
                    absl::StrCat(field, " is ", value, ", must be in [", engine::FormatDouble(min),
                                 ", ", engine::FormatDouble(max), "]"));
}

absl::Status CheckId(absl::string_view id, absl::string_view field) {
  const auto lower_or_digit = [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c);
  };
  const auto allowed = [&](char c) { return lower_or_digit(c) || c == '_' || c == '-'; };
  if (!id.empty() && id.size() <= 63 && lower_or_digit(id[0]) &&
      std::all_of(id.begin(), id.end(), allowed)) {
    return absl::OkStatus();
  }
  return FieldError(
      field, "INVALID_NAME",
      absl::StrCat(field, " is \"", absl::CHexEscape(id.substr(0, 100)),
                   "\"; an id is 1 to 63 of a-z, 0-9, _ and -, and starts with a letter "
                   "or a digit"));
}

absl::StatusOr<std::string> ReadName(absl::string_view name, absl::string_view collection,
                                     absl::string_view field) {
  absl::string_view id = name;
  if (!absl::ConsumePrefix(&id, absl::StrCat(collection, "/"))) {
    return FieldError(field, "INVALID_NAME",
                      absl::StrCat(field, " is \"", absl::CHexEscape(name.substr(0, 100)),
                                   "\", must be \"", collection, "/\" and an id"));
  }
  if (absl::Status s = CheckId(id, field); !s.ok()) return s;
  return std::string(id);
}

absl::StatusOr<std::string> ReadReference(absl::string_view name, absl::string_view collection,
                                          absl::string_view field) {
  absl::string_view id = name;
  absl::ConsumePrefix(&id, absl::StrCat(collection, "/"));
  if (absl::Status s = CheckId(id, field); !s.ok()) return s;
  return std::string(id);
}

absl::StatusOr<absl::Duration> ReadDuration(const google::protobuf::Duration& duration,
                                            absl::string_view field, absl::Duration min,
                                            absl::Duration max) {
  const absl::Duration value =
      absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
  if (value >= min && value <= max) return value;
  return FieldError(field, "OUT_OF_RANGE",
                    absl::StrCat(field, " is ", absl::FormatDuration(value), ", must be in [",
                                 absl::FormatDuration(min), ", ", absl::FormatDuration(max), "]"));
}

void SetTime(absl::Time time, google::protobuf::Timestamp* out) {
  const absl::Duration since = time - absl::UnixEpoch();
  absl::Duration rest;
  int64_t seconds = absl::IDivDuration(since, absl::Seconds(1), &rest);
  if (rest < absl::ZeroDuration()) {  // nanos count forward, before 1970 too
    rest += absl::Seconds(1);
    --seconds;
  }
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

void SetDuration(absl::Duration duration, google::protobuf::Duration* out) {
  out->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

absl::StatusOr<Page> ReadPage(int page_size, const std::string& page_token) {
  Page page;
  if (page_size < 0 || page_size > kMaxPageSize) {
    return FieldError(
        "page_size", "OUT_OF_RANGE",
        absl::StrCat("page_size is ", page_size, ", must be in [0, ", kMaxPageSize, "]"));
  }
  if (page_size > 0) page.size = static_cast<size_t>(page_size);
  if (page_token.empty()) return page;
  std::string token;
  absl::string_view key;
  if (absl::WebSafeBase64Unescape(page_token, &token)) {
    key = token;
    if (absl::ConsumePrefix(&key, kTokenPrefix) && !key.empty()) {
      page.after = std::string(key);
      return page;
    }
  }
  return FieldError("page_token", "INVALID_PAGE_TOKEN",
                    "page_token is not the next_page_token of an earlier reply");
}

std::string PageToken(absl::string_view last_key) {
  return absl::WebSafeBase64Escape(absl::StrCat(kTokenPrefix, last_key));
}

}  // namespace mfn::rpc
