#include "server/rpc/run_stream.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/features.h"
#include "server/engine/run.h"
#include "server/pipeline/codec.h"
#include "server/pipeline/cores_of_process.h"
#include "server/pipeline/field_proto.h"
#include "server/pipeline/simulation_figures.h"
#include "server/rpc/simulation_run.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

using Response = mfn::v1::RunStreamResponse;
using Reactor = grpc::ServerWriteReactor<Response>;
using Arena = pipeline::WorkerPool::Arena;

constexpr int64_t kSliceNanos = 200'000'000;

// What to do, checked.
struct Plan {
  std::string request_id;
  pipeline::SimulationJob job;
  int64_t frame_interval = 0;
  int64_t progress_interval = 0;  // 0: by time
  bool final_frame = false;
  mfn::v1::FieldEncoding encoding = mfn::v1::FIELD_ENCODING_RAW;
  bool snapshot = false;
};

absl::Status CheckInterval(absl::string_view field, int64_t value) {
  constexpr int64_t kMax = std::numeric_limits<uint32_t>::max();
  if (value >= 0 && value <= kMax) return absl::OkStatus();
  return pipeline::FieldError(field, "OUT_OF_RANGE",
                              absl::StrCat(field, " is ", value, ", must be in [0, ", kMax, "]"));
}

absl::StatusOr<Plan> MakePlan(const mfn::v1::RunStreamRequest& request) {
  const mfn::v1::SimulationRequest& simulation = request.simulation();
  Plan plan;
  if (absl::Status s = CheckInterval("frame_interval", request.frame_interval()); !s.ok()) return s;
  if (absl::Status s = CheckInterval("progress_interval", request.progress_interval()); !s.ok()) {
    return s;
  }
  if (absl::Status s = CheckRequestId(simulation); !s.ok()) {
    return WithFieldPrefix(s, "simulation.");
  }
  if (simulation.include_history()) {
    return pipeline::FieldError(
        "simulation.include_history", "INVALID_VALUE",
        "include_history must be absent in a stream; frame_interval 1 sends "
        "the field after every step");
  }
  auto job = pipeline::FromProto(simulation);
  if (!job.ok()) return WithFieldPrefix(job.status(), "simulation.");
  if (job->compat && (request.frame_interval() > 0 || request.progress_interval() > 0)) {
    return pipeline::FieldError("frame_interval", "INVALID_VALUE",
                                "frame_interval and progress_interval must be 0 in "
                                "SIMULATION_MODE_REQUEST_COMPAT, which only has an end");
  }
  plan.request_id = simulation.request_id();
  plan.job = *std::move(job);
  plan.frame_interval = request.frame_interval();
  plan.progress_interval = request.progress_interval();
  plan.final_frame = simulation.include_field() || plan.frame_interval > 0;
  plan.encoding = simulation.field_encoding();
  plan.snapshot = simulation.include_snapshot();
  return plan;
}

// A stream that was refused.
class Refused final : public Reactor {
 public:
  Refused(CallRecord* record, const absl::Status& status) { Finish(record->End(status)); }
  void OnDone() override { delete this; }
};

// Slices and writes alternate, so only one thread is here at any time, OnCancel apart.
class RunStreamCall final : public Reactor {
 public:
  RunStreamCall(CallRunner* calls, grpc::CallbackServerContext* context,
                std::shared_ptr<CallRecord> record, Plan plan,
                MemoryBudget::Reservation reservation)
      : calls_(calls),
        context_(context),
        record_(std::move(record)),
        plan_(std::move(plan)),
        frame_header_(pipeline::FieldHeader(plan_.encoding, plan_.job.config.grid_size)),
        reservation_(std::move(reservation)) {
    cancel_ = source_.token();
  }

  // After this the object may be gone.
  void PushSlice() {
    calls_->PushSimulation([this](Arena& arena) { Slice(arena); });
  }

  void OnWriteDone(bool ok) override {
    calls_->stalls().End(std::exchange(write_, 0));
    if (!ok) {
      Finish(record_->End(absl::CancelledError("the reader is gone")));
      return;
    }
    Next();
  }
  void OnCancel() override { source_.Cancel(); }
  void OnDone() override {
    calls_->stalls().End(write_);
    delete this;
  }

