// The SQLite layer: result codes become statuses here and nowhere else.
#include "server/store/sqlite.h"

#include <sqlite3.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace mfn::store {
namespace {

bool IsFull(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

// SQLite itself calls only ENOSPC full; a quota or a file size limit is the same to an operator.
// Its sqlite3_system_errno may have been overwritten by the rollback, so the write-ahead log, which
// is what transactions write, is asked too.
bool MeansFull(sqlite3* handle, int code) {
  if (code == SQLITE_FULL) return true;
  if (code != SQLITE_IOERR && code != SQLITE_CANTOPEN) return false;
  if (IsFull(sqlite3_system_errno(handle))) return true;
  sqlite3_file* log = nullptr;
  const int found = sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  if (found != SQLITE_OK || log == nullptr || log->pMethods == nullptr) return false;
  int error = 0;
  log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
  return IsFull(error);
}

}  // namespace

Query::~Query() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

void Query::Keep(int code) {
  if (code != SQLITE_OK && bind_error_ == SQLITE_OK) bind_error_ = code;
}

void Query::BindInt(int index, int64_t value) {
  Keep(sqlite3_bind_int64(statement_, index, value));
}

// A null pointer would bind NULL, so empty values get an address of their own.
void Query::BindText(int index, absl::string_view value) {
  const char* data = value.empty() ? "" : value.data();
  Keep(sqlite3_bind_text64(statement_, index, data, value.size(), SQLITE_STATIC, SQLITE_UTF8));
}

void Query::BindBlob(int index, absl::string_view value) {
  const char* data = value.empty() ? "" : value.data();
  Keep(sqlite3_bind_blob64(statement_, index, data, value.size(), SQLITE_STATIC));
}

void Query::BindNull(int index) { Keep(sqlite3_bind_null(statement_, index)); }

absl::StatusOr<bool> Query::Step() {
  if (bind_error_ != SQLITE_OK) return database_->Error(bind_error_);
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_->Error(code);
}

absl::Status Query::Run() { return Step().status(); }

int64_t Query::Int(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Query::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (data == nullptr) return "";
  return std::string(static_cast<const char*>(data), static_cast<size_t>(size));
}

bool Query::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  sqlite3* handle = nullptr;
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &handle, kFlags, nullptr);
  if (handle == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory to open database ", path));
  }
  std::unique_ptr<Database> database(new Database(handle, path));
  if (code != SQLITE_OK) return database->Error(code);
  sqlite3_extended_result_codes(handle, 1);
  // Only this process has the file (the directory is locked); what remains is a short wait for our
  // own other connection, or for an operator's sqlite3 shell.
  sqlite3_busy_timeout(handle, 5000);
  return database;
}

Database::~Database() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

absl::StatusOr<Query> Database::Prepare(absl::string_view sql) {
  auto found = statements_.find(sql);
  if (found != statements_.end()) return Query(this, found->second);
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return Error(code);
  statements_.emplace(std::string(sql), statement);
  return Query(this, statement);
}

absl::Status Database::Execute(absl::string_view sql) {
  absl::StatusOr<Query> query = Prepare(sql);
  if (!query.ok()) return query.status();
  return query->Run();
}

absl::Status Database::ExecuteScript(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Error(code);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Database::QueryInt(absl::string_view sql) {
  absl::StatusOr<Query> query = Prepare(sql);
  if (!query.ok()) return query.status();
  absl::StatusOr<bool> row = query->Step();
  if (!row.ok()) return row.status();
  if (!*row) return absl::InternalError(absl::StrCat("database ", path_, ": no row for ", sql));
  return query->Int(0);
}

absl::StatusOr<std::string> Database::QueryText(absl::string_view sql) {
  absl::StatusOr<Query> query = Prepare(sql);
  if (!query.ok()) return query.status();
  absl::StatusOr<bool> row = query->Step();
  if (!row.ok()) return row.status();
  if (!*row) return absl::InternalError(absl::StrCat("database ", path_, ": no row for ", sql));
  return query->Bytes(0);
}

bool Database::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

int64_t Database::changes() const { return sqlite3_changes64(handle_); }

absl::Status Database::Error(int code) const {
  const int primary = code & 0xff;
  std::string text = absl::StrCat("database ", path_, ": ", sqlite3_errmsg(handle_), " (",
                                  sqlite3_errstr(code), ", code ", code, ")");
  if (MeansFull(handle_, primary)) {
    return absl::ResourceExhaustedError(absl::StrCat(text, "; free space on its disk"));
  }
  switch (primary) {
    case SQLITE_NOMEM:
      return absl::ResourceExhaustedError(text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(absl::StrCat(
          text, "; move the file away with its -wal and -shm to start empty, or restore a copy"));
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
      return absl::PermissionDeniedError(absl::StrCat(text, "; the server must own the file"));
    case SQLITE_CANTOPEN:
      return absl::FailedPreconditionError(absl::StrCat(text, "; check its directory and owner"));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(absl::StrCat(text, "; another program is using the file"));
    case SQLITE_TOOBIG:
      return absl::InvalidArgumentError(text);
    default:
      return absl::InternalError(text);
  }
}

}  // namespace mfn::store
