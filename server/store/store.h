// What survives a crash: dead letters, plugin state, and resources made by RPC; one SQLite database
// (WAL, synchronous=FULL) in the state directory, which is locked against a second server.
//
// Every mutation is durable when it returns OK. RESOURCE_EXHAUSTED: the disk is full (nothing was
// changed, the caller parks); FAILED_PRECONDITION: the directory is locked or of a newer schema.
// Thread-safe.
#ifndef MFN_SERVER_STORE_STORE_H_
#define MFN_SERVER_STORE_STORE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace mfn::store {

class DeadLetterStore;  // dead_letter_store.h
class ResourceStore;    // resource_store.h
class StateStore;       // state_store.h

class Store {
 public:
  // Makes the directory (mode 0700) if it is missing; upgrades an older schema in place.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& directory);
  virtual ~Store() = default;

  virtual DeadLetterStore& dead_letters() = 0;
  virtual ResourceStore& resources() = 0;
  virtual StateStore& state() = 0;
};

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_STORE_H_
