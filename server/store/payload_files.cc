// Big payloads beside the database.
#include "server/store/payload_files.h"

#include <unistd.h>

#include <filesystem>
#include <random>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/store/files.h"

namespace mfn::store {
namespace {

std::string NewName() {
  std::random_device random;  // the kernel's
  std::string name;
  for (int k = 0; k < 4; ++k) absl::StrAppendFormat(&name, "%08x", random());
  return name;
}

absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  while (!error && entry != std::filesystem::directory_iterator()) {
    names.push_back(entry->path().filename().string());
    entry.increment(error);
  }
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot list directory ", directory));
  }
  return names;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PayloadFiles>> PayloadFiles::Open(const std::string& directory) {
  absl::Status status = MakeDirectory(directory);
  if (!status.ok()) return status;
  return std::unique_ptr<PayloadFiles>(new PayloadFiles(directory));
}

std::string PayloadFiles::PathOf(const std::string& name) const {
  return absl::StrCat(directory_, "/", name);
}

absl::StatusOr<std::string> PayloadFiles::Write(absl::string_view payload) {
  std::string name = NewName();
  absl::Status status = WriteNewFile(PathOf(name), payload);
  if (!status.ok()) return status;
  status = SyncDirectory(directory_);
  if (!status.ok()) {
    Remove(name);
    return status;
  }
  return name;
}

absl::StatusOr<std::string> PayloadFiles::Read(const std::string& name, int64_t size) const {
  const std::string path = PathOf(name);
  absl::StatusOr<std::string> bytes = ReadWholeFile(path);
  if (absl::IsNotFound(bytes.status())) {
    return absl::DataLossError(absl::StrCat("payload file ", path, " is missing"));
  }
  if (bytes.ok() && static_cast<int64_t>(bytes->size()) != size) {
    return absl::DataLossError(absl::StrCat("payload file ", path, " has ", bytes->size(),
                                            " bytes, not the ", size, " that were written"));
  }
  return bytes;
}

void PayloadFiles::Remove(const std::string& name) { unlink(PathOf(name).c_str()); }

absl::Status PayloadFiles::Sweep(
    const std::function<absl::StatusOr<bool>(const std::string& name)>& named) {
  const absl::StatusOr<std::vector<std::string>> names = NamesIn(directory_);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const absl::StatusOr<bool> keep = named(name);
    if (!keep.ok()) return keep.status();
    if (!*keep) Remove(name);
  }
  return absl::OkStatus();
}

}  // namespace mfn::store
