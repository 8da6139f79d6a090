// How much free memory the C library's allocator may keep for itself. For main only. All of it does
// nothing where the C library is not glibc.
#ifndef MFN_SERVER_BASE_ALLOCATOR_H_
#define MFN_SERVER_BASE_ALLOCATOR_H_

#include <cstddef>
#include <thread>

#include "server/base/cancellation.h"

namespace mfn {

// Call before threads start. Fields, histories and messages of a mebibyte and more are mapped and
// go back to the system when they are freed; glibc would otherwise raise that bound to the largest
// one it has seen and keep them in its heaps, of which it makes one for every few threads.
void LimitAllocator();

// Bytes that are free but still resident, at most; 0 where that is not known.
size_t FreeBytesKept();

// While it lives, gives free memory back to the system: every 10 seconds, if there are more than 8
// MiB of it. Small blocks are kept by glibc for ever otherwise, wherever one in use lies above
// them.
class MemoryReturner {
 public:
  MemoryReturner();
  ~MemoryReturner();

 private:
  CancellationSource stop_;
  std::thread thread_;
};

}  // namespace mfn

#endif  // MFN_SERVER_BASE_ALLOCATOR_H_
