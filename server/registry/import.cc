// Size-safe import. A struct is read through its struct_size alone: never a byte past it.
#include "server/registry/import.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/registry/text.h"

namespace mfn::registry {
namespace {

// A descriptor lists what a person wrote; more than this is memory read as a number.
constexpr uint64_t kMaxComponents = 1024;
constexpr uint32_t kMaxInFlight = 1024;
constexpr size_t kMaxText = 1024;
constexpr size_t kMaxName = 64;
constexpr size_t kMaxId = 256;
// No struct of this ABI will be larger; a struct_size that is was never set.
constexpr uint32_t kMaxStruct = 1 << 16;
constexpr size_t kMaxSchema = 1 << 20;

template <class T, class M>
constexpr uint32_t EndOf(M T::*, size_t offset) {
  return static_cast<uint32_t>(offset + sizeof(M));
}
#define MFN_END_OF(T, m) EndOf(&T::m, offsetof(T, m))

// The members that version 1.0 has; a smaller struct is no descriptor of this major version.
constexpr uint32_t kMinPlugin = MFN_END_OF(mfn_plugin, n_components);
constexpr uint32_t kMinComponent = MFN_END_OF(mfn_component, extension);
constexpr uint32_t kMinSource = MFN_END_OF(mfn_source, lane_released);
constexpr uint32_t kMinSink = MFN_END_OF(mfn_sink, flush);
constexpr uint32_t kMinExecutor = MFN_END_OF(mfn_executor, execute);
#undef MFN_END_OF

template <class T>
absl::Status Copy(const T* from, uint32_t minimum, const std::string& what, T* to) {
  uint32_t size = 0;
  std::memcpy(&size, from, sizeof(size));
  if (size < minimum) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": struct_size is ", size,
                                                   ", but ABI 1.0 has ", minimum,
                                                   " bytes; set it to sizeof the struct"));
  }
  if (size > kMaxStruct) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": struct_size is ", size,
                                                   ", more than any struct of the ABI; set it to "
                                                   "sizeof the struct"));
  }
  *to = T();
  std::memcpy(to, from, std::min<size_t>(size, sizeof(T)));
  to->struct_size = std::min<uint32_t>(size, sizeof(T));
  return absl::OkStatus();
}

std::string Text(const char* text) {
  if (text == nullptr) return "";
  return CleanText(Bytes(absl::string_view(text, strnlen(text, kMaxText))), kMaxText);
}

absl::Status Missing(const std::string& what, const char* member) {
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", member, " is NULL; it is required"));
}

bool IsNameChar(char c) { return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.'; }

// A type stands in configurations, log lines and paths of metrics.
absl::Status CheckType(const char* type, const std::string& what) {
  const absl::string_view name(type, strnlen(type, kMaxName + 1));
  if (name.size() <= kMaxName && absl::ascii_isalnum(name.front()) &&
      std::all_of(name.begin(), name.end(), IsNameChar)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": the type \"", CleanText(Bytes(name), kMaxName),
                   "\" must be 1 to 64 letters, digits, '-', '_' or '.', and begin with one of the "
                   "first two"));
}

absl::Status CheckId(const char* id) {
  const absl::string_view text(id, strnlen(id, kMaxId + 1));
  if (text.size() <= kMaxId && CleanText(Bytes(text), kMaxId) == text) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("plugin: id \"", CleanText(Bytes(text), kMaxId),
                                                 "\" must be at most ", kMaxId,
                                                 " bytes of UTF-8 without control characters"));
}

absl::Status ImportSchema(const std::string& what, Component* component) {
  const char* text = component->table.config_schema;
  const absl::string_view schema(text, strnlen(text, kMaxSchema + 1));
  if (schema.size() > kMaxSchema) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": config_schema: larger than ", kMaxSchema, " bytes"));
  }
  auto compiled = ConfigSchema::Parse(schema);
  if (!compiled.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": config_schema: ", compiled.status().message()));
  }
  component->info.config_schema = std::string(schema);
  component->schema = *std::move(compiled);
  return absl::OkStatus();
}

