#include "server/rpc/tap_connector.h"

#include <deque>
#include <string>
#include <utility>

#include "server/rpc/tap_filter.h"

namespace mfn::rpc {
namespace {

using Response = mfn::v1::TapConnectorResponse;

constexpr size_t kMaxTaps = 16;
// What waits for the reader of one tap.
constexpr size_t kMaxWaiting = 256;
constexpr size_t kMaxWaitingBytes = size_t{4} << 20;
constexpr size_t kMaxMessageBytes = size_t{1} << 20;

// Sees on the threads that move records, sends on the thread that wakes live streams: the plugin's
// thread never serialises or writes.
class TapStream final : public LiveStream<Response>, public registry::Tap {
 public:
  TapStream(std::shared_ptr<CallRecord> record, grpc::CallbackServerContext* context,
            CallRunner* calls, std::shared_ptr<registry::Instance> instance, TapFilter filter)
      : LiveStream(std::move(record), context, &calls->stalls()),
        instance_(std::move(instance)),
        filter_(std::move(filter)),
        clock_(calls->clock()),
        end_ns_(clock_->MonotonicNanos() + absl::ToInt64Nanoseconds(filter_.max_duration())) {}

  void See(registry::TapDirection direction, const mfn_record& record, mfn_code outcome) override {
    if (!filter_.Matches(direction, record)) return;
    if (filter_.sample_ratio() < 1 && RandomSource::Real()->Uniform() >= filter_.sample_ratio()) {
      return;
    }
    mfn::v1::TappedRecord copy;
    filter_.Copy(direction, record, outcome, clock_->Now(), &copy);
    const size_t bytes = copy.ByteSizeLong();
    MutexLock lock(&mutex_);
    if (taken_ == filter_.max_records()) return;
    if (waiting_.size() == kMaxWaiting || waiting_bytes_ + bytes > kMaxWaitingBytes) {
      ++overflowed_;
      return;
    }
    ++taken_;
    waiting_bytes_ += bytes;
    waiting_.push_back(std::move(copy));
  }

  void Tick(int64_t now_ns) override {
    bool over = now_ns >= end_ns_ || instance_->status().state == registry::InstanceState::kClosed;
    {
      MutexLock lock(&mutex_);
      over |= taken_ == filter_.max_records();
    }
    if (over) {
      End(absl::OkStatus());
    } else {
      Kick();
    }
  }

  void OnDone() override {
    instance_->taps().Remove(this);
    LiveStream::OnDone();
  }

 private:
  bool Fill(Response* response) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (greeted_ && waiting_.empty() && overflowed_ == told_) return false;
    greeted_ = true;
    size_t bytes = 0;
    while (!waiting_.empty() && bytes < kMaxMessageBytes) {
      const size_t next = waiting_.front().ByteSizeLong();
      waiting_bytes_ -= next;
      bytes += next;
      *response->add_records() = std::move(waiting_.front());
      waiting_.pop_front();
    }
    response->set_overflowed(overflowed_);
    told_ = overflowed_;
    return true;
  }

  const std::shared_ptr<registry::Instance> instance_;
  const TapFilter filter_;
  Clock* const clock_;
  const int64_t end_ns_;
  std::deque<mfn::v1::TappedRecord> waiting_ ABSL_GUARDED_BY(mutex_);
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t overflowed_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t told_ ABSL_GUARDED_BY(mutex_) = 0;
  bool greeted_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerWriteReactor<Response>* StartTapConnector(
    CallRunner* calls, LiveStreams* streams,
    const absl::StatusOr<std::shared_ptr<registry::Instance>>& instance,
    CallRunner::Arrival arrival, grpc::CallbackServerContext* context,
    const mfn::v1::TapConnectorRequest& request) {
  CallRecord* record = arrival.record.get();
  if (!instance.ok()) return new RefusedStream<Response>(record, instance.status());
  auto filter = TapFilter::FromProto(request);
  if (!filter.ok()) return new RefusedStream<Response>(record, filter.status());
  auto tap =
      std::make_shared<TapStream>(arrival.record, context, calls, *instance, *std::move(filter));
  if (absl::Status s = streams->Add("TapConnector", kMaxTaps, tap); !s.ok()) {
    return new RefusedStream<Response>(record, s);
  }
  tap->Begin(tap);
  (*instance)->taps().Add(tap);
  tap->Tick(calls->clock()->MonotonicNanos());
  return tap.get();
}

}  // namespace mfn::rpc
