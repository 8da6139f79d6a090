#include "server/rpc/connector_service.h"

#include <grpcpp/grpcpp.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "mfn/plugin.h"
#include "mfn/v1/connector_service.grpc.pb.h"
#include "server/base/log.h"
#include "server/pipeline/codec.h"
#include "server/rpc/proto_read.h"
#include "server/rpc/resource_proto.h"
#include "server/rpc/status.h"
#include "server/rpc/tap_connector.h"

namespace mfn::rpc {
namespace {

constexpr size_t kMaxReplyBytes = size_t{4} << 20;

mfn_bytes Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string Text(const mfn_bytes& bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data), bytes.len);
}

// A message as the ABI's record; borrows the message.
class BorrowedRecord {
 public:
  // The call's own ids go with it unless the record has its own.
  BorrowedRecord(const mfn::v1::Record& from, const CallInfo& call) {
    for (const auto& [key, value] : from.attributes()) {
      attributes_.push_back({Bytes(key), Bytes(value)});
    }
    const auto add = [&](const std::string& key, const std::string& value) {
      if (!value.empty() && !from.attributes().contains(key)) {
        attributes_.push_back({Bytes(key), Bytes(value)});
      }
    };
    static const std::string request_id = "x-request-id", traceparent = "traceparent";
    add(request_id, call.request_id);
    add(traceparent, call.traceparent);
    record_.id = Bytes(from.id());
    record_.key = Bytes(from.key());
    record_.payload = Bytes(from.payload());
    record_.attrs = attributes_.data();
    record_.n_attrs = attributes_.size();
    record_.time_unix_ns = from.has_event_time() ? from.event_time().seconds() * 1'000'000'000 +
                                                       from.event_time().nanos()
                                                 : MFN_TIME_ABSENT;
  }
  const mfn_record& get() const { return record_; }

 private:
  std::vector<mfn_kv> attributes_;
  mfn_record record_ = {};
};

