#include "server/rpc/analysis_service.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <span>
#include <vector>

#include "absl/strings/str_cat.h"
#include "mfn/v1/analysis_service.grpc.pb.h"
#include "server/engine/boxcount.h"
#include "server/engine/math/ifs.h"
#include "server/engine/math/krum.h"
#include "server/engine/math/nernst.h"
#include "server/engine/math/stdp.h"
#include "server/engine/rng.h"
#include "server/pipeline/codec.h"
#include "server/pipeline/field_proto.h"
#include "server/rpc/proto_read.h"
#include "server/rpc/simulation_run.h"

namespace mfn::rpc {
namespace {

using pipeline::FieldError;

constexpr double kHuge = 1e300;
constexpr double kTiny = 1e-300;

absl::Status Required(bool present, absl::string_view field) {
  if (present) return absl::OkStatus();
  return FieldError(field, "REQUIRED", absl::StrCat(field, " must be given"));
}

absl::Status Nernst(const mfn::v1::ComputeNernstRequest& request,
                    mfn::v1::ComputeNernstResponse* response) {
  const int z = request.has_z_valence() ? request.z_valence() : 1;
  const double kelvin =
      request.has_temperature_k() ? request.temperature_k() : engine::kDefaultTemperatureK;
  const double out = request.concentration_out_molar();
  const double in = request.concentration_in_molar();
  for (const absl::Status& s :
       {Required(request.has_concentration_out_molar(), "concentration_out_molar"),
        Required(request.has_concentration_in_molar(), "concentration_in_molar"),
        CheckRange("z_valence", z, -100, 100),
        CheckRange("concentration_out_molar", out, kTiny, kHuge),
        CheckRange("concentration_in_molar", in, kTiny, kHuge),
        CheckRange("temperature_k", kelvin, kTiny, kHuge)}) {
    if (!s.ok()) return s;
  }
  if (z == 0) return FieldError("z_valence", "OUT_OF_RANGE", "z_valence is 0, must not be 0");
  auto potential = engine::NernstPotential(z, out, in, kelvin);
  if (!potential.ok()) return pipeline::ToStatus(potential.error());
  response->set_potential_v(*potential);
  response->set_potential_mv(*potential * 1000.0);
  return absl::OkStatus();
}

absl::Status Ifs(const mfn::v1::GenerateIfsRequest& request, const Cancellation& cancel,
                 mfn::v1::GenerateIfsResponse* response) {
  engine::IfsOptions options;
  if (request.has_num_points()) options.num_points = request.num_points();
  if (request.has_num_transforms()) options.num_transforms = request.num_transforms();
  options.keep_points = request.include_points();
  const double most =
      request.include_points() ? kMaxReplyFieldBytes / 16 : double{engine::kMaxIfsPoints};
  if (absl::Status s = CheckRange("num_points", static_cast<double>(options.num_points), 1, most);
      !s.ok()) {
    return s;
  }
  auto seed = ReadSeed(request.has_seed(), request.seed(), request.wide_seed());
  if (!seed.ok()) return seed.status();
  engine::Generator generator(*seed);
  auto ifs = engine::RunIfs(generator, options, [&] { return cancel.cancelled(); });
  if (!ifs.ok()) return pipeline::ToStatus(ifs.error());
  response->set_lyapunov_exponent(ifs->lyapunov_exponent);
  response->set_max_abs_coordinate(ifs->max_abs_coordinate);
  response->set_seed(seed->ToString());
  for (const engine::IfsTransform& from : ifs->transforms) {
    mfn::v1::AffineTransform* to = response->add_transforms();
    to->set_a(from.a);
    to->set_b(from.b);
    to->set_c(from.c);
    to->set_d(from.d);
    to->set_e(from.e);
    to->set_f(from.f);
  }
  if (request.include_points()) SetBytes(ifs->points, response->mutable_points());
  return absl::OkStatus();
}

absl::Status BoxDimension(const mfn::v1::ComputeBoxDimensionRequest& request,
                          const Cancellation& cancel,
                          mfn::v1::ComputeBoxDimensionResponse* response) {
  pipeline::FieldData field;
  if (absl::Status s = Required(request.has_field(), "field"); !s.ok()) return s;
  if (absl::Status s = pipeline::ReadField(request.field(), "field", &field); !s.ok()) return s;
  const double threshold = request.has_threshold_v() ? request.threshold_v() : -0.060;
  if (absl::Status s = CheckRange("threshold_v", threshold, -kHuge, kHuge); !s.ok()) return s;
  engine::BoxSizeRule rule;
  if (request.has_min_box_size()) rule.min_box_size = request.min_box_size();
  if (request.has_num_scales()) rule.num_scales = request.num_scales();
  if (request.has_max_box_size()) {
    if (absl::Status s = CheckRange("max_box_size", request.max_box_size(), 1, 1e9); !s.ok()) {
      return s;
    }
    rule.max_box_size = request.max_box_size();
  }
  const std::vector<uint8_t> active = engine::ActiveCells(field.values, threshold);
  auto fit =
      engine::FeatureBoxDimension({active, field.n}, rule, [&] { return cancel.cancelled(); });
  if (!fit.ok()) return pipeline::ToStatus(fit.error());
  response->set_dimension(fit->dimension);
  response->set_r_squared(fit->r2);
  response->set_active_cells(
      std::count_if(active.begin(), active.end(), [](uint8_t c) { return c != 0; }));
  return absl::OkStatus();
}

using Rows = google::protobuf::RepeatedPtrField<mfn::v1::Vector>;

// Rows of equal length, at least 1, as one array.
absl::Status Flatten(const Rows& rows, absl::string_view field, std::vector<double>* out,
                     size_t* columns) {
  if (rows.empty() || rows[0].values().empty()) {
    return FieldError(field, "REQUIRED", absl::StrCat(field, " needs at least one row of numbers"));
  }
  *columns = static_cast<size_t>(rows[0].values_size());
  for (int k = 0; k < rows.size(); ++k) {
    if (static_cast<size_t>(rows[k].values_size()) == *columns) {
      out->insert(out->end(), rows[k].values().begin(), rows[k].values().end());
      continue;
    }
    const std::string row = absl::StrCat(field, "[", k, "]");
    return FieldError(row, "WRONG_SIZE",
                      absl::StrCat(row, " has ", rows[k].values_size(), " numbers, must have ",
                                   *columns, " as the first row"));
  }
  return absl::OkStatus();
}

absl::Status Stdp(const mfn::v1::ComputeStdpRequest& request, const Cancellation& cancel,
                  mfn::v1::ComputeStdpResponse* response) {
  constexpr size_t kMaxWeights = kMaxReplyFieldBytes / sizeof(double);
  std::vector<double> pre, post;
  engine::StdpSpikes spikes;
  for (const absl::Status& s :
       {Flatten(request.pre_times(), "pre_times", &pre, &spikes.n_pre),
        Flatten(request.post_times(), "post_times", &post, &spikes.n_post)}) {
    if (!s.ok()) return s;
  }
  if (request.pre_times_size() != request.post_times_size()) {
    return FieldError("post_times", "WRONG_SIZE",
                      absl::StrCat("post_times has ", request.post_times_size(),
                                   " rows, must have ", request.pre_times_size(), " as pre_times"));
  }
  if (spikes.n_pre > kMaxWeights / spikes.n_post) {
    return FieldError(
        "pre_times", "LIMIT_EXCEEDED",
        absl::StrCat(spikes.n_pre, " x ", spikes.n_post,
                     " weight changes do not fit into a reply, at most ", kMaxWeights, " do"));
  }
  spikes.pre = pre;
  spikes.post = post;
  spikes.batch = static_cast<size_t>(request.pre_times_size());
  engine::StdpParams params;
  if (request.has_tau_plus()) params.tau_plus = request.tau_plus();
  if (request.has_tau_minus()) params.tau_minus = request.tau_minus();
  if (request.has_a_plus()) params.a_plus = request.a_plus();
  if (request.has_a_minus()) params.a_minus = request.a_minus();
  auto changes = engine::StdpWeightChange(params, spikes, [&] { return cancel.cancelled(); });
  if (!changes.ok()) return pipeline::ToStatus(changes.error());
  for (size_t row = 0; row < spikes.n_pre; ++row) {
    const auto begin = changes->begin() + static_cast<ptrdiff_t>(row * spikes.n_post);
    auto* values = response->add_weight_changes()->mutable_values();
    values->Add(begin, begin + static_cast<ptrdiff_t>(spikes.n_post));
  }
  return absl::OkStatus();
}

absl::Status Aggregate(const mfn::v1::AggregateGradientsRequest& request,
                       const Cancellation& cancel, mfn::v1::AggregateGradientsResponse* response) {
  engine::KrumParams params;
  params.num_clusters = request.has_num_clusters() ? request.num_clusters() : 10;
  if (request.has_byzantine_fraction()) params.byzantine_fraction = request.byzantine_fraction();
  if (absl::Status s =
          CheckRange("num_clusters", static_cast<double>(params.num_clusters), 1, 1000);
      !s.ok()) {
    return s;
  }
  if (request.gradients().empty()) {
    return FieldError("gradients", "REQUIRED", "gradients needs at least one gradient");
  }
  std::vector<std::span<const double>> gradients;
  gradients.reserve(static_cast<size_t>(request.gradients_size()));
  for (const mfn::v1::Vector& gradient : request.gradients()) {
    gradients.emplace_back(gradient.values().data(), static_cast<size_t>(gradient.values_size()));
  }
  // The reference starts from the same seed on every call.
  engine::Generator generator{engine::Seed(engine::kKrumDefaultSeed)};
  auto joined = engine::AggregateGradientsFloat32(params, gradients, generator,
                                                  [&] { return cancel.cancelled(); });
  if (!joined.ok()) return pipeline::ToStatus(joined.error());
  response->mutable_values()->Add(joined->begin(), joined->end());
  response->set_num_input_gradients(request.gradients_size());
  return absl::OkStatus();
}

class AnalysisService final : public mfn::v1::AnalysisService::CallbackService {
 public:
  explicit AnalysisService(CallRunner* calls) : calls_(calls) {}