 private:
  void Slice(Arena& arena);
  void GiveBack(Arena& arena);
  absl::Status Compute(Arena& arena);
  absl::Status Begin(Arena& arena);
  absl::Status Start();
  absl::Status StepOn(int64_t slice_start);
  absl::Status RunCompat();
  absl::Status End();
  void TakeSnapshot(engine::RunResult* run, mfn::v1::SimulationResult* result);
  // Whether something must be written after the step just done.
  bool Due(int64_t slice_start);
  bool SliceOver(int64_t slice_start) const;
  // Writes what is due, or computes on.
  void Next();
  void StartFrame() { frame_left_ = frame_header_.size() + field().size_bytes(); }
  void WriteChunk();
  void WriteSnapshotChunk();
  void WriteProgress();
  void Write() {
    write_ = calls_->stalls().Begin(context_);
    StartWrite(&response_);
  }

  std::span<const double> field() const {
    return simulation_ != nullptr ? simulation_->field() : final_field_;
  }

  CallRunner* const calls_;
  grpc::CallbackServerContext* const context_;
  const std::shared_ptr<CallRecord> record_;
  const Plan plan_;
  const std::string frame_header_;  // what comes before the values of a frame
  const MemoryBudget::Reservation reservation_;
  CancellationSource source_;
  Cancellation cancel_;

  bool begun_ = false;
  std::optional<pipeline::SimulationFigures::Run> figures_;
  Arena simulation_;                 // between the first slice and the last
  std::vector<double> final_field_;  // after the last one, if it is to be written
  engine::Counters counters_;        // of what was computed
  int64_t steps_done_ = 0;
  int64_t compute_nanos_ = 0;

  size_t frame_left_ = 0;   // bytes of the current frame that are still to be written
  std::string snapshot_;    // serialized, once there is one
  size_t snapshot_at_ = 0;  // what of it has been written
  bool progress_due_ = false;
  std::optional<mfn::v1::SimulationResult> result_;
  Response response_;   // the write that is under way
  uint64_t write_ = 0;  // its number in the watch
};

void RunStreamCall::Slice(Arena& arena) {
  const LogScope scope(record_->log_fields());
  const int64_t start = calls_->clock()->MonotonicNanos();
  const absl::Status status = WithoutExceptions([this, &arena] { return Compute(arena); });
  if (!status.ok() || result_) GiveBack(arena);
  compute_nanos_ += calls_->clock()->MonotonicNanos() - start;
  if (!status.ok()) {
    Finish(record_->End(status));
    return;
  }
  if (result_) {
    result_->mutable_timing()->set_simulate_ms(static_cast<double>(compute_nanos_) / 1e6);
  }
  Next();
}

// To whichever worker has computed the last slice.
void RunStreamCall::GiveBack(Arena& arena) {
  if (simulation_ == nullptr) return;
  if (simulation_->MemoryBytes() > arena->MemoryBytes()) simulation_.swap(arena);
  simulation_.reset();
}

absl::Status RunStreamCall::Compute(Arena& arena) {
  if (cancel_.cancelled()) return absl::CancelledError("the caller cancelled");
  if (plan_.job.compat) return RunCompat();
  if (!begun_) {
    if (absl::Status s = Begin(arena); !s.ok()) return s;
  }
  const int64_t start = calls_->clock()->MonotonicNanos();
  do {
    if (absl::Status s = StepOn(start); !s.ok()) return s;
  } while (!Due(start));
  return steps_done_ == plan_.job.config.steps ? End() : absl::OkStatus();
}

// With the memory that the worker has used before, unless that is more than the stream may hold
// while its reader takes what time it likes.
absl::Status RunStreamCall::Begin(Arena& arena) {
  begun_ = true;
  figures_.emplace();
  const auto fits = [this](const Arena& a) {
    return static_cast<int64_t>(a->MemoryBytes()) <= reservation_.bytes();
  };
  simulation_ = std::make_unique<engine::Simulation>();
  if (!fits(arena)) return Start();
  simulation_.swap(arena);
  absl::Status started = Start();
  if (!started.ok() || fits(simulation_)) return started;
  // What it has for the other precision is too much beside what it has now.
  simulation_ = std::make_unique<engine::Simulation>();
  return Start();
}

absl::Status RunStreamCall::Start() {
  simulation_->SetCores(&pipeline::CoresOfProcess());
  const engine::RunOptions options = pipeline::OptionsOf(plan_.job);
  const auto reset = options.initial ? simulation_->Reset(plan_.job.config, *options.initial)
                                     : simulation_->Reset(plan_.job.config);
  if (!reset.ok()) return pipeline::ToStatus(reset.error());
  counters_ = simulation_->counters();
  steps_done_ = counters_.steps_computed;
  const int64_t n = plan_.job.config.grid_size;
  engine::FeatureAccumulator& features = simulation_->features();
  const auto ready = plan_.job.resume
                         ? features.Restore(n, plan_.job.features, plan_.job.resume->features,
                                            simulation_->field())
                         : features.Reset(n, plan_.job.features);
  return ready.ok() ? absl::OkStatus() : pipeline::ToStatus(ready.error());
}

