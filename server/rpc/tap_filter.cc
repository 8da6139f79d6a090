#include "server/rpc/tap_filter.h"

#include <string.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/pipeline/codec.h"
#include "server/registry/instance.h"
#include "server/registry/text.h"
#include "server/rpc/proto_read.h"
#include "server/rpc/resource_proto.h"

namespace mfn::rpc {
namespace {

constexpr size_t kMaxTextBytes = 1024;
constexpr size_t kMaxAttributes = 64;

absl::string_view View(const mfn_bytes& bytes) {
  return absl::string_view(reinterpret_cast<const char*>(bytes.data), bytes.len);
}

bool Contains(const mfn_bytes& bytes, const std::string& part) {
  if (part.empty()) return true;
  return bytes.len >= part.size() &&
         memmem(bytes.data, bytes.len, part.data(), part.size()) != nullptr;
}

bool HasAttribute(const mfn_record& record, const std::pair<std::string, std::string>& wanted) {
  for (uint64_t k = 0; k < record.n_attrs; ++k) {
    if (View(record.attrs[k].key) == wanted.first && View(record.attrs[k].value) == wanted.second) {
      return true;
    }
  }
  return false;
}

absl::Status CheckSize(absl::string_view field, size_t size, size_t max) {
  if (size <= max) return absl::OkStatus();
  return pipeline::FieldError(
      field, "LIMIT_EXCEEDED",
      absl::StrCat(field, " has ", size, " bytes or entries, at most ", max, " are allowed"));
}

}  // namespace

absl::StatusOr<TapFilter> TapFilter::FromProto(const mfn::v1::TapConnectorRequest& request) {
  TapFilter filter;
  absl::Status s =
      CheckRange("direction", request.direction(), 0, mfn::v1::TappedRecord::Direction_MAX);
  s.Update(CheckSize("record_id_prefix", request.record_id_prefix().size(), kMaxTextBytes));
  s.Update(CheckSize("key_prefix", request.key_prefix().size(), kMaxTextBytes));
  s.Update(CheckSize("payload_contains", request.payload_contains().size(), 256));
  s.Update(CheckSize("attributes", request.attributes().size(), 16));
  if (request.has_max_records()) {
    s.Update(CheckRange("max_records", request.max_records(), 1, 1e6));
    filter.max_records_ = request.max_records();
  }
  if (request.has_max_payload_bytes()) {
    s.Update(CheckRange("max_payload_bytes", request.max_payload_bytes(), 0, 1 << 20));
    filter.max_payload_bytes_ = static_cast<size_t>(std::max(0, request.max_payload_bytes()));
  }
  if (request.has_sample_ratio()) {
    filter.sample_ratio_ = request.sample_ratio();
    if (!(filter.sample_ratio_ > 0 && filter.sample_ratio_ <= 1)) {
      s.Update(pipeline::FieldError("sample_ratio", "OUT_OF_RANGE",
                                    absl::StrCat("sample_ratio is ", filter.sample_ratio_,
                                                 ", must be above 0 and at most 1")));
    }
  }
  if (request.has_max_duration()) {
    auto duration = ReadDuration(request.max_duration(), "max_duration", absl::Milliseconds(100),
                                 absl::Hours(1));
    s.Update(duration.status());
    if (duration.ok()) filter.max_duration_ = *duration;
  }
  if (!s.ok()) return s;
  filter.direction_ = request.direction();
  filter.id_prefix_ = request.record_id_prefix();
  filter.key_prefix_ = request.key_prefix();
  filter.payload_contains_ = request.payload_contains();
  filter.attributes_.assign(request.attributes().begin(), request.attributes().end());
  return filter;
}

bool TapFilter::Matches(registry::TapDirection direction, const mfn_record& record) const {
  const auto way = direction == registry::TapDirection::kIn ? mfn::v1::TappedRecord::DIRECTION_IN
                                                            : mfn::v1::TappedRecord::DIRECTION_OUT;
  if (direction_ != mfn::v1::TappedRecord::DIRECTION_UNSPECIFIED && way != direction_) return false;
  if (!absl::StartsWith(View(record.id), id_prefix_)) return false;
  if (!absl::StartsWith(View(record.key), key_prefix_)) return false;
  return std::all_of(attributes_.begin(), attributes_.end(),
                     [&](const auto& wanted) { return HasAttribute(record, wanted); }) &&
         Contains(record.payload, payload_contains_);
}

void TapFilter::Copy(registry::TapDirection direction, const mfn_record& record, mfn_code outcome,
                     absl::Time now, mfn::v1::TappedRecord* out) const {
  const bool in = direction == registry::TapDirection::kIn;
  bool truncated = false;
  const auto cut = [&](const mfn_bytes& bytes, size_t max) {
    truncated |= bytes.len > max;
    return std::string(View(bytes).substr(0, max));
  };
  // A text of a message must be UTF-8.
  const auto text = [&](const mfn_bytes& bytes) {
    truncated |= bytes.len > kMaxTextBytes;
    return registry::CleanText(bytes, kMaxTextBytes);
  };
  out->set_direction(in ? mfn::v1::TappedRecord::DIRECTION_IN
                        : mfn::v1::TappedRecord::DIRECTION_OUT);
  mfn::v1::Record* copy = out->mutable_record();
  copy->set_id(text(record.id));
  copy->set_key(cut(record.key, kMaxTextBytes));
  copy->set_payload(cut(record.payload, max_payload_bytes_));
  truncated |= record.n_attrs > kMaxAttributes;
  for (uint64_t k = 0; k < std::min<uint64_t>(record.n_attrs, kMaxAttributes); ++k) {
    (*copy->mutable_attributes())[text(record.attrs[k].key)] = text(record.attrs[k].value);
  }
  if (record.time_unix_ns != MFN_TIME_ABSENT) {
    SetTime(absl::FromUnixNanos(record.time_unix_ns), copy->mutable_event_time());
  }
  out->set_payload_size(static_cast<int64_t>(record.payload.len));
  out->set_truncated(truncated);
  SetTime(now, out->mutable_time());
  if (!in) out->set_outcome(std::string(registry::CodeName(outcome)));
}

}  // namespace mfn::rpc
