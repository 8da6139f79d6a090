#include "server/pipeline/kinetics_proto.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/engine/kinetics.h"
#include "server/engine/presets.h"
#include "server/engine/stability.h"
#include "server/pipeline/codec.h"

namespace mfn::pipeline {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using mfn::v1::SimulationRequest;

absl::string_view NameOf(const engine::Kinetics& kinetics) {
  const std::string_view name = engine::KineticsName(kinetics);
  return {name.data(), name.size()};
}

absl::Status NoSuchPreset(const std::string& name) {
  const auto append = [](std::string* out, const engine::Preset& preset) {
    out->append(preset.name);
  };
  return FieldError(
      "pattern_preset", "INVALID_VALUE",
      absl::StrCat("pattern_preset is \"", absl::CHexEscape(name.substr(0, 64)),
                   "\", must be one of ", absl::StrJoin(engine::Presets(), ", ", append)));
}

// With default parameters.
engine::Kinetics ModelOf(const mfn::v1::Kinetics& from) {
  switch (from.model_case()) {
    case mfn::v1::Kinetics::kGrayScott:
      return engine::GrayScott{};
    case mfn::v1::Kinetics::kSchnakenberg:
      return engine::Schnakenberg{};
    case mfn::v1::Kinetics::kGiererMeinhardt:
      return engine::GiererMeinhardt{};
    case mfn::v1::Kinetics::kFitzhughNagumo:
      return engine::FitzHughNagumo{};
    case mfn::v1::Kinetics::kBrusselator:
      return engine::Brusselator{};
    case mfn::v1::Kinetics::MODEL_NOT_SET:
      break;
  }
  return engine::Mfn{};
}

// The field of the oneof that belongs to these kinetics; null for the reference's.
const FieldDescriptor* FieldFor(const engine::Kinetics& kinetics) {
  return mfn::v1::Kinetics::descriptor()->FindFieldByName(std::string(NameOf(kinetics)));
}

const FieldDescriptor& ParameterField(const Message& model, const engine::Parameter& parameter) {
  return *model.GetDescriptor()->FindFieldByName(std::string(parameter.name));
}

void ReadParameters(const mfn::v1::Kinetics& from, engine::Kinetics* to) {
  const Message& model = from.GetReflection()->GetMessage(from, FieldFor(*to));
  for (const engine::Parameter& parameter : engine::ParametersOf(to)) {
    const FieldDescriptor& field = ParameterField(model, parameter);
    if (!model.GetReflection()->HasField(model, &field)) continue;
    *parameter.value = model.GetReflection()->GetDouble(model, &field);
  }
}

absl::Status CheckNoRates(const SimulationRequest& request, const engine::Kinetics& kinetics) {
  const std::pair<const char*, bool> present[] = {{"d_activator", request.has_d_activator()},
                                                  {"d_inhibitor", request.has_d_inhibitor()},
                                                  {"r_activator", request.has_r_activator()},
                                                  {"r_inhibitor", request.has_r_inhibitor()}};
  for (const auto& [field, is_present] : present) {
    if (!is_present) continue;
    return FieldError(field, "INVALID_VALUE",
                      absl::StrCat(field, " must be absent with ", NameOf(kinetics),
                                   ", whose parameters are in kinetics.", NameOf(kinetics)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<engine::SimulationConfig> ReadKinetics(const SimulationRequest& request) {
  engine::SimulationConfig config;
  const bool has_model = request.kinetics().model_case() != mfn::v1::Kinetics::MODEL_NOT_SET;
  if (has_model) {
    config.kinetics = ModelOf(request.kinetics());
    config.turing_threshold = engine::DefaultThreshold(config.kinetics);
    config.time_step = engine::DefaultTimeStep(config.kinetics);
  }
  if (!request.pattern_preset().empty()) {
    const engine::Preset* preset = engine::FindPreset(request.pattern_preset());
    if (preset == nullptr) return NoSuchPreset(request.pattern_preset());
    if (has_model && config.kinetics.index() != preset->config.kinetics.index()) {
      return FieldError(
          "kinetics", "INVALID_VALUE",
          absl::StrCat("kinetics is ", NameOf(config.kinetics), ", but pattern_preset \"",
                       request.pattern_preset(), "\" is ", NameOf(preset->config.kinetics)));
    }
    config = preset->config;
  }
  if (has_model) ReadParameters(request.kinetics(), &config.kinetics);
  if (!std::holds_alternative<engine::Mfn>(config.kinetics)) {
    if (absl::Status s = CheckNoRates(request, config.kinetics); !s.ok()) return s;
  }
  if (request.has_time_step()) config.time_step = request.time_step();
  if (request.has_spacing()) config.spacing = request.spacing();
  return config;
}

void KineticsToProto(const engine::SimulationConfig& from, mfn::v1::SimulationConfig* to) {
  to->set_time_step(from.time_step);
  to->set_spacing(from.spacing);
  if (std::holds_alternative<engine::Mfn>(from.kinetics)) {
    to->set_d_activator(from.d_activator);
    to->set_d_inhibitor(from.d_inhibitor);
    to->set_r_activator(from.r_activator);
    to->set_r_inhibitor(from.r_inhibitor);
    return;
  }
  engine::Kinetics kinetics = from.kinetics;
  mfn::v1::Kinetics* out = to->mutable_kinetics();
  Message* model = out->GetReflection()->MutableMessage(out, FieldFor(kinetics));
  for (const engine::Parameter& parameter : engine::ParametersOf(&kinetics)) {
    model->GetReflection()->SetDouble(model, &ParameterField(*model, parameter), *parameter.value);
  }
}

std::string UniformityWarning(const engine::SimulationConfig& config) {
  if (!config.turing_enabled || std::holds_alternative<engine::Mfn>(config.kinetics) ||
      std::holds_alternative<engine::GrayScott>(config.kinetics)) {
    return "";
  }
  const bool grows =
      engine::GrowthAt(config, 0.0).real() > 0.0 || engine::FastestGrowth(config).rate > 0.0;
  if (grows) return "";
  return absl::StrCat("no wave grows on the steady state of ", NameOf(config.kinetics),
                      " with these parameters: small disturbances die out");
}

}  // namespace mfn::pipeline