absl::Status ImportRoles(const std::string& what, Component* component) {
  const mfn_component& table = component->table;
  uint32_t in_flight = 1;
  if (table.source != nullptr) {
    if (absl::Status s = Copy(table.source, kMinSource, what + " source", &component->source);
        !s.ok()) {
      return s;
    }
    if (component->source.read == nullptr) return Missing(what, "source.read");
    if (component->source.ack == nullptr) return Missing(what, "source.ack");
    component->info.source = true;
  }
  if (table.sink != nullptr) {
    if (absl::Status s = Copy(table.sink, kMinSink, what + " sink", &component->sink); !s.ok()) {
      return s;
    }
    if (component->sink.write == nullptr) return Missing(what, "sink.write");
    if (component->info.deferred && component->sink.flush == nullptr) {
      return Missing(what, "sink.flush (MFN_DEFERRED is set)");
    }
    in_flight = std::max(in_flight, component->sink.max_in_flight);
    component->info.sink = true;
  }
  if (table.executor != nullptr) {
    if (absl::Status s =
            Copy(table.executor, kMinExecutor, what + " executor", &component->executor);
        !s.ok()) {
      return s;
    }
    if (component->executor.execute == nullptr) return Missing(what, "executor.execute");
    in_flight = std::max(in_flight, component->executor.max_in_flight);
    component->info.executor = true;
  }
  if (!component->info.source && !component->info.sink && !component->info.executor) {
    return Missing(what, "each of source, sink and executor");
  }
  component->max_in_flight = static_cast<int>(std::min(in_flight, kMaxInFlight));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Component>> ImportComponent(const mfn_component* from,
                                                                 uint64_t index,
                                                                 const std::string& plugin_id) {
  std::string what = absl::StrCat("component #", index);
  if (from == nullptr) return Missing(what, "the pointer to it");
  auto component = std::make_shared<Component>();
  component->plugin_id = plugin_id;
  mfn_component& table = component->table;
  if (absl::Status s = Copy(from, kMinComponent, what, &table); !s.ok()) return s;
  if (table.type == nullptr || *table.type == '\0') return Missing(what, "type");
  if (absl::Status s = CheckType(table.type, what); !s.ok()) return s;
  component->info.type = table.type;
  what = absl::StrCat("component \"", component->info.type, "\"");
  if (table.create == nullptr) return Missing(what, "create");
  if (table.destroy == nullptr) return Missing(what, "destroy");
  if (table.config_schema == nullptr) return Missing(what, "config_schema");
  component->flags = table.flags;
  component->info.summary = Text(table.summary);
  component->info.deferred = (table.flags & MFN_DEFERRED) != 0;
  component->info.dedups_by_key = (table.flags & MFN_DEDUPS_BY_KEY) != 0;
  if (absl::Status s = ImportRoles(what, component.get()); !s.ok()) return s;
  if (absl::Status s = ImportSchema(what, component.get()); !s.ok()) return s;
  return component;
}

}  // namespace

absl::StatusOr<ImportedPlugin> ImportPlugin(const mfn_plugin* from) {
  mfn_plugin plugin;
  if (absl::Status s = Copy(from, kMinPlugin, "plugin", &plugin); !s.ok()) return s;
  if (plugin.id == nullptr || *plugin.id == '\0') return Missing("plugin", "id");
  if (absl::Status s = CheckId(plugin.id); !s.ok()) return s;
  if (plugin.components == nullptr) return Missing("plugin", "components");
  if (plugin.n_components == 0 || plugin.n_components > kMaxComponents) {
    return absl::InvalidArgumentError(absl::StrCat("plugin: n_components is ", plugin.n_components,
                                                   "; it must be 1 to ", kMaxComponents));
  }
  ImportedPlugin imported;
  imported.info.id = plugin.id;
  imported.info.version = Text(plugin.version);
  imported.info.vendor = Text(plugin.vendor);
  imported.info.license = Text(plugin.license);
  imported.info.abi_minor = plugin.abi_minor;
  std::set<std::string> types;
  for (uint64_t i = 0; i < plugin.n_components; ++i) {
    auto component = ImportComponent(plugin.components[i], i, imported.info.id);
    if (!component.ok()) return component.status();
    const ComponentInfo& info = (*component)->info;
    if (!types.insert(info.type).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("component #", i, ": the type \"", info.type, "\" is listed twice"));
    }
    imported.info.components.push_back(info);
    imported.components.push_back(*std::move(component));
  }
  return imported;
}

}  // namespace mfn::registry
