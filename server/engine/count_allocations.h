// For tests and benchmarks: counts what each thread allocates. Replaces operator new and delete, so
// it is included by one source of a binary that wants that.

#ifndef MFN_SERVER_ENGINE_COUNT_ALLOCATIONS_H_
#define MFN_SERVER_ENGINE_COUNT_ALLOCATIONS_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace mfn {
namespace count_allocations {

inline thread_local uint64_t so_far = 0;

inline void* Allocate(std::size_t size, std::size_t alignment) {
  ++so_far;
  const std::size_t whole = (size + alignment - 1) / alignment * alignment;
  void* const memory = std::aligned_alloc(alignment, whole > 0 ? whole : alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace count_allocations

// Calls of operator new on this thread.
inline uint64_t AllocationsSoFar() { return count_allocations::so_far; }

}  // namespace mfn

void* operator new(std::size_t size) {
  return mfn::count_allocations::Allocate(size, alignof(std::max_align_t));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return mfn::count_allocations::Allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

#endif  // MFN_SERVER_ENGINE_COUNT_ALLOCATIONS_H_
