// What callers get from an instance: failures as a status, batches that release themselves.
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/registry/contain.h"
#include "server/registry/instance.h"

namespace mfn::registry {
namespace {

bool TimedOut(const Failure& failure) {
  return failure.reason == "DEADLINE_EXCEEDED" || failure.reason == "CALL_OVERRAN";
}

absl::StatusCode StatusCodeOf(const Failure& failure) {
  switch (failure.code) {
    case MFN_OK:
    case MFN_END:
      return absl::StatusCode::kOk;
    case MFN_RETRYABLE:
      return TimedOut(failure) ? absl::StatusCode::kDeadlineExceeded
                               : absl::StatusCode::kUnavailable;
    case MFN_THROTTLED:
      return absl::StatusCode::kResourceExhausted;
    case MFN_AUTH:
      return absl::StatusCode::kFailedPrecondition;
    case MFN_NOT_CONNECTED:
      return absl::StatusCode::kUnavailable;
    case MFN_CANCELLED:
      return absl::StatusCode::kCancelled;
    case MFN_UNSUPPORTED:
      return absl::StatusCode::kUnimplemented;
    default:
      return failure.field.empty() ? absl::StatusCode::kFailedPrecondition
                                   : absl::StatusCode::kInvalidArgument;
  }
}

}  // namespace

absl::string_view CodeName(mfn_code code) {
  static constexpr absl::string_view kNames[] = {"OK",         "END",  "RETRYABLE",     "PERMANENT",
                                                 "THROTTLED",  "AUTH", "NOT_CONNECTED", "CANCELLED",
                                                 "UNSUPPORTED"};
  return code >= 0 && code < 9 ? kNames[code] : "PERMANENT";
}

absl::Status ToStatus(const Failure& failure, const std::string& instance_name) {
  const absl::StatusCode code = StatusCodeOf(failure);
  if (code == absl::StatusCode::kOk) return absl::OkStatus();
  std::string text = absl::StrCat("\"", instance_name, "\": ");
  if (!failure.field.empty()) absl::StrAppend(&text, failure.field, ": ");
  absl::StrAppend(&text, failure.message.empty() ? "failed without a message" : failure.message);
  if (!failure.reason.empty()) absl::StrAppend(&text, " (", failure.reason, ")");
  return absl::Status(code, text);
}

OwnedBatch::OwnedBatch(mfn_batch batch, std::shared_ptr<void> keep_alive)
    : batch_(batch), keep_alive_(std::move(keep_alive)) {}

OwnedBatch::OwnedBatch(OwnedBatch&& other) noexcept
    : batch_(std::exchange(other.batch_, {})), keep_alive_(std::move(other.keep_alive_)) {}

OwnedBatch& OwnedBatch::operator=(OwnedBatch&& other) noexcept {
  OwnedBatch taken(std::move(other));
  std::swap(batch_, taken.batch_);
  std::swap(keep_alive_, taken.keep_alive_);
  return *this;
}

OwnedBatch::~OwnedBatch() {
  if (batch_.release == nullptr) return;
  Contain("release", [this] { batch_.release(&batch_); });
}

absl::Span<const mfn_record> OwnedBatch::records() const {
  return absl::MakeConstSpan(batch_.records, static_cast<size_t>(batch_.n_records));
}

namespace {

struct CopiedRecords {
  std::vector<mfn_record> records;
  std::deque<std::vector<mfn_kv>> attributes;
  std::deque<std::string> texts;  // stable addresses

  mfn_bytes Keep(mfn_bytes bytes) {
    if (bytes.data == nullptr) return bytes;
    const std::string& text =
        texts.emplace_back(reinterpret_cast<const char*>(bytes.data), bytes.len);
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  }
};

}  // namespace

SharedRecords CopyRecords(absl::Span<const mfn_record> records) {
  auto copied = std::make_shared<CopiedRecords>();
  for (mfn_record record : records) {
    std::vector<mfn_kv>& attributes = copied->attributes.emplace_back();
    for (uint64_t i = 0; i < record.n_attrs; ++i) {
      attributes.push_back(
          {copied->Keep(record.attrs[i].key), copied->Keep(record.attrs[i].value)});
    }
    record.id = copied->Keep(record.id);
    record.key = copied->Keep(record.key);
    record.payload = copied->Keep(record.payload);
    record.attrs = attributes.data();
    copied->records.push_back(record);
  }
  return {copied->records, copied};
}

}  // namespace mfn::registry
