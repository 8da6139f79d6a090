// The database's tables, as numbered steps that bring a file of any earlier version up to date.
// A released step is never edited; a change is a new step at the end.
#ifndef MFN_SERVER_STORE_SCHEMA_H_
#define MFN_SERVER_STORE_SCHEMA_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/store/sqlite.h"

namespace mfn::store {

struct SchemaStep {
  int64_t version;  // PRAGMA user_version once the step is done; ascending
  const char* sql;
};

// The steps of this build.
absl::Span<const SchemaStep> SchemaSteps();

// Reads only. FAILED_PRECONDITION: the file is of a newer version than the last step, or belongs to
// another program.
absl::Status CheckSchema(Database& database, absl::Span<const SchemaStep> steps);

// Checks likewise and applies, in one transaction, the steps that `database` lacks.
absl::Status UpgradeSchema(Database& database, absl::Span<const SchemaStep> steps);

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_SCHEMA_H_
