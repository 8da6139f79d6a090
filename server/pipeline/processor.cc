#include "server/pipeline/processor.h"

#include <time.h>

#include <utility>

#include "absl/strings/match.h"
#include "server/pipeline/idempotency.h"

namespace mfn::pipeline {
namespace {

double ThreadSeconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Empty if there is none.
absl::string_view Attribute(const Attributes& attributes, absl::string_view name) {
  for (const auto& [key, value] : attributes) {
    if (absl::EqualsIgnoreCase(key, name)) return value;
  }
  return "";
}

absl::string_view ContentType(const Attributes& attributes) {
  return Attribute(attributes, "content-type");
}

// What an item takes besides its part of the payload, roughly: a list of many small requests weighs
// more than its text.
constexpr uint64_t kItemBytes = 1024;

uint64_t CostOf(const SimulationJob& job) {
  const uint64_t size = static_cast<uint64_t>(job.config.grid_size);
  return size * size * static_cast<uint64_t>(FurtherSteps(job));
}

// What all items of a record share.
void CopyRecord(const mfn_record& record, Item* item) {
  item->record_id = std::string(View(record.id));
  item->has_partition_key = record.key.data != nullptr;
  item->partition_key = std::string(View(record.key));
  item->time_unix_ns = record.time_unix_ns;
  for (uint64_t k = 0; k < record.n_attrs; ++k) {
    item->attributes.emplace_back(View(record.attrs[k].key), View(record.attrs[k].value));
  }
}

}  // namespace

Processor::Processor(ProcessorKind kind, std::string pipeline, std::string source,
                     CodecLimits limits)
    : kind_(kind),
      pipeline_(std::move(pipeline)),
      source_(std::move(source)),
      limits_(std::move(limits)) {}

Intake Processor::Decode(registry::OwnedBatch source) const {
  Intake intake;
  intake.batch = std::make_shared<RecordBatch>();
  intake.batch->lane = source.lane();
  intake.batch->unordered = (source.flags() & MFN_LANE_UNORDERED) != 0;
  intake.batch->source = std::move(source);
  const absl::Span<const mfn_record> records = intake.batch->source.records();
  intake.batch->records.resize(records.size());
  for (size_t r = 0; r < records.size(); ++r) {
    const absl::string_view payload = View(records[r].payload);
    intake.batch->records[r].bytes = payload.size();
    auto item = std::make_shared<Item>();
    CopyRecord(records[r], item.get());
    DecodedPayload decoded;
    const absl::string_view source_error = Attribute(item->attributes, MFN_ATTR_ERROR);
    if (!source_error.empty()) {
      decoded.items.emplace_back();
      decoded.items[0].bytes = payload;
      decoded.items[0].status = FieldError("", "SOURCE_ERROR", source_error);
    } else if (kind_ == ProcessorKind::kSimulate && records[r].payload.data == nullptr) {
      decoded.items.emplace_back();
      decoded.items[0].status = FieldError(
          "", "NO_PAYLOAD", "the source gave no payload: the record was deleted or is too large");
    } else if (kind_ == ProcessorKind::kSimulate) {
      decoded = DecodePayload(payload, ContentType(item->attributes), limits_);
    } else {
      decoded.items.emplace_back();
      decoded.items[0].bytes = payload;
    }
    for (size_t k = 0; k < decoded.items.size(); ++k) {
      if (k > 0) {
        item = std::make_shared<Item>();
        CopyRecord(records[r], item.get());
      }
      item->batch = intake.batch;
      item->record = r;
      item->index = static_cast<int64_t>(k);
      item->bytes = decoded.items[k].bytes;
      item->key = IdempotencyKey(pipeline_, source_, item->record_id, item->index);
      ReadRequest(std::move(decoded.items[k]), item.get());
      RecordBatch::Record& weight = intake.batch->records[r];
      if (k > 0) weight.bytes += kItemBytes;
      if (item->job != nullptr) weight.cost += CostOf(*item->job);
      intake.items.push_back(item);
    }
  }
  return intake;
}

void Processor::DecodeOne(Item* item) const {
  item->bytes = item->storage;
  const absl::string_view source_error = Attribute(item->attributes, MFN_ATTR_ERROR);
  if (!source_error.empty()) {  // what is kept is not what was sent
    item->fault = FieldError("", "SOURCE_ERROR", source_error);
    return;
  }
  if (kind_ == ProcessorKind::kPassthrough) return;
  DecodedPayload decoded = DecodePayload(item->bytes, ContentType(item->attributes), limits_);
  if (decoded.list && decoded.items.size() > 1) {
    item->fault = FieldError("", "NOT_A_REQUEST", "the letter holds a list, not one request");
    return;
  }
  ReadRequest(std::move(decoded.items[0]), item);
}

void Processor::ReadRequest(DecodedItem decoded, Item* item) const {
  item->request_id = decoded.request.request_id();
  item->warnings = std::move(decoded.warnings);
  item->fault = std::move(decoded.status);
  if (!item->fault.ok() || kind_ == ProcessorKind::kPassthrough) return;
  if (decoded.request.include_field() || decoded.request.include_history() ||
      decoded.request.include_snapshot()) {
    item->warnings.push_back(
        "include_field, include_history and include_snapshot have no effect in a pipeline");
  }
  absl::StatusOr<SimulationJob> job = FromProto(decoded.request, limits_);
  if (!job.ok()) {
    item->fault = job.status();
    return;
  }
  if (!job->config.seed) job->config.seed = SeedFromKey(item->key);
  item->job = std::make_unique<SimulationJob>(std::move(*job));
}

absl::Status Processor::Process(Item* item, engine::Simulation* arena, double* cpu_seconds) const {
  if (!item->fault.ok()) return item->fault;
  if (kind_ == ProcessorKind::kPassthrough) {
    item->output.borrowed = true;
    return absl::OkStatus();
  }
  const std::unique_ptr<SimulationJob> job = std::move(item->job);
  engine::RunOptions options = OptionsOf(*job);
  options.arena = arena;
  options.cancel = [item] { return item->returned.load(std::memory_order_relaxed); };
  mfn::v1::SimulationResult result;
  const double begin = ThreadSeconds();
  const absl::StatusOr<engine::RunResult> run = RunJob(*job, options, &result);
  *cpu_seconds += ThreadSeconds() - begin;
  if (!run.ok()) return run.status();
  result.set_request_id(item->request_id);
  result.set_idempotency_key(item->key);
  for (std::string& warning : item->warnings) result.add_warnings(std::move(warning));
  if (run->features) {
    item->output.digest = FeatureDigest(*run->features);
    for (const std::string& warning : engine::FeatureWarnings(*run->features)) {
      result.add_warnings(warning);
    }
  }
  item->output.payload = ToJson(result);
  return absl::OkStatus();
}

}  // namespace mfn::pipeline
