// Arrays that begin on a cache line: a full vector of an aligned array never crosses a line.

#ifndef MFN_SERVER_ENGINE_ALIGNED_H_
#define MFN_SERVER_ENGINE_ALIGNED_H_

#include <cstddef>
#include <new>
#include <vector>

namespace mfn::engine {

inline constexpr size_t kCacheLine = 64;

template <typename T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  // Containers convert it silently when they rebind it.
  template <typename U>
  AlignedAllocator(const AlignedAllocator<U>&) {}  // NOLINT(google-explicit-constructor)

  T* allocate(size_t count) {
    if (count > static_cast<size_t>(-1) / 2 / sizeof(T)) throw std::bad_alloc();
    return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{kCacheLine}));
  }
  void deallocate(T* memory, size_t) { ::operator delete(memory, std::align_val_t{kCacheLine}); }
  bool operator==(const AlignedAllocator&) const { return true; }
};

template <typename T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_ALIGNED_H_
