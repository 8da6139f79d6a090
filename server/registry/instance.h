// One configured component of a plugin, and the only way for the rest of the server to call it.
//
// Every call goes through resilience::GuardedCall: deadline, retry with backoff, circuit breaker,
// metrics. What returns from here has been retried as far as policy allows; callers never retry,
// they park, dead-letter or report.
//
// Lifecycle: Registry::CreateInstance validates and creates; the first guarded call connects (as
// does Connect); destruction is Close, which waits for running calls within a bound. Thread-safe;
// calls are serialised or run beside each other as the ABI's thread tags say (mfn/plugin.h).
//
// A call into the plugin that returns neither at its deadline nor when cancelled is written off
// after a grace (RegistryOptions): its caller gets CALL_OVERRAN, its thread stays in the plugin
// with all that it was given, and the component instance is quarantined: the next call makes and
// connects another from the same configuration. Instance and Close never wait for such a call.
#ifndef MFN_SERVER_REGISTRY_INSTANCE_H_
#define MFN_SERVER_REGISTRY_INSTANCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "mfn/plugin.h"
#include "server/base/cancellation.h"
#include "server/base/config.h"
#include "server/base/histogram.h"
#include "server/registry/tap.h"

namespace mfn::registry {

// Why a call or one record failed, after all retries.
struct Failure {
  mfn_code code = MFN_OK;
  std::string reason;  // UPPER_SNAKE_CASE
  std::string message;
  std::string field;                                  // JSON pointer or empty
  absl::Duration retry_after = absl::ZeroDuration();  // > 0 when the endpoint said so
  int attempts = 0;  // 0: rejected before the plugin was called (an open breaker)
  bool ok() const { return code == MFN_OK; }
};

// The gRPC-style status of a failure, with the instance's name in the message.
absl::Status ToStatus(const Failure& failure, const std::string& instance_name);

// An mfn_batch that came from a plugin; releases it once. Movable. Must not outlive its Instance's
// last reference: it holds one itself.
class OwnedBatch {
 public:
  OwnedBatch() = default;
  OwnedBatch(mfn_batch batch, std::shared_ptr<void> keep_alive);
  OwnedBatch(OwnedBatch&& other) noexcept;
  OwnedBatch& operator=(OwnedBatch&& other) noexcept;
  ~OwnedBatch();

  absl::Span<const mfn_record> records() const;
  uint64_t lane() const { return batch_.lane; }
  uint64_t flags() const { return batch_.flags; }
  uint64_t ack_id() const { return batch_.ack_id; }
  bool CameFrom(const void* owner) const { return keep_alive_.get() == owner; }

