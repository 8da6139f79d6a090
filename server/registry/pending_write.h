// The records of one guarded write that are not settled yet: after a partial failure only those
// that may still succeed are written again. Allocates only after a partial
// failure. Used by one thread; what records() gives is shared with calls and never changes.
#ifndef MFN_SERVER_REGISTRY_PENDING_WRITE_H_
#define MFN_SERVER_REGISTRY_PENDING_WRITE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "server/registry/host_api.h"
#include "server/registry/instance.h"
#include "server/registry/verdict.h"

namespace mfn::registry {

class PendingWrite {
 public:
  explicit PendingWrite(const SharedRecords& records) : all_(records) {}

  const SharedRecords& records() const { return partial_ ? rest_ : all_; }

  // Sorts the attempt that wrote records(); what it returns stands for what is left.
  Verdict Settle(mfn_code code, mfn_call* call);

  // `failure`: of the guarded call, for what is left.
  WriteResult Finish(Failure failure);

 private:
  uint64_t IndexOf(uint64_t position) const { return partial_ ? index_[position] : position; }

  const SharedRecords all_;
  bool partial_ = false;
  SharedRecords rest_;
  std::vector<uint64_t> index_;               // of rest_ in all_
  std::vector<Failure> last_;                 // of rest_, by the last attempt
  std::vector<WriteResult::Record> settled_;  // failed for good
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_PENDING_WRITE_H_
