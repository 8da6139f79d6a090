// Time: deadlines, cancellation, and check beside everything.
#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "case.h"
#include "records.h"
#include "subject.h"

namespace mfn::conformance {
namespace {

using SteadyClock = std::chrono::steady_clock;
using sdk::testing::CancelFlag;

// How soon `run` returned after its flag was set; nullopt: it had returned before. `run` has half a
// minute of time, so only the flag ends it early.
std::optional<milliseconds> Latency(const std::function<void(CancelFlag*)>& run) {
  CancelFlag cancel;
  std::atomic<bool> returned{false};
  SteadyClock::time_point cancelled;
  std::thread canceller([&] {
    for (int i = 0; i < 20 && !returned; ++i) std::this_thread::sleep_for(milliseconds(5));
    cancelled = SteadyClock::now();
    cancel = true;
  });
  const auto join = [&] {
    returned = true;
    canceller.join();
  };
  try {
    run(&cancel);
  } catch (...) {
    join();
    throw;
  }
  const SteadyClock::time_point end = SteadyClock::now();
  join();
  if (end < cancelled) return std::nullopt;
  return std::chrono::duration_cast<milliseconds>(end - cancelled);
}

// The best of three, so that a busy machine is not taken for a slow plugin.
void CheckLatency(const std::string& what, const std::function<void(CancelFlag*)>& run) {
  milliseconds best = milliseconds::max();
  for (int attempt = 0; attempt < 3 && best > kGrace; ++attempt) {
    const std::optional<milliseconds> latency = Latency(run);
    if (!latency) throw Skipped{what + " never waited, so there was nothing to cancel"};
    best = std::min(best, *latency);
  }
  if (best <= kGrace) return;
  throw Failed{what + " returned " + std::to_string(best.count()) +
               " ms after it was cancelled; ask mfn_host.cancelled at least every 250 ms while "
               "waiting, or put mfn.cancel-fd/1 into the poll"};
}

void CancelConnect(Trial& trial) {
  if (trial.component().connect == nullptr) throw Inapplicable{};
  Subject subject(trial);
  CheckLatency("connect",
               [&](CancelFlag* cancel) { subject.Connect(cancel, milliseconds(30000)); });
}

void CancelRead(Trial& trial) {
  NeedSource(trial);
  Subject subject(trial);
  subject.Connected();
  // What is there to be read is read first; then it waits.
  CheckLatency("read", [&](CancelFlag* cancel) {
    for (int i = 0; i < 1000 && !*cancel; ++i) {
      mfn_batch batch;
      const Reply reply = subject.Read(1000, 1 << 24, milliseconds(30000), &batch, cancel);
      if (batch.n_records > 0) subject.Ack(batch.ack_id);
      Release(&batch);
      if (!reply.ok()) return;
    }
  });
}

void CancelWrite(Trial& trial) {
  NeedSink(trial);
  Subject subject(trial);
  subject.Connected();
  LentBatch input({PlainInput()});
  CheckLatency("write", [&](CancelFlag* cancel) { subject.Write(input.batch(), cancel); });
}

void CancelFlush(Trial& trial) {
  NeedSink(trial);
  if (trial.component().sink->flush == nullptr) throw Inapplicable{};
  Subject subject(trial);
  subject.Connected();
  CheckLatency("flush", [&](CancelFlag* cancel) { subject.Flush(cancel); });
}

void CancelExecute(Trial& trial) {
  NeedExecutor(trial);
  Subject subject(trial);
  subject.Connected();
  LentBatch input({PlainInput()});
  CheckLatency("execute", [&](CancelFlag* cancel) {
    mfn_batch batch;
    subject.Execute(input.batch().records[0], &batch, cancel);
    Release(&batch);
  });
}

// Call itself fails a case whose call overruns its deadline.
void DeadlineOfConnect(Trial& trial) {
  Subject subject(trial);
  subject.Connect(nullptr, milliseconds(300));
  // connect comes again after the session was lost, and may come when the deadline has passed.
  subject.Connect(nullptr, milliseconds(300));
  subject.Connect(nullptr, milliseconds(0));
  subject.Check();
}

void DeadlineOfRead(Trial& trial) {
  NeedSource(trial);
  Subject subject(trial);
  subject.Connected();
  for (const int deadline : {0, 1, 50, 200}) {
    mfn_batch batch;
    const Reply reply = subject.Read(10, 1 << 20, milliseconds(deadline), &batch);
    if (batch.n_records > 0) subject.Ack(batch.ack_id);
    Release(&batch);
    if (reply.code == MFN_CANCELLED) {
      throw Failed{"read answers MFN_CANCELLED when its time is up; answer MFN_OK without records"};
    }
  }
}

void CheckBeside(Trial& trial) {
  if (trial.component().check == nullptr) throw Inapplicable{};
  Subject subject(trial);
  subject.Connected();
  std::atomic<bool> done{false};
  std::optional<Failed> failed;
  std::thread checker([&] {
    while (!done && !failed) {
      try {
        subject.Check();
      } catch (const Failed& f) {
        failed = f;
      }
    }
  });
  const auto stop = [&] {
    done = true;
    checker.join();
  };
  const auto end = SteadyClock::now() + milliseconds(150);
  try {
    LentBatch input({PlainInput()});
    while (SteadyClock::now() < end) {
      mfn_batch batch = {};
      if (subject.component().source != nullptr) {
        subject.Read(1, 1 << 20, milliseconds(5), &batch);
        if (batch.n_records > 0) subject.Ack(batch.ack_id);
        Release(&batch);
      }
      if (subject.component().sink != nullptr) subject.Write(input.batch());
      if (subject.component().executor != nullptr) {
        subject.Execute(input.batch().records[0], &batch);
        Release(&batch);
      }
    }
  } catch (...) {
    stop();
    throw;
  }
  stop();
  if (failed) throw *failed;
}

}  // namespace

std::vector<Case> CallCases() {
  return {
      {"connect.deadline", "connect and check keep their deadline, again and again", true,
       DeadlineOfConnect},
      {"read.deadline", "read keeps its deadline, and time passing is no failure", true,
       DeadlineOfRead},
      {"cancel.connect", "connect returns within 250 ms of being cancelled", true, CancelConnect},
      {"cancel.read", "read returns within 250 ms of being cancelled", true, CancelRead},
      {"cancel.write", "write returns within 250 ms of being cancelled", true, CancelWrite},
      {"cancel.flush", "flush returns within 250 ms of being cancelled", true, CancelFlush},
      {"cancel.execute", "execute returns within 250 ms of being cancelled", true, CancelExecute},
      {"check.beside", "check may run beside every other call", true, CheckBeside},
  };
}

}  // namespace mfn::conformance
