// The tables and how a database is brought up to date.
#include "server/store/schema.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace mfn::store {
namespace {

// "mfnd" in ASCII: tells our files from those of other programs.
constexpr int64_t kApplicationId = 0x6d666e64;

// AUTOINCREMENT: an id is never used again, so that ids order letters for ever and an etag made of
// one never returns. A letter without a key cannot be told from another and replaces none.
constexpr char kVersion1[] = R"sql(
CREATE TABLE dead_letters (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  pipeline TEXT NOT NULL,
  sink TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  item_index INTEGER NOT NULL,
  record_id TEXT NOT NULL,
  payload BLOB,
  payload_file TEXT,
  payload_size INTEGER NOT NULL,
  attributes BLOB NOT NULL,
  code TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  feature_digest TEXT NOT NULL,
  time_unix_nanos INTEGER NOT NULL
);
CREATE UNIQUE INDEX dead_letters_by_key
  ON dead_letters (pipeline, sink, idempotency_key, item_index) WHERE idempotency_key <> '';
CREATE INDEX dead_letters_by_pipeline ON dead_letters (pipeline, id);
CREATE INDEX dead_letters_by_file ON dead_letters (payload_file) WHERE payload_file IS NOT NULL;

CREATE TABLE state (
  owner TEXT NOT NULL,
  key BLOB NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (owner, key)
) WITHOUT ROWID;

CREATE TABLE resources (
  revision INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  body BLOB NOT NULL,
  UNIQUE (kind, name)
);
)sql";

// The record's own key and time, so that a replay is the record that was read; and an index from
// which retention and the gauges are answered without touching payloads.
constexpr char kVersion2[] = R"sql(
ALTER TABLE dead_letters ADD COLUMN record_key BLOB;
ALTER TABLE dead_letters ADD COLUMN record_time_unix_nanos INTEGER;
CREATE INDEX dead_letters_by_time ON dead_letters (pipeline, time_unix_nanos, payload_size);
)sql";

constexpr SchemaStep kSteps[] = {
    {1, kVersion1},
    {2, kVersion2},
};

absl::Status CheckOwner(Database& database, int64_t version) {
  const absl::StatusOr<int64_t> application = database.QueryInt("PRAGMA application_id");
  if (!application.ok()) return application.status();
  if (*application == kApplicationId) return absl::OkStatus();
  const absl::StatusOr<int64_t> tables = database.QueryInt("SELECT count(*) FROM sqlite_master");
  if (!tables.ok()) return tables.status();
  if (*application == 0 && version == 0 && *tables == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("database ", database.path(), ": is another program's (application id ",
                   *application, "); give the server a state directory of its own"));
}

absl::Status Apply(Database& database, absl::Span<const SchemaStep> steps, int64_t version) {
  for (const SchemaStep& step : steps) {
    if (step.version <= version) continue;
    absl::Status done = database.ExecuteScript(
        absl::StrCat(step.sql, "; PRAGMA user_version = ", step.version, ";"));
    if (!done.ok()) {
      return absl::Status(done.code(), absl::StrCat(done.message(), " (schema upgrade to version ",
                                                    step.version, ")"));
    }
  }
  return database.ExecuteScript(absl::StrCat("PRAGMA application_id = ", kApplicationId));
}

}  // namespace

absl::Span<const SchemaStep> SchemaSteps() { return kSteps; }

absl::Status CheckSchema(Database& database, absl::Span<const SchemaStep> steps) {
  const absl::StatusOr<int64_t> version = database.QueryInt("PRAGMA user_version");
  if (!version.ok()) return version.status();
  absl::Status owner = CheckOwner(database, *version);
  if (!owner.ok()) return owner;
  const int64_t newest = steps.empty() ? 0 : steps.back().version;
  if (*version <= newest) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "database ", database.path(), ": schema version ", *version,
      " was written by a newer server (this one knows up to ", newest, "); run that one"));
}

absl::Status UpgradeSchema(Database& database, absl::Span<const SchemaStep> steps) {
  absl::Status status = CheckSchema(database, steps);
  if (!status.ok()) return status;
  const absl::StatusOr<int64_t> version = database.QueryInt("PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (steps.empty() || *version == steps.back().version) return absl::OkStatus();
  status = database.Execute("BEGIN IMMEDIATE");
  if (!status.ok()) return status;
  status = Apply(database, steps, *version);
  if (status.ok()) status = database.Execute("COMMIT");
  if (!status.ok() && database.in_transaction()) database.Execute("ROLLBACK").IgnoreError();
  return status;
}

}  // namespace mfn::store
