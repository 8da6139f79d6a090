// Source -> decode -> simulate -> features -> encode -> publishers, with host-owned acks.
//
// PipelineManager owns all pipelines of the process. Thread-safe.
#ifndef MFN_SERVER_PIPELINE_PIPELINE_H_
#define MFN_SERVER_PIPELINE_PIPELINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/config.h"

namespace mfn::registry {
class Registry;
}
namespace mfn::store {
class Store;
}

namespace mfn::pipeline {

enum class PipelineState {
  kStopped,  // made, not started
  kRunning,
  kPaused,    // not reading; what is in flight is settled
  kDraining,  // not reading any more, on its way to kStopped
  kFinished,  // the source ended and everything is settled
  kFailed,    // see PipelineStatus::error
};

// In items, since this process made the pipeline. At every moment
//   received = delivered + dead_lettered + dropped + returned + parked + in_flight.
struct Conservation {
  uint64_t received = 0, delivered = 0, dead_lettered = 0, dropped = 0, returned = 0;
  uint64_t parked = 0, in_flight = 0;
  std::map<std::string, uint64_t> dropped_by_cause;
};

// What waits for one publisher.
struct SinkStatus {
  std::string publisher;
  bool required = true;
  bool held = false;  // it refused everything; nothing is written until Start
  uint64_t queued_records = 0, queued_bytes = 0;  // put and not settled, also parked and unflushed
};

struct PipelineStatus {
  PipelineState state = PipelineState::kStopped;
  std::string error;    // why kFailed, or why reading is held up
  Conservation counts;  // one consistent snapshot
  uint64_t records_read = 0, records_acked = 0;
  // Read and not yet acked, against the in-flight bounds.
  uint64_t in_flight_records = 0, in_flight_bytes = 0, in_flight_cost = 0;
  std::vector<SinkStatus> sinks;  // as configured; then the error publisher, if any
  // Dead letters in the store, also of earlier runs.
  int64_t dead_letters = 0, dead_letter_bytes = 0;
  absl::Duration oldest_dead_letter = absl::ZeroDuration();  // its age
  uint64_t replayed = 0;
  double simulate_seconds = 0;  // processor time spent in the engine
};

class PipelineManager {
 public:
  struct Options {
    registry::Registry* registry;  // not owned, outlives the manager
    store::Store* store;           // likewise
    Clock* clock = Clock::Real();
    int max_workers = 0;  // 0: one per core
    absl::Duration drain_timeout = absl::Seconds(30);
    DeadLetterConfig dead_letters;  // what is older or too much is removed, and counted as dropped
  };
  static std::unique_ptr<PipelineManager> Create(const Options& options);
  virtual ~PipelineManager() = default;  // as Shutdown

  // INVALID_ARGUMENT names the field: unknown source or publisher, a connector without source, a
  // publisher without sink, an instance that another pipeline uses as its source, a deferred
  // publisher that another pipeline writes to. No side effects.
  virtual absl::Status Validate(const PipelineConfig& config) const = 0;
  virtual absl::Status Create(const PipelineConfig& config) = 0;  // ALREADY_EXISTS; does not start
  virtual absl::Status Start(absl::string_view name) = 0;  // from stopped, paused or finished
  virtual absl::Status Pause(absl::string_view name) = 0;
  // Stops reading, settles what is in flight within the bound, flushes, acks; what is left is
  // returned to the source.
  virtual absl::Status Drain(absl::string_view name, absl::Duration bound) = 0;
  virtual absl::Status Delete(absl::string_view name) = 0;  // drains first
  virtual absl::StatusOr<PipelineConfig> Get(absl::string_view name) const = 0;
  virtual absl::StatusOr<PipelineStatus> Status(absl::string_view name) const = 0;
  virtual std::vector<PipelineConfig> List() const = 0;  // by name
  // Whether a pipeline uses the instance (which then must not be deleted); its name, or empty.
  virtual std::string UserOf(absl::string_view instance_name) const = 0;

  // Processes the kept request again and delivers to the sink that failed only (all sinks if the
  // request itself was at fault); removes the letter when that is durable. FAILED_PRECONDITION when
  // the feature digest differs from the kept one; the letter stays.
  virtual absl::Status Replay(int64_t dead_letter_id) = 0;
  // Removes the letter; counted as dropped with cause "discarded".
  virtual absl::Status Discard(int64_t dead_letter_id) = 0;

  // Drains all, in parallel, within the drain timeout. Idempotent.
  virtual void Shutdown() = 0;
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_PIPELINE_H_
