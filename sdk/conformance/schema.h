// A component's JSON Schema: checks configurations, makes one that is valid, and makes variants of
// one for fuzzing.
#ifndef MFN_CONFORMANCE_SCHEMA_H_
#define MFN_CONFORMANCE_SCHEMA_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace mfn::conformance {

using Json = nlohmann::json;
using Random = std::mt19937_64;

class Schema {
 public:
  // Throws std::runtime_error with what is wrong: not JSON, no schema, a $ref that leaves it.
  explicit Schema(const std::string& text);
  ~Schema();

  const Json& json() const { return json_; }
  // What the schema says against it, with the place; empty: valid.
  std::string Violation(const Json& config) const;
  // A small configuration made from examples, defaults and bounds; it may still be wrong where the
  // schema says what cannot be turned into an example (a pattern).
  Json Example() const;
  // `config` with one to three members set to something interesting that the schema mentions,
  // removed or added. Often invalid; ask Violation.
  Json Mutate(const Json& config, Random& random) const;
  // Whether members that the schema does not name are its author's will.
  bool AllowsUnknownMembers() const;

 private:
  struct Compiled;
  Json json_;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace mfn::conformance

#endif  // MFN_CONFORMANCE_SCHEMA_H_
