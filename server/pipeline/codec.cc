#include "server/pipeline/codec.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/pipeline/json_reader.h"

namespace mfn::pipeline {
namespace {

static_assert(std::endian::native == std::endian::little, "fields are little-endian bytes");

constexpr absl::string_view kFieldPayload = "mfn.dev/field";
constexpr absl::string_view kReasonPayload = "mfn.dev/reason";
constexpr size_t kMaxRequestId = 256;

absl::Status WithDetails(absl::Status status, absl::string_view field, absl::string_view reason) {
  if (!field.empty()) status.SetPayload(kFieldPayload, absl::Cord(field));
  status.SetPayload(kReasonPayload, absl::Cord(reason));
  return status;
}

absl::string_view ReasonOf(engine::ErrorKind kind) {
  switch (kind) {
    case engine::ErrorKind::kInvalidArgument:
      return "INVALID_VALUE";
    case engine::ErrorKind::kOutOfRange:
      return "OUT_OF_RANGE";
    case engine::ErrorKind::kStability:
      return "UNSTABLE";
    case engine::ErrorKind::kNumericalInstability:
      return "NUMERICAL_INSTABILITY";
    case engine::ErrorKind::kCancelled:
      return "CANCELLED";
    case engine::ErrorKind::kResourceExhausted:
      return "LIMIT_EXCEEDED";
  }
  return "UNKNOWN";
}

std::string PayloadText(const absl::Status& status, absl::string_view url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  return payload ? std::string(*payload) : std::string();
}

bool MayBeJson(absl::string_view content_type) {
  if (content_type.empty()) return true;
  const std::string type = absl::AsciiStrToLower(content_type);
  for (const absl::string_view known :
       {"json", "text/plain", "application/octet-stream", "x-www-form-urlencoded"}) {
    if (absl::StrContains(type, known)) return true;
  }
  return false;
}

DecodedPayload WholeIsBad(absl::string_view payload, absl::Status status) {
  DecodedPayload decoded;
  decoded.items.emplace_back();
  decoded.items[0].bytes = payload;
  decoded.items[0].status = std::move(status);
  return decoded;
}

}  // namespace

absl::Status FieldError(absl::string_view field, absl::string_view reason,
                        absl::string_view message) {
  return WithDetails(absl::InvalidArgumentError(message), field, reason);
}

std::string FieldOf(const absl::Status& status) { return PayloadText(status, kFieldPayload); }

std::string ReasonOf(const absl::Status& status) {
  const std::string reason = PayloadText(status, kReasonPayload);
  return reason.empty() ? absl::StatusCodeToString(status.code()) : reason;
}

absl::Status ToStatus(const engine::Error& error) {
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
  std::string message = error.message;
  if (error.kind == engine::ErrorKind::kNumericalInstability) {
    code = absl::StatusCode::kInternal;
    if (error.step) absl::StrAppend(&message, " (step ", *error.step, ")");
  } else if (error.kind == engine::ErrorKind::kCancelled) {
    code = absl::StatusCode::kCancelled;
  }
  return WithDetails(absl::Status(code, message), error.field, ReasonOf(error.kind));
}

DecodedPayload DecodePayload(absl::string_view payload, absl::string_view content_type,
                             const CodecLimits& limits) {
  if (payload.size() > limits.max_bytes) {
    return WholeIsBad(payload, FieldError("", "PAYLOAD_TOO_LARGE",
                                          absl::StrCat("the payload has ", payload.size(),
                                                       " bytes, at most ", limits.max_bytes, " (",
                                                       limits.max_bytes >> 20, " MiB) are read")));
  }
  if (!MayBeJson(content_type)) {
    return WholeIsBad(
        payload, FieldError("", "NOT_JSON", "the content type is not JSON; send application/json"));
  }
  SplitPayload split = Split(payload, limits);
  if (!split.status.ok()) return WholeIsBad(payload, std::move(split.status));
  DecodedPayload decoded;
  decoded.list = split.list;
  decoded.items.resize(split.items.size());
  for (size_t k = 0; k < split.items.size(); ++k) {
    DecodedItem& item = decoded.items[k];
    item.bytes = split.items[k];
    item.status = ParseRequest(item.bytes, &item.request, &item.warnings);
    if (item.request.request_id().size() <= kMaxRequestId) continue;
    if (item.status.ok()) {
      item.status = FieldError("request_id", "LIMIT_EXCEEDED",
                               absl::StrCat("request_id has ", item.request.request_id().size(),
                                            " bytes, at most ", kMaxRequestId, " are allowed"));
    }
    item.request.clear_request_id();
  }
  return decoded;
}

void ErrorToProto(const absl::Status& status, mfn::v1::SimulationResult* result) {
  result->set_status(mfn::v1::SimulationResult::STATUS_ERROR);
  result->set_engine_revision(kEngineRevision.data(), kEngineRevision.size());
  mfn::v1::SimulationError* error = result->mutable_error();
  error->set_code(absl::StatusCodeToString(status.code()));
  error->set_reason(ReasonOf(status));
  error->set_message(status.message().data(), status.message().size());
  error->set_field(FieldOf(status));
}

}  // namespace mfn::pipeline
