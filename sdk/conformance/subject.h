// One instance of the component under test. Every call is held to what is true of all calls: a code
// that exists, a failure that says why, an answer within 250 ms of the deadline, no output after a
// failure; what breaks that ends the case as Failed.
#ifndef MFN_CONFORMANCE_SUBJECT_H_
#define MFN_CONFORMANCE_SUBJECT_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <mfn/testing.hpp>
#include <string>
#include <vector>

#include "trial.h"

namespace mfn::conformance {

using std::chrono::milliseconds;

// A plugin answers so soon after its deadline or cancellation.
inline constexpr milliseconds kGrace{250};

// Of one call.
struct Reply {
  mfn_code code = MFN_OK;
  sdk::Status failure;
  std::map<uint64_t, sdk::Status> failed_records;
  milliseconds took{0};
  bool ok() const { return code == MFN_OK; }
  // "MFN_RETRYABLE (HTTP_503: the endpoint is busy)"
  std::string Words() const;
};

std::string CodeName(mfn_code code);

// Runs one call of any kind; `what` names it in messages. The call's cancelled flag is `cancel`
// where that is not null. Checks what is said above.
Reply Call(Trial& trial, const std::string& what, milliseconds deadline,
           sdk::testing::CancelFlag* cancel, const std::function<mfn_code(mfn_call*)>& run);

class Subject {
 public:
  // Creates; Failed when that fails.
  Subject(Trial& trial, const std::string& config);
  explicit Subject(Trial& trial) : Subject(trial, trial.config()) {}
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;
  ~Subject() { Destroy(); }
  void Destroy();

  const mfn_component& component() const { return component_; }
  void* self() { return self_; }
  sdk::testing::Host& host() { return host_; }
  Trial& trial() { return trial_; }

  // A function that the component does not have answers OK.
  Reply Connect(sdk::testing::CancelFlag* cancel = nullptr,
                milliseconds deadline = milliseconds(2000));
  // Connects, or ends the case as Skipped.
  Subject& Connected();
  Reply Check();
  const void* Extension(const char* id);
  Reply Read(uint64_t max_records, uint64_t max_bytes, milliseconds deadline, mfn_batch* out,
             sdk::testing::CancelFlag* cancel = nullptr);
  Reply Ack(uint64_t ack_id, const std::vector<mfn_code>& outcomes = {});
  Reply Write(const mfn_batch& batch, sdk::testing::CancelFlag* cancel = nullptr);
  Reply Flush(sdk::testing::CancelFlag* cancel = nullptr);
  Reply Execute(const mfn_record& request, mfn_batch* out,
                sdk::testing::CancelFlag* cancel = nullptr);

  // Reads until there are records, for at most a second. Skipped when there are none.
  mfn_batch ReadSome(uint64_t max_records = 100, uint64_t max_bytes = 1 << 20);

 private:
  sdk::testing::Host host_;
  Trial& trial_;
  const mfn_component& component_;
  void* self_ = nullptr;
};

void Release(mfn_batch* batch);

// Failed when the batch is not one: lengths without data, records of a lane event.
void CheckBatch(const mfn_batch& batch, const std::string& what);

// Inapplicable unless the component has that role.
void NeedSource(Trial& trial);
void NeedSink(Trial& trial);
void NeedExecutor(Trial& trial);

}  // namespace mfn::conformance

#endif  // MFN_CONFORMANCE_SUBJECT_H_
