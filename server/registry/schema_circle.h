// Finds a schema that is defined as itself: checking a value by it would never end, nor would the
// stack. A schema that returns to itself further down ("a tree has trees") is sound.
#ifndef MFN_SERVER_REGISTRY_SCHEMA_CIRCLE_H_
#define MFN_SERVER_REGISTRY_SCHEMA_CIRCLE_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace mfn::registry {

// The $ref that closes the circle, or opens a chain of references that is too long to follow;
// empty: none does. `schema` is an object without references to other documents.
std::string CircularRef(const nlohmann::json& schema);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_SCHEMA_CIRCLE_H_