// To the next step after which something must be written, or to the end of the slice.
absl::Status RunStreamCall::StepOn(int64_t slice_start) {
  int64_t target = plan_.job.config.steps;
  for (const int64_t interval : {plan_.frame_interval, plan_.progress_interval}) {
    if (interval > 0) target = std::min(target, (steps_done_ / interval + 1) * interval);
  }
  // At least one step, so that nothing is written twice.
  const auto stop = [&, first = true]() mutable {
    return cancel_.cancelled() || (!std::exchange(first, false) && SliceOver(slice_start));
  };
  const auto run = simulation_->Run(target - steps_done_, {}, stop, &simulation_->features());
  counters_ = simulation_->counters();
  steps_done_ = counters_.steps_computed;
  if (cancel_.cancelled()) return absl::CancelledError("the caller cancelled");
  if (run.ok() || run.error().kind == engine::ErrorKind::kCancelled) return absl::OkStatus();
  return pipeline::ToStatus(run.error());
}

bool RunStreamCall::SliceOver(int64_t slice_start) const {
  return calls_->clock()->MonotonicNanos() - slice_start >= kSliceNanos;
}

bool RunStreamCall::Due(int64_t slice_start) {
  const bool last = steps_done_ == plan_.job.config.steps;
  const auto at = [&](int64_t interval) {
    return interval > 0 && (last || steps_done_ % interval == 0);
  };
  if (at(plan_.frame_interval) || (last && plan_.final_frame)) StartFrame();
  const bool long_enough = SliceOver(slice_start);
  progress_due_ = plan_.progress_interval > 0 ? at(plan_.progress_interval) : last || long_enough;
  return last || long_enough || frame_left_ > 0 || progress_due_;
}

absl::Status RunStreamCall::RunCompat() {
  engine::RunOptions options = pipeline::OptionsOf(plan_.job);
  options.cancel = [this] { return cancel_.cancelled(); };
  mfn::v1::SimulationResult result;
  auto run = pipeline::RunJob(plan_.job, options, &result);
  if (!run.ok()) return run.status();
  final_field_ = std::move(run->field);
  if (plan_.final_frame) StartFrame();
  steps_done_ = plan_.job.config.steps;
  result.set_request_id(plan_.request_id);
  if (run->features) AddWarnings(*run->features, &result);
  result_ = std::move(result);
  return absl::OkStatus();
}

absl::Status RunStreamCall::End() {
  const std::span<const double> field = simulation_->field();
  auto features = simulation_->features().Finish(field, [this] { return cancel_.cancelled(); });
  if (!features.ok()) return pipeline::ToStatus(features.error());
  const engine::SimulationConfig& config = plan_.job.config;
  figures_->Done(config.grid_size * config.grid_size * pipeline::FurtherSteps(plan_.job));
  figures_.reset();
  engine::RunResult run;
  run.grid_size = simulation_->grid_size();
  run.seed = *simulation_->config().seed;
  run.counters = simulation_->counters();
  run.statistics = engine::StatisticsOf(field, simulation_->activator(), simulation_->inhibitor());
  run.features = *features;
  mfn::v1::SimulationResult result;
  pipeline::ToProto(plan_.job, run, &result);
  result.set_request_id(plan_.request_id);
  AddWarnings(*features, &result);
  if (plan_.snapshot) TakeSnapshot(&run, &result);
  if (frame_left_ > 0) final_field_.assign(field.begin(), field.end());
  result_ = std::move(result);
  return absl::OkStatus();
}

// Serialized here, because it goes out in parts; `result` is what the stream ends with.
void RunStreamCall::TakeSnapshot(engine::RunResult* run, mfn::v1::SimulationResult* result) {
  const auto copy = [](std::span<const double> from) {
    return std::vector<double>(from.begin(), from.end());
  };
  run->field = copy(simulation_->field());
  run->activator = copy(simulation_->activator());
  run->inhibitor = copy(simulation_->inhibitor());
  run->generator = simulation_->generator();
  run->feature_state = simulation_->features().State();
  pipeline::SnapshotToProto(plan_.job, *run, result);
  snapshot_ = result->snapshot().SerializeAsString();
  result->clear_snapshot();
}

