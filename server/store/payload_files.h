// Payloads too big for a database row, one file each in <state directory>/payloads.
//
// A file is durable before the row that names it commits and is removed after the row is gone, so
// a crash leaves at worst a file that no row names; Sweep removes those. A name is 128 random bits
// and is never used again: a row that comes back after all (an interrupted commit, a restored copy)
// finds its own file or none. Thread-safe.
#ifndef MFN_SERVER_STORE_PAYLOAD_FILES_H_
#define MFN_SERVER_STORE_PAYLOAD_FILES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mfn::store {

class PayloadFiles {
 public:
  // Makes the directory if it is missing.
  static absl::StatusOr<std::unique_ptr<PayloadFiles>> Open(const std::string& directory);

  // Writes a new file, synced together with its directory entry, and returns its name.
  // RESOURCE_EXHAUSTED: the disk is full; nothing is left behind.
  absl::StatusOr<std::string> Write(absl::string_view payload);
  // DATA_LOSS: missing, or not of `size` bytes.
  absl::StatusOr<std::string> Read(const std::string& name, int64_t size) const;
  // What cannot be removed now is left to the next Sweep.
  void Remove(const std::string& name);
  // Removes every file for which `named` is false.
  absl::Status Sweep(const std::function<absl::StatusOr<bool>(const std::string& name)>& named);

 private:
  explicit PayloadFiles(std::string directory) : directory_(std::move(directory)) {}
  std::string PathOf(const std::string& name) const;

  const std::string directory_;
};

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_PAYLOAD_FILES_H_
