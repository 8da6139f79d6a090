// Turns records into the bytes of a file: a line of JSON, a row of a table. Not thread-safe.
#ifndef MFN_PLUGINS_FILE_ENCODE_H_
#define MFN_PLUGINS_FILE_ENCODE_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mfn/sdk/batch.hpp"
#include "plugins/file/fs.h"

namespace mfn::file {

// Ok if the record may stand in a JSON or CSV file: it has a payload, and its content-type, if it
// has one, is JSON. PERMANENT with reason NOT_JSON otherwise.
Status CheckJson(const sdk::RecordView& record);

// The JSON text on one line, with its newline. White space between tokens goes; tokens stay as they
// are, to the digit.
std::string JsonLine(std::string_view json);

// (column, value), in the order of the document; nested objects as dotted paths; arrays are left
// out. PERMANENT with reason NOT_JSON when it is no object.
using Fields = std::vector<std::pair<std::string, std::string>>;
Status Flatten(std::string_view json, Fields* fields);

// One row with its line end ("\n"), RFC 4180 quoting.
std::string CsvRow(const std::vector<std::string>& cells);

// The cells of the row in header's order; a column without a field is empty.
std::string CsvRow(const std::vector<std::string>& header, const Fields& fields);

// Appends to header the fields that it lacks; whether there were any.
bool ExtendHeader(const Fields& fields, std::vector<std::string>* header);

// How many bytes at the start of `text` are complete rows, quotes considered.
uint64_t CompleteCsvBytes(std::string_view text);
// Splits one complete row.
std::vector<std::string> ParseCsvRow(std::string_view row);

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_ENCODE_H_
