// The thread that wakes live streams, and how many of them there may be.
#include "server/rpc/live_stream.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(50);

}  // namespace

LiveStreams::~LiveStreams() {
  ending_.Cancel();
  std::thread thread;
  {
    MutexLock lock(&mutex_);
    thread.swap(thread_);
  }
  if (thread.joinable()) thread.join();
}

absl::Status LiveStreams::Add(const char* kind, size_t limit, std::shared_ptr<Woken> stream) {
  Living();  // forgets those that are done
  MutexLock lock(&mutex_);
  if (!ended_.ok()) return ended_;
  const auto running = std::count_if(streams_.begin(), streams_.end(), [&](const Entry& entry) {
    return absl::string_view(entry.kind) == kind;
  });
  if (static_cast<size_t>(running) >= limit) {
    return RetryLater(absl::StatusCode::kResourceExhausted, "TOO_MANY_STREAMS",
                      absl::StrCat("there are ", limit, " ", kind, " streams already"),
                      absl::Seconds(10), {{"limit", absl::StrCat(limit)}});
  }
  streams_.push_back({kind, std::move(stream)});
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void LiveStreams::EndAll(const absl::Status& status) {
  {
    MutexLock lock(&mutex_);
    if (ended_.ok()) ended_ = status;
  }
  for (const Entry& entry : Living()) entry.stream->End(status);
}

std::vector<LiveStreams::Entry> LiveStreams::Living() {
  std::vector<Entry> all;
  {
    MutexLock lock(&mutex_);
    all = streams_;
  }
  std::vector<const Woken*> done;
  for (const Entry& entry : all) {
    if (entry.stream->done()) done.push_back(entry.stream.get());
  }
  const auto is_done = [&](const Entry& entry) {
    return std::find(done.begin(), done.end(), entry.stream.get()) != done.end();
  };
  all.erase(std::remove_if(all.begin(), all.end(), is_done), all.end());
  MutexLock lock(&mutex_);
  streams_.erase(std::remove_if(streams_.begin(), streams_.end(), is_done), streams_.end());
  return all;
}

void LiveStreams::Run() {
  const Cancellation ending = ending_.token();
  while (!ending.WaitFor(kTick)) {
    const int64_t now = clock_->MonotonicNanos();
    for (const Entry& entry : Living()) entry.stream->Tick(now);
  }
}

}  // namespace mfn::rpc