void ToProto(const mfn_record& from, mfn::v1::Record* to) {
  to->set_id(Text(from.id));
  to->set_key(Text(from.key));
  to->set_payload(Text(from.payload));
  for (uint64_t k = 0; k < from.n_attrs; ++k) {
    (*to->mutable_attributes())[Text(from.attrs[k].key)] = Text(from.attrs[k].value);
  }
  if (from.time_unix_ns == MFN_TIME_ABSENT) return;
  to->mutable_event_time()->set_seconds(from.time_unix_ns / 1'000'000'000);
  to->mutable_event_time()->set_nanos(static_cast<int32_t>(from.time_unix_ns % 1'000'000'000));
}

class ConnectorService final : public mfn::v1::ConnectorService::CallbackService {
 public:
  explicit ConnectorService(const ConnectorServiceParts& parts) : parts_(parts) {}

  grpc::ServerUnaryReactor* CreateConnector(grpc::CallbackServerContext* context,
                                            const mfn::v1::CreateConnectorRequest* request,
                                            mfn::v1::Connector* response) override {
    return Mutation(context, "mfn.v1.ConnectorService/CreateConnector", *request, response,
                    [=, this] { return Create(*request, response); });
  }
  grpc::ServerUnaryReactor* GetConnector(grpc::CallbackServerContext* context,
                                         const mfn::v1::GetConnectorRequest* request,
                                         mfn::v1::Connector* response) override {
    return Read(context, "mfn.v1.ConnectorService/GetConnector",
                [=, this] { return Get(*request, response); });
  }
  grpc::ServerUnaryReactor* ListConnectors(grpc::CallbackServerContext* context,
                                           const mfn::v1::ListConnectorsRequest* request,
                                           mfn::v1::ListConnectorsResponse* response) override {
    return Read(context, "mfn.v1.ConnectorService/ListConnectors",
                [=, this] { return List(*request, response); });
  }
  grpc::ServerUnaryReactor* DeleteConnector(grpc::CallbackServerContext* context,
                                            const mfn::v1::DeleteConnectorRequest* request,
                                            mfn::v1::DeleteConnectorResponse* response) override {
    return Mutation(context, "mfn.v1.ConnectorService/DeleteConnector", *request, response,
                    [=, this] { return Delete(*request); });
  }
  grpc::ServerUnaryReactor* CheckConnector(grpc::CallbackServerContext* context,
                                           const mfn::v1::CheckConnectorRequest* request,
                                           mfn::v1::CheckConnectorResponse* response) override {
    return parts_.calls->Unary(
        context, "mfn.v1.ConnectorService/CheckConnector", Lane::kBlocking,
        [=, this](const CallInfo& call) { return Check(*request, call.cancel, response); });
  }
  grpc::ServerUnaryReactor* ExecuteConnector(grpc::CallbackServerContext* context,
                                             const mfn::v1::ExecuteConnectorRequest* request,
                                             mfn::v1::ExecuteConnectorResponse* response) override {
    return parts_.calls->Unary(
        context, "mfn.v1.ConnectorService/ExecuteConnector", Lane::kBlocking,
        [=, this](const CallInfo& call) { return Execute(*request, call, response); },
        2 * static_cast<int64_t>(kMaxReplyBytes));
  }
  grpc::ServerUnaryReactor* ControlBreaker(grpc::CallbackServerContext* context,
                                           const mfn::v1::ControlBreakerRequest* request,
                                           mfn::v1::ControlBreakerResponse* response) override {
    return Mutation(context, "mfn.v1.ConnectorService/ControlBreaker", *request, response,
                    [=, this] { return Control(*request, response); });
  }

  grpc::ServerWriteReactor<mfn::v1::TapConnectorResponse>* TapConnector(
      grpc::CallbackServerContext* context, const mfn::v1::TapConnectorRequest* request) override {
    auto arrival = parts_.calls->Admit(context, "mfn.v1.ConnectorService/TapConnector");
    const absl::StatusOr<std::shared_ptr<registry::Instance>> instance =
        arrival.admitted.ok() ? Running(request->name()) : arrival.admitted;
    return StartTapConnector(parts_.calls, parts_.streams, instance, std::move(arrival), context,
                             *request);
  }

 private:
  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* context, absl::string_view method,
                                 std::function<absl::Status()> read) {
    return parts_.calls->Unary(context, method, Lane::kBlocking,
                               [read = std::move(read)](const CallInfo&) { return read(); });
  }
  template <typename Request>
  grpc::ServerUnaryReactor* Mutation(grpc::CallbackServerContext* context, absl::string_view method,
                                     const Request& request, google::protobuf::Message* response,
                                     std::function<absl::Status()> mutate) {
    return parts_.calls->Unary(
        context, method, Lane::kBlocking,
        [this, method, &request, response, mutate = std::move(mutate)](const CallInfo& call) {
          return parts_.requests->Once(call.caller, method, request.request_id(), request, response,
                                       mutate);
        });
  }

  void Describe(const ConnectorEntry& entry, mfn::v1::Connector* out) const {
    rpc::ToProto(entry.config, parts_.registry->Redacted(entry.config), out);
    out->set_etag(entry.etag);
    out->set_origin(entry.from_file ? mfn::v1::ORIGIN_FILE : mfn::v1::ORIGIN_RPC);
    const auto instance = parts_.registry->Find(entry.config.name);
    if (instance != nullptr) rpc::ToProto(instance->status(), out->mutable_status());
  }

  absl::Status Create(const mfn::v1::CreateConnectorRequest& request, mfn::v1::Connector* out) {
    auto config = ConnectorFromProto(request.connector_id(), request.connector());
    if (!config.ok()) return config.status();
    auto entry = parts_.catalogue->CreateConnector(
        *config, BodyOf(request.connector_id(), request.connector()));
    if (!entry.ok()) return FromRegistry(entry.status());
    Describe(*entry, out);
    return absl::OkStatus();
  }

  // The registry knows no fields of messages: what it refuses is the type, or the component's own
  // configuration, whose place its message names as a JSON pointer.
  static absl::Status FromRegistry(const absl::Status& status) {
    if (absl::IsNotFound(status)) {
      return pipeline::FieldError("connector.type", "UNKNOWN_TYPE", status.message());
    }
    if (!absl::IsInvalidArgument(status) || !pipeline::FieldOf(status).empty()) return status;
    return pipeline::FieldError("connector.config_data", "INVALID_CONFIG", status.message());
  }

  absl::Status Get(const mfn::v1::GetConnectorRequest& request, mfn::v1::Connector* out) const {
    auto id = ReadName(request.name(), "connectors", "name");
    if (!id.ok()) return id.status();
    auto entry = parts_.catalogue->GetConnector(*id);
    if (!entry.ok()) return entry.status();
    Describe(*entry, out);
    return absl::OkStatus();
  }

  absl::Status List(const mfn::v1::ListConnectorsRequest& request,
                    mfn::v1::ListConnectorsResponse* out) const {
    auto page = ReadPage(request.page_size(), request.page_token());
    if (!page.ok()) return page.status();
    std::string last;
    for (const ConnectorEntry& entry : parts_.catalogue->ListConnectors()) {
      if (entry.config.name <= page->after) continue;
      if (static_cast<size_t>(out->connectors_size()) == page->size) {
        out->set_next_page_token(PageToken(last));
        return absl::OkStatus();
      }
      Describe(entry, out->add_connectors());
      last = entry.config.name;
    }
    return absl::OkStatus();
  }

  absl::Status Delete(const mfn::v1::DeleteConnectorRequest& request) {
    auto id = ReadName(request.name(), "connectors", "name");
    if (!id.ok()) return id.status();
    return parts_.catalogue->DeleteConnector(*id, request.etag(), parts_.close_bound);
  }

  // The running instance; FAILED_PRECONDITION if it is disabled.
  absl::StatusOr<std::shared_ptr<registry::Instance>> Running(const std::string& name) const {
    auto id = ReadName(name, "connectors", "name");
    if (!id.ok()) return id.status();
    auto entry = parts_.catalogue->GetConnector(*id);
    if (!entry.ok()) return entry.status();
    auto instance = parts_.registry->Find(*id);
    if (instance != nullptr) return instance;
    return Error(absl::StatusCode::kFailedPrecondition, "CONNECTOR_DISABLED",
                 absl::StrCat(name, " is not enabled in the configuration file"), {{"name", name}});
  }

  absl::Status Check(const mfn::v1::CheckConnectorRequest& request, const Cancellation& cancel,
                     mfn::v1::CheckConnectorResponse* out) const {
    auto instance = Running(request.name());
    if (!instance.ok()) return instance.status();
    const int64_t start = parts_.calls->clock()->MonotonicNanos();
    const absl::Status status = (*instance)->Check(cancel);
    SetDuration(absl::Nanoseconds(parts_.calls->clock()->MonotonicNanos() - start),
                out->mutable_elapsed());
    out->set_healthy(status.ok());
    out->set_message(std::string(status.message()));
    rpc::ToProto((*instance)->status(), out->mutable_status());
    return absl::OkStatus();
  }

  absl::Status Execute(const mfn::v1::ExecuteConnectorRequest& request, const CallInfo& call,
                       mfn::v1::ExecuteConnectorResponse* out) const {
    auto instance = Running(request.name());
    if (!instance.ok()) return instance.status();
    if (!request.has_record()) {
      return pipeline::FieldError("record", "REQUIRED", "record must be given");
    }
    if (!(*instance)->has_executor()) {
      return Error(absl::StatusCode::kFailedPrecondition, "NO_EXECUTOR",
                   absl::StrCat(request.name(), " is of type \"", (*instance)->config().type,
                                "\", which cannot execute requests"),
                   {{"name", request.name()}});
    }
    const BorrowedRecord record(request.record(), call);
    const registry::ReadResult result = (*instance)->Execute(
        registry::CopyRecords({&record.get(), 1}), request.idempotent(), call.cancel);
    if (!result.failure.ok()) return FromFailure(result.failure, (*instance)->name());
    for (const mfn_record& one : result.batch.records()) {
      ToProto(one, out->add_records());
      if (out->ByteSizeLong() <= kMaxReplyBytes) continue;
      return Error(absl::StatusCode::kOutOfRange, "REPLY_TOO_LARGE",
                   absl::StrCat("the answer takes more than ", kMaxReplyBytes, " bytes"));
    }
    return absl::OkStatus();
  }

  absl::Status Control(const mfn::v1::ControlBreakerRequest& request,
                       mfn::v1::ControlBreakerResponse* out) const {
    if (request.action() <= 0 || request.action() > mfn::v1::ControlBreakerRequest::Action_MAX) {
      return pipeline::FieldError(
          "action", "REQUIRED", "action must be ACTION_FORCE_OPEN, ACTION_DISABLE or ACTION_RESET");
    }
    auto instance = Running(request.name());
    if (!instance.ok()) return instance.status();
    // The enums count alike, the messages' from 1.
    (*instance)->ControlBreaker(
        static_cast<registry::BreakerAction>(static_cast<int>(request.action()) - 1));
    Log(LogLevel::kInfo, "rpc", "an operator controls a circuit breaker",
        {{"instance", (*instance)->name()},
         {"action", mfn::v1::ControlBreakerRequest::Action_Name(request.action())}});
    rpc::ToProto((*instance)->status(), out->mutable_status());
    return absl::OkStatus();
  }

  static absl::Status FromFailure(const registry::Failure& failure, const std::string& name) {
    const absl::Status status = registry::ToStatus(failure, name);
    const Metadata metadata = {{"name", absl::StrCat("connectors/", name)},
                               {"attempts", absl::StrCat(failure.attempts)},
                               {"field", failure.field}};
    const std::string reason = failure.reason.empty() ? "CONNECTOR_FAILED" : failure.reason;
    if (failure.retry_after <= absl::ZeroDuration()) {
      return Error(status.code(), reason, status.message(), metadata);
    }
    return RetryLater(status.code(), reason, status.message(), failure.retry_after, metadata);
  }

  const ConnectorServiceParts parts_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeConnectorService(const ConnectorServiceParts& parts) {
  return std::make_unique<ConnectorService>(parts);
}

}  // namespace mfn::rpc