  grpc::ServerUnaryReactor* ComputeNernst(grpc::CallbackServerContext* context,
                                          const mfn::v1::ComputeNernstRequest* request,
                                          mfn::v1::ComputeNernstResponse* response) override {
    return calls_->Unary(context, "mfn.v1.AnalysisService/ComputeNernst", Lane::kInline,
                         [=](const CallInfo&) { return Nernst(*request, response); });
  }
  grpc::ServerUnaryReactor* GenerateIfs(grpc::CallbackServerContext* context,
                                        const mfn::v1::GenerateIfsRequest* request,
                                        mfn::v1::GenerateIfsResponse* response) override {
    return calls_->Unary(
        context, "mfn.v1.AnalysisService/GenerateIfs", Lane::kSimulation,
        [=](const CallInfo& call) { return Ifs(*request, call.cancel, response); },
        request->include_points() ? 3 * kMaxReplyFieldBytes : 65536);
  }
  grpc::ServerUnaryReactor* ComputeBoxDimension(
      grpc::CallbackServerContext* context, const mfn::v1::ComputeBoxDimensionRequest* request,
      mfn::v1::ComputeBoxDimensionResponse* response) override {
    return Heavy(context, "mfn.v1.AnalysisService/ComputeBoxDimension", request, response,
                 BoxDimension);
  }
  grpc::ServerUnaryReactor* ComputeStdp(grpc::CallbackServerContext* context,
                                        const mfn::v1::ComputeStdpRequest* request,
                                        mfn::v1::ComputeStdpResponse* response) override {
    return Heavy(context, "mfn.v1.AnalysisService/ComputeStdp", request, response, Stdp);
  }
  grpc::ServerUnaryReactor* AggregateGradients(
      grpc::CallbackServerContext* context, const mfn::v1::AggregateGradientsRequest* request,
      mfn::v1::AggregateGradientsResponse* response) override {
    return Heavy(context, "mfn.v1.AnalysisService/AggregateGradients", request, response,
                 Aggregate);
  }

 private:
  // Something whose memory is a small multiple of the request's.
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Heavy(grpc::CallbackServerContext* context, absl::string_view method,
                                  const Request* request, Response* response,
                                  absl::Status (*compute)(const Request&, const Cancellation&,
                                                          Response*)) {
    return calls_->Unary(
        context, method, Lane::kSimulation,
        [=](const CallInfo& call) { return compute(*request, call.cancel, response); },
        4 * static_cast<int64_t>(request->ByteSizeLong()) + 2 * kMaxReplyFieldBytes);
  }

  CallRunner* const calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAnalysisService(CallRunner* calls) {
  return std::make_unique<AnalysisService>(calls);
}

}  // namespace mfn::rpc
