// Caller and thread hand a PluginCall to each other under the thread's mutex; whoever has it is
// told by the state.
#include "server/registry/call_threads.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/base/mutex.h"
#include "server/registry/contain.h"
#include "server/registry/instance_context.h"
#include "server/registry/plugin_call.h"

namespace mfn::registry {
namespace {

// A waiting caller looks this often whether the call was cancelled; its return wakes it at once.
constexpr absl::Duration kLook = absl::Milliseconds(50);
// More threads than this that wait for work are ended.
constexpr size_t kMaxIdle = 32;

std::atomic<int> g_stuck{0};
thread_local bool t_call_thread = false;

// An exception that it lets out ends here.
mfn_code Contained(PluginCall& call) {
  const char* what = "something that is no std::exception";
  try {
    return call.code(call);
  } catch (const std::exception& e) {
    call.call->failure.message = absl::StrCat("the plugin threw: ", e.what());
  } catch (...) {
    call.call->failure.message = absl::StrCat("the plugin threw ", what);
  }
  call.call->failure.reason = "EXCEPTION";
  return MFN_PERMANENT;
}

void Report(const PluginCall& call, const std::string& changed) {
  if (changed.empty()) return;
  Log(LogLevel::kWarning, "registry", "a plugin changed what is the server's; put back",
      {{"instance", call.live->context->config.name},
       {"plugin", call.live->context->component->plugin_id},
       {"function", call.what},
       {"changed", changed}});
}

// Plugin code, with what it may do to its thread and to the process.
mfn_code RunCode(PluginCall& call, const HostState& host_state) {
  const ThreadState thread(/*signals=*/false);
  call.call->thread = std::this_thread::get_id();
  const mfn_code code = Contained(call);
  Report(call, thread.Restore());
  Report(call, host_state.RestoreSometimes());
  return code;
}

}  // namespace

int StuckPluginThreads() { return g_stuck.load(); }

// The threads without work. Shared with them, since one that was written off outlives CallThreads.
struct IdleThreads {
  const HostState host_state;
  Mutex mutex;
  std::vector<std::shared_ptr<CallThread>> threads ABSL_GUARDED_BY(mutex);
  bool closed ABSL_GUARDED_BY(mutex) = false;

  // False: it is not wanted and should end.
  bool Put(const std::shared_ptr<CallThread>& thread) {
    MutexLock lock(&mutex);
    if (closed || threads.size() >= kMaxIdle) return false;
    threads.push_back(thread);
    return true;
  }
  std::shared_ptr<CallThread> Take() {
    MutexLock lock(&mutex);
    if (threads.empty()) return nullptr;
    std::shared_ptr<CallThread> last = std::move(threads.back());
    threads.pop_back();
    return last;
  }
};

class CallThread {
 public:
  explicit CallThread(std::shared_ptr<IdleThreads> home) : home_(std::move(home)) {}

  // Throws std::system_error when there is no thread to be had.
  static void Start(const std::shared_ptr<CallThread>& self) {
    self->thread_ = std::thread([self] { self->Loop(self); });
  }

  PluginCall& call() { return call_; }
  bool Run(Clock* clock, absl::Duration grace);
  void GiveBack(const std::shared_ptr<CallThread>& self) {
    call_.Clear();
    if (!home_->Put(self)) End();
  }
  // Only while it waits for work, and not on the thread itself.
  void End() {
    {
      MutexLock lock(&mutex_);
      state_ = State::kEnding;
      begin_.NotifyOne();
    }
    thread_.join();
  }

 private:
  enum class State { kReady, kRunning, kReturned, kGivenUp, kEnding };

