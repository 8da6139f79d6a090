#include "server/pipeline/manager.h"

#include <map>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/base/mutex.h"
#include "server/pipeline/codec.h"
#include "server/pipeline/retention.h"
#include "server/pipeline/runner.h"
#include "server/pipeline/worker_pool.h"
#include "server/registry/registry.h"
#include "server/store/dead_letter_store.h"
#include "server/store/store.h"

namespace mfn::pipeline {
namespace {

absl::Status NotFound(absl::string_view name) {
  return absl::NotFoundError(absl::StrCat("no pipeline \"", name, "\""));
}

class Manager final : public PipelineManager {
 public:
  Manager(const Options& options, const Tuning& tuning)
      : options_(options),
        tuning_(tuning),
        pool_(options.max_workers),
        retention_(std::make_unique<RetentionSweeper>(MakeRetention())) {}
  ~Manager() override { Shutdown(); }

  absl::Status Validate(const PipelineConfig& config) const override {
    MutexLock lock(&mutex_);
    return Check(config);
  }
  absl::Status Create(const PipelineConfig& config) override;
  absl::Status Start(absl::string_view name) override;
  absl::Status Pause(absl::string_view name) override;
  absl::Status Drain(absl::string_view name, absl::Duration bound) override;
  absl::Status Delete(absl::string_view name) override;
  absl::StatusOr<PipelineConfig> Get(absl::string_view name) const override;
  absl::StatusOr<PipelineStatus> Status(absl::string_view name) const override;
  std::vector<PipelineConfig> List() const override;
  std::string UserOf(absl::string_view instance_name) const override;
  absl::Status Replay(int64_t dead_letter_id) override;
  absl::Status Discard(int64_t dead_letter_id) override;
  void Shutdown() override;

 private:
  using RunnerPtr = std::shared_ptr<Runner>;

  RetentionSweeper::Options MakeRetention() {
    RetentionSweeper::Options options;
    options.store = &options_.store->dead_letters();
    options.config = options_.dead_letters;
    options.clock = options_.clock;
    options.period = tuning_.retention_period;
    options.expired = [this](const store::ExpiredDeadLetter& letter) {
      if (const RunnerPtr runner = Find(letter.pipeline)) runner->Expired(letter.time);
    };
    return options;
  }