void RunStreamCall::Next() {
  if (frame_left_ > 0) {
    WriteChunk();
  } else if (progress_due_) {
    WriteProgress();
  } else if (snapshot_at_ < snapshot_.size()) {
    WriteSnapshotChunk();
  } else if (result_) {
    *response_.mutable_result() = *std::move(result_);
    write_ = calls_->stalls().Begin(context_);
    StartWriteAndFinish(&response_, grpc::WriteOptions(), record_->End(absl::OkStatus()));
  } else {
    PushSlice();
  }
}

// `size` bytes of `head` followed by `values`, from `offset` on.
void CopyPart(absl::string_view head, std::span<const double> values, size_t offset, size_t size,
              std::string* out) {
  const absl::string_view from_head = head.substr(std::min(offset, head.size()), size);
  const size_t at = offset + from_head.size() - head.size();
  out->reserve(size);
  out->assign(from_head.data(), from_head.size());
  out->append(reinterpret_cast<const char*>(values.data()) + at, size - from_head.size());
}

void RunStreamCall::WriteChunk() {
  const std::span<const double> values = field();
  const size_t offset = frame_header_.size() + values.size_bytes() - frame_left_;
  const size_t bytes = std::min(frame_left_, kChunkBytes);
  const int32_t n = static_cast<int32_t>(plan_.job.config.grid_size);
  mfn::v1::FrameChunk* frame = response_.mutable_frame();
  frame->set_step(static_cast<uint32_t>(steps_done_));
  frame->set_rows(n);
  frame->set_cols(n);
  frame->set_offset(static_cast<int64_t>(offset));
  CopyPart(frame_header_, values, offset, bytes, frame->mutable_data());
  frame_left_ -= bytes;
  frame->set_last(frame_left_ == 0);
  Write();
}

void RunStreamCall::WriteSnapshotChunk() {
  const size_t bytes = std::min(snapshot_.size() - snapshot_at_, kChunkBytes);
  mfn::v1::SnapshotChunk* chunk = response_.mutable_snapshot();
  chunk->set_offset(static_cast<int64_t>(snapshot_at_));
  chunk->set_data(snapshot_.data() + snapshot_at_, bytes);
  snapshot_at_ += bytes;
  chunk->set_last(snapshot_at_ == snapshot_.size());
  Write();
}

void RunStreamCall::WriteProgress() {
  progress_due_ = false;
  mfn::v1::RunProgress* progress = response_.mutable_progress();
  progress->set_steps_computed(static_cast<uint32_t>(steps_done_));
  progress->set_steps(static_cast<uint32_t>(plan_.job.config.steps));
  progress->set_growth_events(static_cast<uint32_t>(counters_.growth_events));
  progress->set_turing_activations(static_cast<uint64_t>(counters_.turing_activations));
  progress->set_clamping_events(static_cast<uint64_t>(counters_.clamping_events));
  Write();
}

// The simulation's six arrays, those of the features, the last frame, one chunk; a snapshot three
// times; and what every simulation has, however small its grid.
int64_t StreamMemory(const mfn::v1::RunStreamRequest& request, int64_t grid_size) {
  constexpr int64_t kEvery = int64_t{192} << 10;
  const int64_t arrays = request.simulation().include_snapshot() ? 21 : 12;
  return arrays * 8 * grid_size * grid_size + kEvery +
         2 * static_cast<int64_t>(request.ByteSizeLong()) +
         2 * std::min(static_cast<int64_t>(kChunkBytes), 8 * grid_size * grid_size);
}

}  // namespace

grpc::ServerWriteReactor<Response>* StartRunStream(CallRunner* calls,
                                                   grpc::CallbackServerContext* context,
                                                   const mfn::v1::RunStreamRequest& request) {
  auto [record, admitted] = calls->Admit(context, "mfn.v1.SimulationService/RunStream");
  if (!admitted.ok()) return new Refused(record.get(), admitted);
  auto plan = MakePlan(request);
  if (!plan.ok()) return new Refused(record.get(), plan.status());
  auto reservation = calls->memory().Reserve(StreamMemory(request, plan->job.config.grid_size));
  if (!reservation.ok()) return new Refused(record.get(), reservation.status());
  auto* call = new RunStreamCall(calls, context, std::move(record), *std::move(plan),
                                 *std::move(reservation));
  call->PushSlice();
  return call;
}

}  // namespace mfn::rpc
