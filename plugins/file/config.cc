#include "plugins/file/config.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "plugins/file/naming.h"

namespace mfn::file {
namespace {

using Json = nlohmann::json;

constexpr const char* kSourceKeys[] = {"mode",        "pattern",      "afterwards",
                                       "archive_dir", "error_dir",    "settle_ms",
                                       "rescan_ms",   "redeliver_ms", "ignore_suffixes",
                                       "decompress",  "content_type", "max_record_bytes"};
constexpr const char* kSinkKeys[] = {"filename", "write",        "compression",
                                     "columns",  "rotate_bytes", "rotate_seconds"};

// The first of the keys that is there, or null.
template <size_t N>
const char* FirstOf(const Json& json, const char* const (&keys)[N]) {
  for (const char* key : keys) {
    if (json.contains(key)) return key;
  }
  return nullptr;
}

template <class T>
void Take(const Json& json, const char* key, T* value) {
  if (auto it = json.find(key); it != json.end()) *value = it->get<T>();
}

template <class Duration>
void TakeDuration(const Json& json, const char* key, Duration* value) {
  if (auto it = json.find(key); it != json.end()) *value = Duration(it->get<int64_t>());
}

Format ToFormat(const std::string& name) {
  if (name == "json") return Format::kJson;
  if (name == "jsonl" || name == "ndjson") return Format::kJsonl;
  if (name == "csv") return Format::kCsv;
  return name == "raw" ? Format::kRaw : Format::kAuto;
}

const char* ExtensionOf(Format format) {
  switch (format) {
    case Format::kJsonl:
      return ".jsonl";
    case Format::kCsv:
      return ".csv";
    case Format::kRaw:
      return ".bin";
    default:
      return ".json";
  }
}

std::string Normal(const std::string& path) {
  std::string normal = std::filesystem::absolute(path).lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

Status ParseSource(const Json& json, SourceConfig* config) {
  config->path = json.at("path").get<std::string>();
  std::string text = "watch";
  Take(json, "mode", &text);
  config->watch = text == "watch";
  config->pattern_given = json.contains("pattern");
  Take(json, "pattern", &config->pattern);
  if (config->pattern.find('/') != std::string::npos) {
    return Status::InvalidConfig("/pattern", "matches file names only and must not contain '/'");
  }
  if (json.contains("format")) config->format = ToFormat(json["format"].get<std::string>());
  text = "leave";
  Take(json, "afterwards", &text);
  config->afterwards = text == "archive"  ? Afterwards::kArchive
                       : text == "delete" ? Afterwards::kDelete
                                          : Afterwards::kLeave;
  Take(json, "archive_dir", &config->archive_dir);
  Take(json, "error_dir", &config->error_dir);
  TakeDuration(json, "settle_ms", &config->settle);
  TakeDuration(json, "rescan_ms", &config->rescan);
  TakeDuration(json, "redeliver_ms", &config->redeliver);
  Take(json, "ignore_suffixes", &config->ignore_suffixes);
  Take(json, "decompress", &config->decompress);
  Take(json, "content_type", &config->content_type);
  Take(json, "max_record_bytes", &config->max_record_bytes);

  if (config->afterwards == Afterwards::kArchive && config->archive_dir.empty()) {
    return Status::InvalidConfig("/archive_dir", "is required with afterwards: archive");
  }
  if (config->afterwards != Afterwards::kArchive && !config->archive_dir.empty()) {
    return Status::InvalidConfig("/archive_dir", "needs afterwards: archive");
  }
  for (const auto& [key, dir] : {std::pair{"/archive_dir", config->archive_dir},
                                 std::pair{"/error_dir", config->error_dir}}) {
    if (!dir.empty() && Normal(dir) == Normal(config->path)) {
      return Status::InvalidConfig(key, "must not be the directory that is read (" + dir + ")");
    }
  }
  return Status::Ok();
}

Status ParseSink(const Json& json, SinkConfig* config) {
  config->path = json.at("path").get<std::string>();
  config->format = ToFormat(json.value("format", "json"));
  if (config->format == Format::kAuto) {
    return Status::InvalidConfig(
        "/format", "auto is for connectors; a publisher needs json, jsonl, csv or raw");
  }
  const bool rows = config->format == Format::kJsonl || config->format == Format::kCsv;
  const std::string write = json.value("write", rows ? "append" : "atomic");
  config->write = write == "append"   ? WriteMode::kAppend
                  : write == "atomic" ? WriteMode::kAtomic
                                      : WriteMode::kOverwrite;
  if (config->write == WriteMode::kAppend && !rows) {
    return Status::InvalidConfig(
        "/write", "append needs format jsonl or csv; json and raw are one file per record");
  }
  const std::string compression = json.value("compression", "none");
  config->compression = compression == "gzip"   ? Compression::kGzip
                        : compression == "zstd" ? Compression::kZstd
                                                : Compression::kNone;
  Take(json, "columns", &config->columns);
  if (!config->columns.empty() && config->format != Format::kCsv) {
    return Status::InvalidConfig("/columns", "needs format csv");
  }
  Take(json, "rotate_bytes", &config->rotate_bytes);
  TakeDuration(json, "rotate_seconds", &config->rotate_after);
  const bool rotates = config->rotate_bytes != 0 || config->rotate_after.count() != 0;
  if (rotates && (!rows || config->write == WriteMode::kAtomic)) {
    return Status::InvalidConfig(
        config->rotate_bytes != 0 ? "/rotate_bytes" : "/rotate_seconds",
        "rotation is for jsonl and csv files that grow (write: append or overwrite)");
  }
  config->filename =
      json.value("filename", std::string(rows ? "records" : "{id}") + ExtensionOf(config->format));
  // An extension that is spelled out already is not added again.
  std::string stem;
  if (CompressionOf(config->filename, &stem) != config->compression) {
    config->filename += mfn::file::ExtensionOf(config->compression);
  }
  return NameTemplate::Parse(config->filename, nullptr);
}

}  // namespace

Status ParseConfig(std::string_view text, Config* config) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("path") || !json["path"].is_string()) {
    return Status::InvalidConfig("/path", "is required and must be a string");
  }
  try {
    const char* source_key = FirstOf(json, kSourceKeys);
    const char* sink_key = FirstOf(json, kSinkKeys);
    if (source_key != nullptr && sink_key != nullptr) {
      return Status::InvalidConfig(std::string("/") + sink_key,
                                   std::string("is for publishers, but '") + source_key +
                                       "' is for connectors; configure one of each");
    }
    config->may_read = sink_key == nullptr;
    // format: auto is for connectors; beside a key of publishers it is a mistake to be reported.
    config->may_write =
        source_key == nullptr && (sink_key != nullptr || json.value("format", "") != "auto");
    if (config->may_read) {
      if (Status s = ParseSource(json, &config->source); !s.ok()) return s;
    }
    if (config->may_write) return ParseSink(json, &config->sink);
    return Status::Ok();
  } catch (const Json::exception& e) {
    return Status::InvalidConfig("", std::string("does not fit the schema: ") + e.what());
  }
}

}  // namespace mfn::file
