#include "server/base/allocator.h"

#include <cstdlib>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace mfn {
namespace {

constexpr size_t kKeptBytes = size_t{8} << 20;
constexpr absl::Duration kInterval = absl::Seconds(10);

}  // namespace

void LimitAllocator() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  mallopt(M_ARENA_MAX, 4);
#endif
}

size_t FreeBytesKept() {
#ifdef __GLIBC__
  return mallinfo2().fordblks;
#else
  return 0;
#endif
}

MemoryReturner::MemoryReturner()
    : thread_([stop = stop_.token()] {
        while (!stop.WaitFor(kInterval)) {
#ifdef __GLIBC__
          if (FreeBytesKept() > kKeptBytes) malloc_trim(0);
#endif
        }
      }) {
}

MemoryReturner::~MemoryReturner() {
  stop_.Cancel();
  thread_.join();
}

}  // namespace mfn
