// Hands out the slots. The mutex also orders the writes of a slot's old and new thread.
#include "server/base/thread_shards.h"

#include <bitset>

#include "absl/base/thread_annotations.h"
#include "server/base/mutex.h"

namespace mfn::thread_shards_internal {
namespace {

class Slots {
 public:
  int Take() {
    MutexLock lock(&mutex_);
    for (int slot = 0; slot < kExclusiveSlots; ++slot) {
      if (taken_.test(static_cast<size_t>(slot))) continue;
      taken_.set(static_cast<size_t>(slot));
      return slot;
    }
    return kExclusiveSlots;
  }
  void Return(int slot) {
    MutexLock lock(&mutex_);
    taken_.reset(static_cast<size_t>(slot));
  }

 private:
  Mutex mutex_;
  std::bitset<kExclusiveSlots> taken_ ABSL_GUARDED_BY(mutex_);
};

// Never destroyed: threads may end after main.
Slots* AllSlots() {
  static auto* const slots = new Slots;
  return slots;
}

// Gives the slot back when its thread ends. What counts later still, in another destructor of the
// thread, counts in the shared part.
struct Lease {
  int slot = kExclusiveSlots;
  ~Lease() {
    thread_shards_internal::slot = kExclusiveSlots;
    if (slot < kExclusiveSlots) AllSlots()->Return(slot);
  }
};

}  // namespace

constinit thread_local int slot = -1;

int TakeSlot() {
  thread_local Lease lease;
  lease.slot = AllSlots()->Take();
  slot = lease.slot;
  return slot;
}

}  // namespace mfn::thread_shards_internal
