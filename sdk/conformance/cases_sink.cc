// Sinks: whatever a record may be, borrowed input, flush, writes at once.
#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "case.h"
#include "records.h"
#include "subject.h"

namespace mfn::conformance {
namespace {

// A component that is a sink for another configuration only.
void NeedRole(const Reply& reply) {
  if (reply.code == MFN_PERMANENT && reply.failure.reason == "WRONG_ROLE") {
    throw Skipped{"write answers " + reply.Words()};
  }
}

void OddRecords(Trial& trial) {
  NeedSink(trial);
  Subject subject(trial);
  subject.Connected();
  LentBatch plain({PlainInput()});
  NeedRole(subject.Write(plain.batch()));
  for (const Input& input : OddInputs()) {
    LentBatch batch({input});
    trial.About(input.what);
    subject.Write(batch.batch());
  }
  LentBatch nothing({});
  trial.About("a batch without records");
  subject.Write(nothing.batch());
  std::vector<Input> all = OddInputs();
  all.push_back(PlainInput());
  LentBatch together(all);
  trial.About("all of them together");
  subject.Write(together.batch());
  subject.Flush();
}

void Borrowed(Trial& trial) {
  NeedSink(trial);
  Subject subject(trial);
  subject.Connected();
  LentBatch first({PlainInput()}), second({PlainInput(), PlainInput()});
  NeedRole(subject.Write(first.batch()));
  // Whoever kept a pointer into the first batch crashes from here on.
  first.TakeBack();
  trial.About("the input of an earlier write is gone: does the plugin keep a pointer into it?");
  subject.Write(second.batch());
  second.TakeBack();
  subject.Flush();
  subject.Check();
  subject.Destroy();
}

void FlushAlone(Trial& trial) {
  NeedSink(trial);
  if (trial.component().sink->flush == nullptr) throw Inapplicable{};
  Subject subject(trial);
  subject.Connected();
  LentBatch batch({PlainInput()});
  NeedRole(subject.Write(batch.batch()));
  for (int i = 0; i < 3; ++i) subject.Flush();
  if (subject.Write(batch.batch()).ok() && !subject.Flush().ok()) {
    throw Failed{"flush fails after a write that succeeded, with nothing in its way"};
  }
}

void AtOnce(Trial& trial) {
  NeedSink(trial);
  const uint32_t most = std::min<uint32_t>(trial.component().sink->max_in_flight, 8);
  if (most < 2) throw Inapplicable{};
  Subject subject(trial);
  subject.Connected();
  std::atomic<bool> failed{false};
  std::vector<std::optional<Failed>> why(most);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < most; ++i) {
    threads.emplace_back([&, i] {
      LentBatch batch({PlainInput(), PlainInput()});
      try {
        for (int k = 0; k < 20 && !failed; ++k) subject.Write(batch.batch());
      } catch (const Failed& f) {
        why[i] = f;
        failed = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::optional<Failed>& f : why) {
    if (f) throw *f;
  }
}

}  // namespace

std::vector<Case> SinkCases() {
  return {
      {"write.records", "absent, empty, odd and large records are written or refused", true,
       OddRecords},
      {"write.borrowed", "input is neither changed nor kept", true, Borrowed},
      {"flush", "flush works with and without something to flush", true, FlushAlone},
      {"write.at_once", "max_in_flight writes run at once", true, AtOnce},
  };
}

}  // namespace mfn::conformance
