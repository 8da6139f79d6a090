// See store.h.
#include "server/store/store.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/store/commit_queue.h"
#include "server/store/dead_letter_table.h"
#include "server/store/directory_lock.h"
#include "server/store/files.h"
#include "server/store/payload_files.h"
#include "server/store/resource_table.h"
#include "server/store/schema.h"
#include "server/store/sqlite.h"
#include "server/store/state_table.h"

namespace mfn::store {
namespace {

class SqliteStore final : public Store {
 public:
  SqliteStore(const std::string& directory, std::unique_ptr<DirectoryLock> lock,
              std::unique_ptr<Database> database)
      : lock_(std::move(lock)), queue_(std::move(database)), files_(directory) {}

  absl::Status SweepFiles() {
    const absl::StatusOr<std::set<std::string>> named = dead_letters_.NamedFiles();
    return named.ok() ? files_.Sweep(*named) : named.status();
  }

  DeadLetterStore& dead_letters() override { return dead_letters_; }
  ResourceStore& resources() override { return resources_; }
  StateStore& state() override { return state_; }

 private:
  const std::unique_ptr<DirectoryLock> lock_;  // first, to be released last
  CommitQueue queue_;
  PayloadFiles files_;
  DeadLetterTable dead_letters_{&queue_, &files_};
  ResourceTable resources_{&queue_};
  StateTable state_{&queue_};
};

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& directory) {
  if (absl::Status made = MakeDirectory(directory); !made.ok()) return made;
  absl::StatusOr<std::unique_ptr<DirectoryLock>> lock = DirectoryLock::Take(directory);
  if (!lock.ok()) return lock.status();
  absl::StatusOr<std::unique_ptr<Database>> database =
      Database::Open(absl::StrCat(directory, "/mfnd.db"));
  if (!database.ok()) return database.status();
  if (absl::Status prepared = PrepareDatabase(**database, SchemaSteps()); !prepared.ok()) {
    return prepared;
  }
  auto store = std::make_unique<SqliteStore>(directory, *std::move(lock), *std::move(database));
  if (absl::Status swept = store->SweepFiles(); !swept.ok()) return swept;
  if (absl::Status synced = SyncDirectory(directory); !synced.ok()) return synced;
  return store;
}

}  // namespace mfn::store
