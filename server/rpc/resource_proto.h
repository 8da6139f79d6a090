// Between the messages of resources (Connector, Pipeline) and the plain values that the server runs
// on. Reading applies defaults and checks every bound: what comes back is a valid configuration, as
// from the file. Errors are INVALID_ARGUMENT and name the field ("connector.timeout"). Pure.
#ifndef MFN_SERVER_RPC_RESOURCE_PROTO_H_
#define MFN_SERVER_RPC_RESOURCE_PROTO_H_

#include <string>

#include "absl/status/statusor.h"
#include "mfn/v1/connector.pb.h"
#include "mfn/v1/pipeline.pb.h"
#include "server/base/config.h"
#include "server/pipeline/pipeline.h"
#include "server/registry/instance.h"

namespace mfn::rpc {

absl::StatusOr<InstanceConfig> ConnectorFromProto(const std::string& id,
                                                  const mfn::v1::Connector& connector);
absl::StatusOr<PipelineConfig> PipelineFromProto(const std::string& id,
                                                 const mfn::v1::Pipeline& pipeline);

// What the store keeps: the message as it came, with its name. It may hold secrets.
std::string BodyOf(const std::string& id, mfn::v1::Connector connector);
std::string BodyOf(const std::string& id, mfn::v1::Pipeline pipeline);
absl::StatusOr<InstanceConfig> ConnectorFromBody(const std::string& body);
absl::StatusOr<PipelineConfig> PipelineFromBody(const std::string& body);

// `redacted_json` is Registry::Redacted of the configuration.
void ToProto(const InstanceConfig& config, const std::string& redacted_json,
             mfn::v1::Connector* out);
void ToProto(const PipelineConfig& config, mfn::v1::Pipeline* out);
void ToProto(const registry::InstanceStatus& status, mfn::v1::ConnectorStatus* out);
void ToProto(const pipeline::PipelineStatus& status, mfn::v1::PipelineStatus* out);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_RESOURCE_PROTO_H_