  void Loop(const std::shared_ptr<CallThread>& self);
  bool AwaitCall();
  // False: nobody waits for the answer any more.
  bool Answer(mfn_code returned);
  void GiveUp(int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Reclaim();

  const std::shared_ptr<IdleThreads> home_;
  PluginCall call_;  // the caller's, but for kRunning and kGivenUp
  Mutex mutex_;
  CondVar begin_, end_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kReady;
  std::thread thread_;
};

bool CallThread::Run(Clock* clock, absl::Duration grace) {
  const mfn_call& call = *call_.call;
  MutexLock lock(&mutex_);
  state_ = State::kRunning;
  begin_.NotifyOne();
  int64_t until = call.deadline_ns;
  bool over = false;
  while (state_ == State::kRunning) {
    const int64_t now = clock->MonotonicNanos();
    if (!over && (now >= call.deadline_ns || call.cancelled())) {
      over = true;
      until = std::min(now, call.deadline_ns) + absl::ToInt64Nanoseconds(grace);
      call_.cancel_fd.Raise();
    }
    if (over && now >= until) {
      GiveUp(now);
      return false;
    }
    end_.WaitFor(&mutex_, std::min(kLook, absl::Nanoseconds(until - now)));
  }
  return true;
}

void CallThread::GiveUp(int64_t now) {
  state_ = State::kGivenUp;
  call_.call->given_up.store(true);
  const InstanceContext& context = *call_.live->context;
  context.overruns.fetch_add(1, std::memory_order_relaxed);
  context.written_off.fetch_add(1, std::memory_order_relaxed);
  const int stuck = context.stuck.fetch_add(1) + 1;
  g_stuck.fetch_add(1);
  Log(LogLevel::kError, "registry", "a plugin call does not return; its thread is written off",
      {{"instance", context.config.name},
       {"function", call_.what},
       {"late", absl::FormatDuration(
                    absl::Nanoseconds(std::max<int64_t>(0, now - call_.call->deadline_ns)))},
       {"stuck_threads", absl::StrCat(stuck)}});
}

void CallThread::Loop(const std::shared_ptr<CallThread>& self) {
  t_call_thread = true;
  pthread_setname_np(pthread_self(), "mfn-plugin");
  while (AwaitCall()) {
    if (Answer(RunCode(call_, home_->host_state))) continue;
    Reclaim();
    if (home_->Put(self)) continue;
    thread_.detach();
    return;
  }
}

bool CallThread::AwaitCall() {
  MutexLock lock(&mutex_);
  while (state_ != State::kRunning && state_ != State::kEnding) begin_.Wait(&mutex_);
  return state_ == State::kRunning;
}

bool CallThread::Answer(mfn_code returned) {
  MutexLock lock(&mutex_);
  call_.returned = returned;
  if (state_ == State::kGivenUp) return false;
  state_ = State::kReturned;
  end_.NotifyOne();
  return true;
}

void CallThread::Reclaim() {
  const std::shared_ptr<const InstanceContext> context = call_.live->context;
  Log(LogLevel::kWarning, "registry", "a plugin call that was written off has returned",
      {{"instance", context->config.name}, {"function", call_.what}});
  if (call_.has_output()) Contain("release", [this] { call_.out.release(&call_.out); });
  // May be the last to hold the component instance, which then ends here, on this thread.
  call_.Clear();
  context->stuck.fetch_sub(1);
  g_stuck.fetch_sub(1);
  MutexLock lock(&mutex_);
  state_ = State::kReady;
}

CallThreads::CallThreads() : idle_(std::make_shared<IdleThreads>()) {}

CallThreads::~CallThreads() {
  std::vector<std::shared_ptr<CallThread>> threads;
  {
    MutexLock lock(&idle_->mutex);
    idle_->closed = true;
    threads.swap(idle_->threads);
  }
  for (const std::shared_ptr<CallThread>& thread : threads) thread->End();
}

absl::StatusOr<CallThreads::Lease> CallThreads::Take() {
  std::shared_ptr<CallThread> thread = idle_->Take();
  if (thread != nullptr) return Lease(std::move(thread));
  try {
    thread = std::make_shared<CallThread>(idle_);
    CallThread::Start(thread);
  } catch (const std::system_error& e) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no thread could be made for the call: ", e.what()));
  }
  return Lease(std::move(thread));
}

const HostState& CallThreads::host_state() const { return idle_->host_state; }

bool CallThreads::OnCallThread() { return t_call_thread; }

CallThreads::Lease::Lease(std::shared_ptr<CallThread> thread) : thread_(std::move(thread)) {}

CallThreads::Lease::~Lease() {
  if (thread_ != nullptr) thread_->GiveBack(thread_);
}

PluginCall& CallThreads::Lease::operator*() const { return thread_->call(); }

bool CallThreads::Lease::Run(Clock* clock, absl::Duration grace) {
  if (thread_->Run(clock, grace)) return true;
  thread_.reset();
  return false;
}

}  // namespace mfn::registry
