#include "server/rpc/stall_watch.h"

#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/clock.h"
#include "server/base/log.h"

namespace mfn::rpc {

StallWatch::StallWatch(absl::Duration bound) : bound_(bound) {}

StallWatch::~StallWatch() {
  std::thread thread;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    thread.swap(thread_);
    changed_.NotifyAll();
  }
  if (thread.joinable()) thread.join();
}

uint64_t StallWatch::Begin(std::function<void()> drop) {
  if (bound_ <= absl::ZeroDuration()) return 0;
  const int64_t nanos = Clock::Real()->MonotonicNanos() + absl::ToInt64Nanoseconds(bound_);
  MutexLock lock(&mutex_);
  const uint64_t id = next_id_++;
  writes_.emplace_hint(writes_.end(), id, Write{nanos, std::move(drop)});
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  // Else the thread already waits for an earlier one.
  if (writes_.size() == 1) changed_.NotifyAll();
  return id;
}

uint64_t StallWatch::Begin(grpc::CallbackServerContext* context) {
  return Begin([this, context] {
    const std::string text =
        absl::StrCat("READER_STALLED: the reader took nothing for ", absl::FormatDuration(bound_),
                     ", so the stream was ended; read faster, or ask for fewer "
                     "frames");
    Log(LogLevel::kWarning, "rpc", "a stream was ended, its reader took nothing",
        {{"peer", context->peer()}, {"bound", absl::FormatDuration(bound_)}});
    // The status overtakes the message that is stuck, which Finish would wait for.
    grpc_call_cancel_with_status(context->c_call(), GRPC_STATUS_ABORTED, text.c_str(), nullptr);
  });
}

void StallWatch::End(uint64_t id) {
  if (id == 0) return;
  MutexLock lock(&mutex_);
  writes_.erase(id);
  // gRPC may end the write from within the drop.
  if (thread_.get_id() == std::this_thread::get_id()) return;
  while (dropping_ == id) changed_.Wait(&mutex_);
}

void StallWatch::Run() {
  mutex_.Lock();
  while (!stopping_) {
    if (writes_.empty()) {
      changed_.Wait(&mutex_);
      continue;
    }
    const auto oldest = writes_.begin();
    const int64_t left = oldest->second.nanos - Clock::Real()->MonotonicNanos();
    if (left > 0) {
      changed_.WaitFor(&mutex_, absl::Nanoseconds(left));
      continue;
    }
    const std::function<void()> drop = std::move(oldest->second.drop);
    dropping_ = oldest->first;
    writes_.erase(oldest);
    mutex_.Unlock();
    drop();
    mutex_.Lock();
    dropping_ = 0;
    changed_.NotifyAll();
  }
  mutex_.Unlock();
}

}  // namespace mfn::rpc
