// Instances: made, connected or not, several at once, and gone without a trace.
#include <malloc.h>

#include <string>

#include "case.h"
#include "process.h"
#include "records.h"
#include "subject.h"

namespace mfn::conformance {
namespace {

void DestroyBeforeConnect(Trial& trial) {
  for (int i = 0; i < 10; ++i) {
    Subject subject(trial);
    // check may come at any time after create.
    if (i % 2 == 1) subject.Check();
  }
}

void UnknownExtension(Trial& trial) {
  Subject subject(trial);
  for (const char* id : {"org.example.nothing/1", "", "mfn.state/999999"}) {
    if (subject.Extension(id) == nullptr) continue;
    throw Failed{std::string("extension(\"") + id +
                 "\") is not NULL; answer NULL to an id that you do not know"};
  }
}

// Every extension of the host may be missing.
void HostWithoutExtensions(Trial& trial) {
  const mfn_component& component = trial.component();
  sdk::testing::Host host;
  host.keep_state = host.keep_secrets = host.keep_cancel_fd = false;
  void* self = nullptr;
  const Reply reply =
      Call(trial, "create with a host that has no extension", milliseconds(1000), nullptr,
           [&](mfn_call* call) {
             return component.create(call, host.raw(), sdk::ToBytes(trial.config()), &self);
           });
  if (!reply.ok()) {
    if (reply.code == MFN_UNSUPPORTED) return;
    throw Skipped{"create answers " + reply.Words()};
  }
  if (component.connect != nullptr) {
    Call(trial, "connect with a host that has no extension", milliseconds(2000), nullptr,
         [&](mfn_call* call) { return component.connect(self, call); });
  }
  trial.Step("destroy");
  component.destroy(self);
}

// A little of everything that the component does.
void Use(Subject& subject) {
  if (!subject.Connect().ok()) return;
  subject.Check();
  const mfn_component& component = subject.component();
  if (component.source != nullptr) {
    mfn_batch batch;
    const Reply reply = subject.Read(10, 1 << 20, milliseconds(20), &batch);
    if (batch.n_records > 0 && reply.code <= MFN_END) subject.Ack(batch.ack_id);
    Release(&batch);
  }
  LentBatch input({PlainInput()});
  if (component.sink != nullptr) {
    subject.Write(input.batch());
    subject.Flush();
  }
  if (component.executor != nullptr) {
    mfn_batch batch;
    subject.Execute(input.batch().records[0], &batch);
    Release(&batch);
  }
}

void SeveralAtOnce(Trial& trial) {
  Subject first(trial);
  Subject second(trial);
  Use(first);
  Use(second);
  first.Destroy();
  Use(second);
}

void LeavesTheProcessAlone(Trial& trial) {
  trial.plugin();
  trial.schema();
  {
    // What a library sets up once and keeps is its own business.
    Subject warm(trial);
    Use(warm);
  }
  const ProcessState before = ProcessState::Now();
  for (int i = 0; i < 4; ++i) {
    Subject subject(trial);
    Use(subject);
  }
  SettledThreads(before.threads);
  const std::string changed = before.Difference(ProcessState::Now());
  if (!changed.empty()) throw Failed{"after 4 instances have come and gone, " + changed};
}

void ChangesNothingInTheProcess(Trial& trial) {
  trial.plugin();
  trial.schema();
  ProcessState before = ProcessState::Now();
  {
    Subject subject(trial);
    Use(subject);
    ProcessState during = ProcessState::Now();
    // Threads and files of an instance are fine while it lives.
    during.threads = before.threads;
    during.files = before.files;
    const std::string changed = before.Difference(during);
    if (!changed.empty()) throw Failed{"once an instance is in use, " + changed};
  }
}

void KeepsNoMemory(Trial& trial) {
  constexpr int kRounds = 200;
  const auto in_use = [] { return mallinfo2().uordblks + mallinfo2().hblkhd; };
  const auto rounds = [&] {
    for (int i = 0; i < kRounds; ++i) Subject subject(trial);
  };
  rounds();
  size_t least = SIZE_MAX;
  // Some libraries grow a table now and then; a leak grows every time.
  for (int i = 0; i < 3; ++i) {
    const size_t before = in_use();
    rounds();
    const size_t after = in_use();
    least = std::min(least, after > before ? after - before : 0);
  }
  if (least < kRounds * 16) return;
  throw Failed{"every instance leaves " + std::to_string(least / kRounds) +
               " bytes behind; free in destroy what create has made"};
}

}  // namespace

std::vector<Case> LifeCases() {
  return {
      {"destroy.unconnected", "an instance may be destroyed before it was connected", true,
       DestroyBeforeConnect},
      {"extension.unknown", "an unknown extension is NULL", true, UnknownExtension},
      {"extension.none", "a host without extensions is one to live with, or MFN_UNSUPPORTED", true,
       HostWithoutExtensions},
      {"instances", "several instances live side by side", true, SeveralAtOnce},
      {"process", "signals, locale, directory, environment, rounding stay the host's", true,
       ChangesNothingInTheProcess},
      {"leaks", "threads and files are gone after destroy", true, LeavesTheProcessAlone},
      {"leaks.memory", "memory is given back by destroy", true, KeepsNoMemory},
  };
}

}  // namespace mfn::conformance
