// Sums what a batch claims before anything follows its pointers.
#include "server/registry/batch_check.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace mfn::registry {
namespace {

constexpr uint64_t kMaxAttrs = 1024;

// The lowest page is never mapped, and programs live in the lower half of the address space.
constexpr uintptr_t kLowest = 4096;
constexpr uintptr_t kHighest = uintptr_t{1} << 56;

// Whether a pointer to `size` bytes can be one at all. To nothing, any can: an empty slice of Rust
// has a small number for its address.
bool MayPoint(const void* to, uint64_t size, size_t alignment) {
  const auto at = reinterpret_cast<uintptr_t>(to);
  return size == 0 ||
         (at >= kLowest && at % alignment == 0 && at < kHighest && size < kHighest - at);
}

// Adds to *total; false: a length without data, no address, or more than a batch may hold.
bool Add(mfn_bytes bytes, uint64_t* total) {
  if (bytes.data == nullptr && bytes.len > 0) return false;
  if (!MayPoint(bytes.data, bytes.len, 1)) return false;
  if (bytes.len > kMaxBatchBytes - *total) return false;
  *total += bytes.len;
  return true;
}

bool AddRecord(const mfn_record& record, uint64_t* total) {
  if (record.n_attrs > kMaxAttrs || (record.attrs == nullptr && record.n_attrs > 0)) return false;
  if (!MayPoint(record.attrs, record.n_attrs * sizeof(mfn_kv), alignof(mfn_kv))) return false;
  if (!Add(record.id, total) || !Add(record.key, total) || !Add(record.payload, total)) {
    return false;
  }
  for (uint64_t i = 0; i < record.n_attrs; ++i) {
    if (!Add(record.attrs[i].key, total) || !Add(record.attrs[i].value, total)) return false;
  }
  return true;
}

}  // namespace

std::string BatchFault(const mfn_batch& batch, const BatchLimits& limits) {
  if (batch.n_records == 0) return "";
  if (batch.records == nullptr) {
    return absl::StrCat("n_records is ", batch.n_records, " and records is NULL");
  }
  if (batch.n_records > limits.max_records) {
    return absl::StrCat("n_records is ", batch.n_records, ", but ", limits.max_records,
                        " were asked for");
  }
  if (!MayPoint(batch.records, batch.n_records * sizeof(mfn_record), alignof(mfn_record))) {
    return "records is no address of an array of records";
  }
  uint64_t total = 0;
  for (uint64_t i = 0; i < batch.n_records; ++i) {
    if (AddRecord(batch.records[i], &total)) continue;
    return absl::StrCat("record #", i,
                        " has a length without data, an address that is none, more than ",
                        kMaxAttrs, " attributes, or more than ", kMaxBatchBytes, " bytes");
  }
  // Many records may not add up to much more than asked; one may be as large as it is.
  const uint64_t allowed = std::max<uint64_t>(limits.max_bytes, 1 << 20) * 16;
  if (batch.n_records > 1 && total > std::max(allowed, kMaxBatchBytes / 4)) {
    return absl::StrCat("its records hold ", total, " bytes, but about ", limits.max_bytes,
                        " were asked for");
  }
  return "";
}

}  // namespace mfn::registry
