// The schema, validate and create: what is accepted, what is refused, and how.
#include <mfn/testing.hpp>
#include <optional>
#include <string>

#include "case.h"
#include "subject.h"
#include "trial.h"

namespace mfn::conformance {
namespace {

// validate and create wait for nothing and nobody.
constexpr milliseconds kNoWaiting{1000};

bool IsPointer(const std::string& text) {
  if (text.empty()) return true;
  if (text[0] != '/') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '~' && (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1'))) {
      return false;
    }
  }
  return true;
}

// A refusal tells an operator which field to mend.
void CheckRefusal(const Reply& reply, const std::string& what, const std::string& config) {
  const std::string seen = what + " refuses " + Shown(config) + " with " + reply.Words();
  if (reply.code != MFN_PERMANENT && reply.code != MFN_UNSUPPORTED) {
    throw Failed{seen + "; a configuration does not become good by itself: answer MFN_PERMANENT"};
  }
  if (!IsPointer(reply.failure.field)) {
    throw Failed{seen + " and the field \"" + reply.failure.field +
                 "\", which is no JSON pointer; write /name/of/field"};
  }
  if (reply.failure.field.empty() && reply.code == MFN_PERMANENT) {
    throw Failed{seen + " and no field; set mfn_failure.field to the JSON pointer of the offender"};
  }
}

Reply Validate(Trial& trial, const std::string& config) {
  const mfn_component& component = trial.component();
  if (component.validate == nullptr) return {};
  sdk::testing::Host host;
  return Call(trial, "validate", kNoWaiting, nullptr, [&](mfn_call* call) {
    return component.validate(call, host.raw(), sdk::ToBytes(config));
  });
}

// Creates and destroys; no connect, since a made-up configuration may point anywhere.
Reply Create(Trial& trial, const std::string& config) {
  const mfn_component& component = trial.component();
  sdk::testing::Host host;
  void* self = nullptr;
  const Reply reply = Call(trial, "create", kNoWaiting, nullptr, [&](mfn_call* call) {
    return component.create(call, host.raw(), sdk::ToBytes(config), &self);
  });
  if (!reply.ok()) return reply;
  if (self == nullptr) throw Failed{"create answers MFN_OK and leaves *self NULL"};
  trial.Step("destroy");
  component.destroy(self);
  return reply;
}

void SchemaIsOne(Trial& trial) {
  const Json& schema = trial.schema().json();
  const auto type = schema.find("type");
  if (type == schema.end() || *type != "object") {
    throw Failed{"config_schema does not say \"type\": \"object\"; a config is always an object"};
  }
}

void Accepted(Trial& trial) {
  const std::string config = trial.config();
  const std::string whose =
      trial.config_is_given() ? "the given config " : "a config made from it, ";
  const std::string violation = trial.schema().Violation(Json::parse(config));
  if (!violation.empty()) {
    const std::string text = "the schema refuses " + whose + Shown(config) + ": " + violation;
    if (trial.config_is_given()) throw Failed{text};
    throw Skipped{text + "; give a --config, or write \"examples\" into the schema"};
  }
  for (const auto& [what, reply] :
       {std::pair<std::string, Reply>("validate", Validate(trial, config)),
        std::pair<std::string, Reply>("create", Create(trial, config))}) {
    if (reply.ok()) continue;
    if (trial.config_is_given()) throw Failed{what + " refuses the given config: " + reply.Words()};
    throw Skipped{what + " refuses " + whose + Shown(config) + ": " + reply.Words() +
                  "; give a --config, or write \"examples\" into the schema"};
  }
}

// Neither the schema nor the plugin refused it.
bool IsAccepted(Trial& trial, const Json& config) {
  if (!trial.schema().Violation(config).empty()) return false;
  const std::string text = config.dump();
  for (const auto& [what, reply] :
       {std::pair<std::string, Reply>("validate", Validate(trial, text)),
        std::pair<std::string, Reply>("create", Create(trial, text))}) {
    if (reply.ok()) continue;
    CheckRefusal(reply, what, text);
    return false;
  }
  return true;
}

void Refused(Trial& trial) {
  const Schema& schema = trial.schema();
  const Json good = Json::parse(trial.config());
  Json misspelt = good;
  misspelt["mfn_no_such_member"] = 1;
  if (!schema.AllowsUnknownMembers() && IsAccepted(trial, misspelt)) {
    throw Failed{
        "a member that does not exist is accepted, so a misspelt one goes unseen; say "
        "\"additionalProperties\": false in the schema (true, if any member is meant)"};
  }
  const Json properties = schema.json().value("properties", Json::object());
  for (const auto& [name, member] : properties.items()) {
    if (!member.is_object() || !member.contains("type")) continue;
    Json wrong = good;
    wrong[name] = Json::array({Json::object({{"mfn", "no such value"}})});
    if (member["type"] != "array" && IsAccepted(trial, wrong)) {
      throw Failed{"an array is accepted as \"" + name + "\""};
    }
  }
}

void Fuzz(Trial& trial) {
  const Schema& schema = trial.schema();
  const Json base = Json::parse(trial.config());
  const std::string replay = "; replay with --seed " + std::to_string(trial.options().seed) +
                             " --fuzz " + std::to_string(trial.options().fuzz);
  Random random(trial.options().seed);
  // Many variants are invalid by the schema and never reach a plugin.
  const int tries = trial.options().fuzz * 20;
  int reached = 0;
  for (int i = 0; i < tries && reached < trial.options().fuzz; ++i) {
    const Json config = i == 0 ? base : schema.Mutate(base, random);
    if (!schema.Violation(config).empty()) continue;
    ++reached;
    const std::string text = config.dump();
    trial.About("config #" + std::to_string(reached) + ": " + text + replay);
    try {
      const Reply validated = Validate(trial, text);
      if (!validated.ok()) {
        CheckRefusal(validated, "validate", text);
        continue;
      }
      const Reply created = Create(trial, text);
      if (created.ok()) continue;
      CheckRefusal(created, "create", text);
      if (trial.component().validate != nullptr && !created.failure.field.empty()) {
        throw Failed{"validate accepts " + Shown(text) +
                     ", but create refuses it: " + created.Words() +
                     "; refuse in validate, so that a check without starting sees it"};
      }
    } catch (const Failed& failed) {
      throw Failed{failed.text + " (config #" + std::to_string(reached) + ": " + Shown(text) + ")" +
                   replay};
    }
  }
  if (reached == 0)
    throw Skipped{"no variant of " + Shown(trial.config()) + " is valid by the schema"};
}

}  // namespace

std::vector<Case> ConfigCases() {
  return {
      {"schema", "config_schema is a JSON Schema of an object and refers to nothing outside", true,
       SchemaIsOne},
      {"config.accepted", "a good configuration is accepted", true, Accepted},
      {"config.refused", "a bad configuration is refused, with the JSON pointer of the field", true,
       Refused},
      {"config.fuzz", "no configuration that the schema allows crashes or hangs validate or create",
       true, Fuzz},
  };
}

}  // namespace mfn::conformance
