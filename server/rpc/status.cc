#include "server/rpc/status.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>

#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "server/pipeline/codec.h"

namespace mfn::rpc {
namespace {

constexpr absl::string_view kErrorInfoUrl = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr absl::string_view kRetryInfoUrl = "type.googleapis.com/google.rpc.RetryInfo";
// gRPC refuses headers past 8 KiB; base64 takes a third more.
constexpr size_t kMaxDetailBytes = 5000;
constexpr size_t kMaxMessageBytes = 1500;

template <typename Message>
std::optional<Message> Payload(const absl::Status& status, absl::string_view url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  Message message;
  if (!payload || !message.ParseFromString(std::string(*payload))) return std::nullopt;
  return message;
}

google::rpc::ErrorInfo InfoOf(const absl::Status& status) {
  if (auto info = Payload<google::rpc::ErrorInfo>(status, kErrorInfoUrl)) return *info;
  google::rpc::ErrorInfo info;
  info.set_reason(pipeline::ReasonOf(status));
  info.set_domain(std::string(kErrorDomain));
  return info;
}

// Cut at the start of a character, so that the text stays UTF-8.
std::string Shortened(absl::string_view text) {
  if (text.size() <= kMaxMessageBytes) return std::string(text);
  size_t end = kMaxMessageBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return absl::StrCat(text.substr(0, end), "...");
}

void Add(const google::protobuf::Message& detail, google::rpc::Status* status) {
  status->add_details()->PackFrom(detail);
  if (status->ByteSizeLong() > kMaxDetailBytes) status->mutable_details()->RemoveLast();
}

}  // namespace

std::string ReasonOf(const absl::Status& status) { return InfoOf(status).reason(); }

absl::Status Error(absl::StatusCode code, absl::string_view reason, absl::string_view message,
                   Metadata metadata) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(std::string(kErrorDomain));
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[std::string(key)] = value;
  absl::Status status(code, message);
  status.SetPayload(kErrorInfoUrl, absl::Cord(info.SerializeAsString()));
  return status;
}

absl::Status RetryLater(absl::StatusCode code, absl::string_view reason, absl::string_view message,
                        absl::Duration delay, Metadata metadata) {
  absl::Status status = Error(code, reason, message, metadata);
  google::rpc::RetryInfo retry;
  const int64_t nanos = absl::ToInt64Nanoseconds(delay);
  retry.mutable_retry_delay()->set_seconds(nanos / 1'000'000'000);
  retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  status.SetPayload(kRetryInfoUrl, absl::Cord(retry.SerializeAsString()));
  return status;
}

absl::Status WithFieldPrefix(const absl::Status& status, absl::string_view prefix) {
  const std::string field = pipeline::FieldOf(status);
  if (status.ok() || field.empty()) return status;
  return pipeline::FieldError(absl::StrCat(prefix, field), pipeline::ReasonOf(status),
                              status.message());
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status detailed;
  detailed.set_code(static_cast<int>(status.code()));
  detailed.set_message(Shortened(status.message()));
  Add(InfoOf(status), &detailed);
  if (const std::string field = pipeline::FieldOf(status); !field.empty()) {
    google::rpc::BadRequest bad;
    auto* violation = bad.add_field_violations();
    violation->set_field(field);
    violation->set_description(detailed.message());
    Add(bad, &detailed);
  }
  if (auto retry = Payload<google::rpc::RetryInfo>(status, kRetryInfoUrl)) Add(*retry, &detailed);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), detailed.message(),
                      detailed.SerializeAsString());
}

}  // namespace mfn::rpc
