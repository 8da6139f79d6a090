// Puts the store together: lock, database, files, tables.
#include "server/store/sqlite_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/store/connections.h"
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

// The size limit makes a checkpoint give back the disk that a burst has taken.
constexpr char kPragmas[] =
    "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864;"
    "PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;";

// Where write-ahead logging cannot be had (a file system without shared memory, another program
// that has the file open) SQLite says so only in the pragma's answer and goes on without.
absl::Status TurnOnLog(Database& database) {
  const absl::StatusOr<std::string> mode = database.QueryText("PRAGMA journal_mode = WAL");
  if (!mode.ok()) return mode.status();
  if (*mode == "wal") return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("database ", database.path(),
                   ": its file system cannot do write-ahead logging (journal mode ", *mode,
                   "); put the state directory on a local disk"));
}

class SqliteStore final : public Store {
 public:
  SqliteStore(std::unique_ptr<DirectoryLock> lock, std::unique_ptr<PayloadFiles> files,
              std::unique_ptr<Database> writer, std::unique_ptr<Database> reader,
              size_t max_inline_payload)
      : lock_(std::move(lock)),
        files_(std::move(files)),
        writer_(std::move(writer)),
        reader_(std::move(reader)),
        dead_letters_(&writer_, &reader_, files_.get(), max_inline_payload),
        resources_(&writer_, &reader_),
        state_(&writer_, &reader_) {}

  absl::Status Sweep() { return dead_letters_.SweepFiles(); }

  DeadLetterStore& dead_letters() override { return dead_letters_; }
  ResourceStore& resources() override { return resources_; }
  StateStore& state() override { return state_; }

 private:
  const std::unique_ptr<DirectoryLock> lock_;  // first: dropped after the database is closed
  const std::unique_ptr<PayloadFiles> files_;
  Writer writer_;
  Reader reader_;
  DeadLetterTable dead_letters_;
  ResourceTable resources_;
  StateTable state_;
};

// Dead letters hold other people's data: the file is its owner's alone, whatever the umask and the
// folder allow. SQLite gives its side files the same mode. A failure shows when the database opens.
void MakePrivate(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) close(fd);
}

absl::StatusOr<std::unique_ptr<Database>> OpenWriter(const std::string& path,
                                                     const SqliteStoreOptions& options) {
  MakePrivate(path);
  absl::StatusOr<std::unique_ptr<Database>> database = Database::Open(path);
  if (!database.ok()) return database;
  // Before any pragma that writes: a database that is not ours stays as it is.
  absl::Status status = CheckSchema(**database, SchemaSteps());
  if (status.ok()) status = TurnOnLog(**database);
  if (status.ok()) status = (*database)->ExecuteScript(kPragmas);
  if (status.ok()) status = UpgradeSchema(**database, SchemaSteps());
  if (status.ok() && options.max_pages > 0) {
    status =
        (*database)->ExecuteScript(absl::StrCat("PRAGMA max_page_count = ", options.max_pages));
  }
  if (!status.ok()) return status;
  return database;
}

absl::StatusOr<std::unique_ptr<Database>> OpenReader(const std::string& path) {
  absl::StatusOr<std::unique_ptr<Database>> database = Database::Open(path);
  if (!database.ok()) return database;
  const absl::Status status =
      (*database)->ExecuteScript("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;");
  if (!status.ok()) return status;
  return database;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& directory,
                                                       const SqliteStoreOptions& options) {
  absl::Status status = MakeDirectory(directory);
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<DirectoryLock>> lock = DirectoryLock::Acquire(directory);
  if (!lock.ok()) return lock.status();
  const std::string path = absl::StrCat(directory, "/mfnd.db");
  absl::StatusOr<std::unique_ptr<Database>> writer = OpenWriter(path, options);
  if (!writer.ok()) return writer.status();
  absl::StatusOr<std::unique_ptr<Database>> reader = OpenReader(path);
  if (!reader.ok()) return reader.status();
  absl::StatusOr<std::unique_ptr<PayloadFiles>> files =
      PayloadFiles::Open(absl::StrCat(directory, "/payloads"));
  if (!files.ok()) return files.status();
  auto store =
      std::make_unique<SqliteStore>(*std::move(lock), *std::move(files), *std::move(writer),
                                    *std::move(reader), options.max_inline_payload);
  status = store->Sweep();
  if (!status.ok()) return status;
  return store;
}

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& directory) {
  return OpenSqliteStore(directory, SqliteStoreOptions());
}

}  // namespace mfn::store