 private:
  mfn_batch batch_ = {};
  std::shared_ptr<void> keep_alive_;
};

// Records for a plugin, with what owns the array and every byte behind it. A call that overruns is
// given up and runs on alone; it shares the ownership, so its input stays until it returns.
// Immutable from the moment that they are given.
struct SharedRecords {
  absl::Span<const mfn_record> records;
  std::shared_ptr<const void> owner;
  // Parked before: the retries of its write are not charged to the retry budget.
  bool presented_again = false;
};

// Owns copies of everything.
SharedRecords CopyRecords(absl::Span<const mfn_record> records);

struct ReadResult {
  Failure failure;   // ok, or why nothing was read
  bool end = false;  // the source is finished for good
  OwnedBatch batch;  // maybe without records
};

struct WriteResult {
  // The call's outcome, which holds for every record not in `failed`.
  Failure failure;
  struct Record {
    uint64_t index;
    Failure failure;
  };
  std::vector<Record> failed;  // by index, ascending
  uint64_t epoch = 0;          // for Flush
};

// What a code is called: "RETRYABLE". One that is not known counts as PERMANENT.
absl::string_view CodeName(mfn_code code);

// kPaused: the endpoint asked to be left alone for a while.
enum class BreakerState { kClosed, kOpen, kHalfOpen, kPaused };
// What an operator did to the breaker. Not kept over a restart; kDisabled also if the configuration
// has it so.
enum class BreakerControl { kAutomatic, kForcedOpen, kDisabled };
// kReset: breaker and retry budget as at the start, as configured.
enum class BreakerAction { kForceOpen, kDisable, kReset };
enum class InstanceState { kCreated, kConnected, kDisconnected, kQuarantined, kClosed };

// What a plugin registered itself.
struct PluginMetric {
  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;
  bool gauge = false;  // else a counter
  double value = 0;
};

// A snapshot; counters never go down.
struct InstanceStatus {
  InstanceState state = InstanceState::kCreated;
  BreakerState breaker = BreakerState::kClosed;  // kOpen when forced open, kClosed when disabled
  BreakerControl breaker_control = BreakerControl::kAutomatic;
  std::string last_error;  // empty when the last call succeeded
  absl::Time last_error_time = absl::InfinitePast();
  uint64_t calls = 0;     // guarded calls made
  uint64_t attempts = 0;  // calls into the plugin
  uint64_t successes = 0;
  uint64_t failures = 0;  // guarded calls that failed in the end
  uint64_t retries = 0;
  uint64_t rejected = 0;          // by an open breaker
  uint64_t limited = 0;           // by the rate limit, or for want of a place
  uint64_t budget_exhausted = 0;  // retries not made because the budget was spent
  int retry_budget = 0;           // tokens left
  uint64_t breaker_opened = 0;
  // Calls that returned over 500 ms after their deadline, or not at all.
  uint64_t overruns = 0;
  uint64_t written_off = 0;  // of them, calls that were given up, with their thread
  uint64_t stuck_calls = 0;  // of them, now still inside the plugin; may go down
  uint64_t replaced = 0;     // component instances made anew, after an overrun or with new secrets
  uint64_t records_in = 0, records_out = 0;  // read from / written to the plugin
  std::vector<PluginMetric> plugin_metrics;  // in the order of registration
  double mean_attempt_ms = 0;
  HistogramSnapshot attempt_time;
};

class Instance : public std::enable_shared_from_this<Instance> {
 public:
  virtual ~Instance() = default;

  virtual const InstanceConfig& config() const = 0;
  const std::string& name() const { return config().name; }
  virtual bool has_source() const = 0;
  virtual bool has_sink() const = 0;
  virtual bool has_executor() const = 0;
  virtual bool concurrent_ack() const = 0;
  virtual bool deferred() const = 0;  // MFN_DEFERRED: durable after Flush only
  virtual bool dedups_by_key() const = 0;
  virtual int max_in_flight() const = 0;  // of write or execute, at least 1
  virtual InstanceStatus status() const = 0;
  // Calls that run are not ended.
  virtual void ControlBreaker(BreakerAction action) = 0;

  virtual absl::Status Connect(const Cancellation& cancel) = 0;
  virtual absl::Status Check(const Cancellation& cancel) = 0;

  // Waits up to `wait` for records. One thread at a time. Time passing without records is ok().
  virtual ReadResult Read(uint64_t max_records, uint64_t max_bytes, absl::Duration wait,
                          const Cancellation& cancel) = 0;
  // `batch` came from Read of this instance. `outcomes` empty: all MFN_OK.
  virtual Failure Ack(const OwnedBatch& batch, absl::Span<const mfn_code> outcomes,
                      const Cancellation& cancel) = 0;
  virtual Failure LaneReleased(uint64_t lane, const Cancellation& cancel) = 0;

  virtual WriteResult Write(const SharedRecords& records, const Cancellation& cancel) = 0;
  // `epoch`: the lowest of the writes that it shall cover. Any failure means that all of them must
  // be written again; INSTANCE_REPLACED: the sink that took them is gone.
  virtual Failure Flush(uint64_t epoch, const Cancellation& cancel) = 0;

  // `request` is one record. `idempotent`: may be repeated when the outcome of an attempt is
  // unknown.
  virtual ReadResult Execute(const SharedRecords& request, bool idempotent,
                             const Cancellation& cancel) = 0;

  // Records that go through, for whoever looks.
  TapPoint& taps() { return taps_; }

  // No call starts after this; waits up to `bound` for running ones, then destroys the component
  // instance, or leaves it to the call that does not end. Idempotent.
  virtual void Close(absl::Duration bound) = 0;

 private:
  TapPoint taps_;
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_INSTANCE_H_
