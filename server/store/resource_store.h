// Instances and pipelines that were made by RPC, as serialised messages, so that they are there
// after a restart. Thread-safe; durable on return.
#ifndef MFN_SERVER_STORE_RESOURCE_STORE_H_
#define MFN_SERVER_STORE_RESOURCE_STORE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mfn::store {

struct Resource {
  std::string kind;  // "connector", "publisher", "pipeline"
  std::string name;
  std::string body;  // the owner's serialisation
  std::string etag;  // changes with every Put
};

class ResourceStore {
 public:
  virtual ~ResourceStore() = default;
  // Returns the new etag.
  virtual absl::StatusOr<std::string> Put(absl::string_view kind, absl::string_view name,
                                          absl::string_view body) = 0;
  virtual absl::Status Remove(absl::string_view kind, absl::string_view name) = 0;  // NOT_FOUND
  virtual absl::StatusOr<std::vector<Resource>> List(absl::string_view kind) = 0;   // by name
};

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_RESOURCE_STORE_H_
