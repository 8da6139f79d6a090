#include "plugins/file/encode.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

namespace mfn::file {
namespace {

using Json = nlohmann::ordered_json;

Status NotJson(const std::string& message) { return Status::Permanent("NOT_JSON", message); }

std::string Scalar(const Json& value) {
  if (value.is_null()) return {};
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void FlattenInto(const Json& object, const std::string& prefix, Fields* fields) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_object()) {
      FlattenInto(value, prefix + name + ".", fields);
    } else if (!value.is_array()) {
      fields->emplace_back(prefix + name, Scalar(value));
    }
  }
}

void AppendCell(const std::string& cell, std::string* row) {
  if (cell.find_first_of(",\"\r\n") == std::string::npos) {
    row->append(cell);
    return;
  }
  row->push_back('"');
  for (char c : cell) {
    if (c == '"') row->push_back('"');
    row->push_back(c);
  }
  row->push_back('"');
}

}  // namespace

Status CheckJson(const sdk::RecordView& record) {
  if (!record.has_payload()) {
    return NotJson("the record has no payload, which a JSON or CSV file cannot express");
  }
  const auto type = record.attr("content-type");
  if (!type || type->find("json") != std::string_view::npos) return Status::Ok();
  return NotJson("the record is " + std::string(*type) + ", not JSON; write it with format: raw");
}

std::string JsonLine(std::string_view json) {
  std::string line;
  line.reserve(json.size() + 1);
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      line += c;
      if (c == '\\' && i + 1 < json.size()) {
        line += json[++i];
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
    if (c == '"') in_string = true;
    line += c;
  }
  line += '\n';
  return line;
}

Status Flatten(std::string_view text, Fields* fields) {
  fields->clear();
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return NotJson("a CSV row is made from a JSON object, and this is none");
  FlattenInto(json, "", fields);
  return Status::Ok();
}

std::string CsvRow(const std::vector<std::string>& cells) {
  std::string row;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) row += ',';
    AppendCell(cells[i], &row);
  }
  // An empty line would read as no row at all.
  if (row.empty()) row = "\"\"";
  row += '\n';
  return row;
}

std::string CsvRow(const std::vector<std::string>& header, const Fields& fields) {
  std::unordered_map<std::string_view, const std::string*> values;
  for (const auto& [name, value] : fields) values[name] = &value;
  std::vector<std::string> cells;
  for (const std::string& column : header) {
    const auto it = values.find(column);
    cells.push_back(it == values.end() ? std::string() : *it->second);
  }
  return CsvRow(cells);
}

bool ExtendHeader(const Fields& fields, std::vector<std::string>* header) {
  std::unordered_set<std::string> known(header->begin(), header->end());
  const size_t before = header->size();
  for (const auto& [name, value] : fields) {
    if (known.insert(name).second) header->push_back(name);
  }
  return header->size() != before;
}

uint64_t CompleteCsvBytes(std::string_view text) {
  uint64_t complete = 0;
  bool in_quotes = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') in_quotes = !in_quotes;  // "" toggles twice
    if (text[i] == '\n' && !in_quotes) complete = i + 1;
  }
  return complete;
}

std::vector<std::string> ParseCsvRow(std::string_view row) {
  std::vector<std::string> cells(1);
  bool in_quotes = false;
  for (size_t i = 0; i < row.size(); ++i) {
    const char c = row[i];
    if (in_quotes && c == '"' && i + 1 < row.size() && row[i + 1] == '"') {
      cells.back() += '"';
      ++i;
    } else if (c == '"') {
      in_quotes = !in_quotes;
    } else if (!in_quotes && c == ',') {
      cells.emplace_back();
    } else if (in_quotes || (c != '\n' && c != '\r')) {
      cells.back() += c;
    }
  }
  return cells;
}

}  // namespace mfn::file
