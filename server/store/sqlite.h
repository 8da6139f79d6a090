// A thin RAII layer over the SQLite C API: a connection that keeps its prepared statements, and
// one use of a statement. No errors but absl::Status leave it; each names the database file.
//
//   absl::StatusOr<Query> query = database.Prepare("SELECT v FROM t WHERE k = ?1");
//   if (!query.ok()) return query.status();
//   query->BindText(1, key);
//   absl::StatusOr<bool> row = query->Step();
//   if (row.ok() && *row) Use(query->Bytes(0));
//
// A connection and its queries belong to one thread at a time; the caller's mutex sees to that.
#ifndef MFN_SERVER_STORE_SQLITE_H_
#define MFN_SERVER_STORE_SQLITE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace mfn::store {

class Database;

// One use of a prepared statement: bind, then step until it returns false. The destructor resets it
// for the next use. Parameters and columns are numbered as SQLite does: from 1 and from 0.
// Bound bytes are borrowed and must outlive the query.
class Query {
 public:
  Query(Query&& other) noexcept
      : database_(other.database_),
        statement_(std::exchange(other.statement_, nullptr)),
        bind_error_(other.bind_error_) {}
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  ~Query();

  void BindInt(int index, int64_t value);
  void BindText(int index, absl::string_view value);
  void BindBlob(int index, absl::string_view value);
  void BindNull(int index);

  // True: a row is there. False: done.
  absl::StatusOr<bool> Step();
  // For statements without rows, or whose first row is enough.
  absl::Status Run();

  int64_t Int(int column) const;
  std::string Bytes(int column) const;  // of TEXT or BLOB, NUL bytes included; NULL gives ""
  bool IsNull(int column) const;

 private:
  friend class Database;
  Query(Database* database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}
  void Keep(int code);

  Database* database_;
  sqlite3_stmt* statement_;
  int bind_error_ = 0;
};

class Database {
 public:
  // Opens or makes the file. The name is used in errors.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // `sql` is prepared on first use and kept. A statement may be in use only once at a time.
  absl::StatusOr<Query> Prepare(absl::string_view sql);
  // One statement without parameters.
  absl::Status Execute(absl::string_view sql);
  // Several statements separated by semicolons; not kept.
  absl::Status ExecuteScript(const std::string& sql);
  // The first column of the first row.
  absl::StatusOr<int64_t> QueryInt(absl::string_view sql);
  absl::StatusOr<std::string> QueryText(absl::string_view sql);

  bool in_transaction() const;
  int64_t changes() const;  // rows touched by the last INSERT, UPDATE or DELETE
  const std::string& path() const { return path_; }

  // The status of a result code of this connection. RESOURCE_EXHAUSTED: disk full or a limit on
  // file size; DATA_LOSS: corrupted or not a database; PERMISSION_DENIED; UNAVAILABLE: busy;
  // INVALID_ARGUMENT: a value too big; INTERNAL: others.
  absl::Status Error(int code) const;

 private:
  Database(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}

  sqlite3* const handle_;
  const std::string path_;
  absl::flat_hash_map<std::string, sqlite3_stmt*> statements_;
};

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_SQLITE_H_