  RunnerPtr Find(absl::string_view name) const {
    MutexLock lock(&mutex_);
    const auto found = runners_.find(std::string(name));
    return found == runners_.end() ? nullptr : found->second;
  }
  absl::Status Check(const PipelineConfig& config) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckErrors(const PipelineConfig& config, const std::set<std::string>& sinks) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckSource(const PipelineConfig& config) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckSink(const PipelineConfig& config, const std::string& field,
                         const std::string& publisher) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const Tuning tuning_;
  WorkerPool pool_;  // outlives the runners
  mutable Mutex mutex_;
  bool down_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, RunnerPtr> runners_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<RetentionSweeper> retention_;  // last: its thread uses the others
};

absl::Status Manager::CheckSource(const PipelineConfig& config) const {
  const auto source = options_.registry->Find(config.source);
  if (source == nullptr) {
    return FieldError("source", "UNKNOWN_CONNECTOR",
                      absl::StrCat("source: there is no connector \"", config.source, "\""));
  }
  if (!source->has_source() || source->config().role != InstanceRole::kConnector) {
    return FieldError("source", "NOT_A_SOURCE",
                      absl::StrCat("source: \"", config.source, "\" (", source->config().type,
                                   ") is not a connector that can be read"));
  }
  for (const auto& [name, runner] : runners_) {
    if (name == config.name || runner->config().source != config.source) continue;
    return FieldError(
        "source", "SOURCE_IN_USE",
        absl::StrCat("source: connector \"", config.source, "\" is the source of pipeline \"", name,
                     "\" already; make a second connector"));
  }
  return absl::OkStatus();
}

absl::Status Manager::CheckSink(const PipelineConfig& config, const std::string& field,
                                const std::string& publisher) const {
  const auto sink = options_.registry->Find(publisher);
  if (sink == nullptr) {
    return FieldError(field, "UNKNOWN_PUBLISHER",
                      absl::StrCat(field, ": there is no publisher \"", publisher, "\""));
  }
  if (!sink->has_sink() || sink->config().role != InstanceRole::kPublisher) {
    return FieldError(field, "NOT_A_SINK",
                      absl::StrCat(field, ": \"", publisher, "\" (", sink->config().type,
                                   ") is not a publisher that can be written"));
  }
  if (!sink->deferred()) return absl::OkStatus();
  // A flush speaks for everything written before; two who write cannot both know what it covered.
  for (const auto& [name, runner] : runners_) {
    if (name == config.name) continue;
    bool used = runner->config().dead_letter_publisher == publisher ||
                runner->config().error_publisher == publisher;
    for (const SinkRef& other : runner->config().sinks) used = used || other.publisher == publisher;
    if (!used) continue;
    return FieldError(field, "SINK_IN_USE",
                      absl::StrCat(field, ": publisher \"", publisher,
                                   "\" writes in deferred batches and belongs to pipeline \"", name,
                                   "\" already; make a second publisher"));
  }
  return absl::OkStatus();
}

absl::Status Manager::CheckErrors(const PipelineConfig& config,
                                  const std::set<std::string>& sinks) const {
  const std::string& name = config.error_publisher;
  if (name.empty()) return absl::OkStatus();
  if (absl::Status sink = CheckSink(config, "error_publisher", name); !sink.ok()) return sink;
  const auto publisher = options_.registry->Find(name);
  if (publisher->config().delivery == DeliveryGuarantee::kAtMostOnce) {
    return FieldError("error_publisher", "AT_MOST_ONCE",
                      absl::StrCat("error_publisher: \"", name,
                                   "\" is at-most-once; an error is an answer as good as a result, "
                                   "name a publisher that is at-least-once"));
  }
  if (publisher->deferred() && (sinks.count(name) > 0 || name == config.dead_letter_publisher)) {
    return FieldError("error_publisher", "SINK_IN_USE",
                      absl::StrCat("error_publisher: \"", name,
                                   "\" writes in deferred batches and is named by the pipeline "
                                   "already; make a second publisher"));
  }
  return absl::OkStatus();
}

absl::Status Manager::Check(const PipelineConfig& config) const {
  if (config.name.empty()) return FieldError("name", "REQUIRED", "name: a pipeline needs a name");
  if (config.sinks.empty()) {
    return FieldError("sinks", "REQUIRED", "sinks: a pipeline needs at least one publisher");
  }
  if (config.max_in_flight_records < 1 || config.max_in_flight_bytes < 1 ||
      config.max_in_flight_cost < 1) {
    return FieldError("max_in_flight_records", "OUT_OF_RANGE",
                      "max_in_flight_records, max_in_flight_bytes and max_in_flight_cost must be "
                      "at least 1");
  }
  if (absl::Status source = CheckSource(config); !source.ok()) return source;
  std::set<std::string> seen;
  for (size_t k = 0; k < config.sinks.size(); ++k) {
    const std::string field = absl::StrCat("sinks[", k, "]");
    const std::string& publisher = config.sinks[k].publisher;
    if (!seen.insert(publisher).second) {
      return FieldError(field, "DUPLICATE",
                        absl::StrCat(field, ": publisher \"", publisher, "\" is named twice"));
    }
    if (absl::Status sink = CheckSink(config, field, publisher); !sink.ok()) return sink;
  }
  if (absl::Status errors = CheckErrors(config, seen); !errors.ok()) return errors;
  if (config.dead_letter_publisher.empty()) return absl::OkStatus();
  if (seen.count(config.dead_letter_publisher) > 0) {
    return FieldError("dead_letter_publisher", "DUPLICATE",
                      absl::StrCat("dead_letter_publisher: \"", config.dead_letter_publisher,
                                   "\" is one of the sinks; what it refuses would go to it again"));
  }
  return CheckSink(config, "dead_letter_publisher", config.dead_letter_publisher);
}

absl::Status Manager::Create(const PipelineConfig& config) {
  MutexLock lock(&mutex_);
  if (down_) return absl::UnavailableError("the server is shutting down");
  if (runners_.count(config.name) > 0) {
    return absl::AlreadyExistsError(absl::StrCat("pipeline \"", config.name, "\" exists already"));
  }
  if (absl::Status valid = Check(config); !valid.ok()) return valid;
  Runner::Parts parts;
  parts.config = config;
  parts.source = options_.registry->Find(config.source);
  for (const SinkRef& sink : config.sinks) {
    parts.sinks.push_back(options_.registry->Find(sink.publisher));
  }
  if (!config.dead_letter_publisher.empty()) {
    parts.dead_letters = options_.registry->Find(config.dead_letter_publisher);
  }
  if (!config.error_publisher.empty()) {
    parts.errors = options_.registry->Find(config.error_publisher);
  }
  parts.store = &options_.store->dead_letters();
  parts.pool = &pool_;
  parts.clock = options_.clock;
  parts.drain_timeout = options_.drain_timeout;
  parts.tuning = tuning_;
  runners_[config.name] = std::make_shared<Runner>(std::move(parts));
  return absl::OkStatus();
}

absl::Status Manager::Start(absl::string_view name) {
  const RunnerPtr runner = Find(name);
  return runner == nullptr ? NotFound(name) : runner->Start();
}

absl::Status Manager::Pause(absl::string_view name) {
  const RunnerPtr runner = Find(name);
  return runner == nullptr ? NotFound(name) : runner->Pause();
}

absl::Status Manager::Drain(absl::string_view name, absl::Duration bound) {
  const RunnerPtr runner = Find(name);
  return runner == nullptr ? NotFound(name) : runner->Drain(bound);
}

absl::Status Manager::Delete(absl::string_view name) {
  const RunnerPtr runner = Find(name);
  if (runner == nullptr) return NotFound(name);
  if (absl::Status drained = runner->Drain(options_.drain_timeout); !drained.ok()) return drained;
  runner->Stop();
  MutexLock lock(&mutex_);
  const auto found = runners_.find(std::string(name));
  if (found != runners_.end() && found->second == runner) runners_.erase(found);
  return absl::OkStatus();
}

absl::StatusOr<PipelineConfig> Manager::Get(absl::string_view name) const {
  const RunnerPtr runner = Find(name);
  if (runner == nullptr) return NotFound(name);
  return runner->config();
}

absl::StatusOr<PipelineStatus> Manager::Status(absl::string_view name) const {
  const RunnerPtr runner = Find(name);
  if (runner == nullptr) return NotFound(name);
  return runner->Status();
}

std::vector<PipelineConfig> Manager::List() const {
  std::vector<PipelineConfig> all;
  MutexLock lock(&mutex_);
  for (const auto& [name, runner] : runners_) all.push_back(runner->config());
  return all;
}

std::string Manager::UserOf(absl::string_view instance_name) const {
  MutexLock lock(&mutex_);
  for (const auto& [name, runner] : runners_) {
    const PipelineConfig& config = runner->config();
    if (config.source == instance_name || config.dead_letter_publisher == instance_name ||
        config.error_publisher == instance_name) {
      return name;
    }
    for (const SinkRef& sink : config.sinks) {
      if (sink.publisher == instance_name) return name;
    }
  }
  return "";
}

absl::Status Manager::Replay(int64_t dead_letter_id) {
  store::DeadLetterStore& letters = options_.store->dead_letters();
  const absl::StatusOr<store::DeadLetter> letter = letters.Get(dead_letter_id);
  if (!letter.ok()) return letter.status();
  const RunnerPtr runner = Find(letter->pipeline);
  if (runner == nullptr) return NotFound(letter->pipeline);
  if (absl::Status delivered = runner->Redeliver(*letter); !delivered.ok()) return delivered;
  // Gone in between: someone else was as quick, and the key tells the publisher so.
  if (absl::Status removed = letters.Remove(dead_letter_id); !removed.ok()) return removed;
  runner->Replayed(*letter);
  return absl::OkStatus();
}

absl::Status Manager::Discard(int64_t dead_letter_id) {
  store::DeadLetterStore& letters = options_.store->dead_letters();
  const absl::StatusOr<store::DeadLetter> letter = letters.Get(dead_letter_id);
  if (!letter.ok()) return letter.status();
  if (absl::Status removed = letters.Remove(dead_letter_id); !removed.ok()) return removed;
  if (const RunnerPtr runner = Find(letter->pipeline)) runner->Discarded(*letter);
  return absl::OkStatus();
}

void Manager::Shutdown() {
  std::vector<RunnerPtr> runners;
  {
    MutexLock lock(&mutex_);
    down_ = true;
    for (const auto& [name, runner] : runners_) runners.push_back(runner);
  }
  std::vector<std::thread> threads;
  for (const RunnerPtr& runner : runners) {
    threads.emplace_back([this, runner] {
      (void)runner->Drain(options_.drain_timeout);
      runner->Stop();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

std::unique_ptr<PipelineManager> MakeManager(const PipelineManager::Options& options,
                                             const Tuning& tuning) {
  return std::make_unique<Manager>(options, tuning);
}

std::unique_ptr<PipelineManager> PipelineManager::Create(const Options& options) {
  return MakeManager(options, Tuning());
}

}  // namespace mfn::pipeline
