// DeadLetterStore over the table "dead_letters" and the payload files.
//
// A letter that replaces another gets a new id: whoever holds the old id (a replay under way) then
// finds NOT_FOUND rather than removing a letter it has not seen.
#ifndef MFN_SERVER_STORE_DEAD_LETTER_TABLE_H_
#define MFN_SERVER_STORE_DEAD_LETTER_TABLE_H_

#include <string>
#include <vector>

#include "server/store/connections.h"
#include "server/store/dead_letter_store.h"
#include "server/store/payload_files.h"

namespace mfn::store {

class DeadLetterTable final : public DeadLetterStore {
 public:
  // Payloads over `max_inline` bytes are kept as files. The pointers outlive the table.
  DeadLetterTable(Writer* writer, Reader* reader, PayloadFiles* files, size_t max_inline)
      : writer_(writer), reader_(reader), files_(files), max_inline_(max_inline) {}

  // Removes payload files that no letter names; once, before the table is used.
  absl::Status SweepFiles();

  absl::Status Add(absl::Span<const DeadLetter> letters) override;
  // A page ends early once its payloads are over 64 MiB. An empty pipeline: of all pipelines.
  absl::StatusOr<DeadLetterPage> List(absl::string_view pipeline, int64_t after_id,
                                      int limit) override;
  absl::StatusOr<DeadLetter> Get(int64_t id) override;
  absl::Status Remove(int64_t id) override;
  absl::StatusOr<int64_t> Count(absl::string_view pipeline) override;
  absl::StatusOr<DeadLetterStats> Stats(absl::string_view pipeline) override;
  absl::StatusOr<std::vector<ExpiredDeadLetter>> Expire(const DeadLetterRetention& retention,
                                                        int limit) override;

 private:
  using FileNames = std::vector<std::string>;  // "": the payload is in the row

  absl::StatusOr<FileNames> WriteFiles(absl::Span<const DeadLetter> letters);
  void RemoveFiles(const FileNames& names);
  absl::StatusOr<DeadLetter> ReadLetter(const Query& row) const;

  Writer* const writer_;
  Reader* const reader_;
  PayloadFiles* const files_;
  const size_t max_inline_;
};

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_DEAD_LETTER_TABLE_H_
