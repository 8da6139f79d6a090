// Reads /proc/self/stat (proc(5)), counts /proc/self/fd, asks for the limit of descriptors.
#include "server/observability/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace mfn::observability {
namespace {

std::string ReadAll(const char* path) {
  std::ifstream in(path);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

// The fields of /proc/self/stat from the third on: the second is a name that may hold anything.
std::vector<std::string> StatFields() {
  const std::string stat = ReadAll("/proc/self/stat");
  const size_t name_end = stat.rfind(") ");
  if (name_end == std::string::npos) return {};
  return absl::StrSplit(stat.substr(name_end + 2), ' ');
}

std::optional<double> BootTime() {
  for (absl::string_view line : absl::StrSplit(ReadAll("/proc/stat"), '\n')) {
    double seconds = 0;
    if (absl::ConsumePrefix(&line, "btime ") && absl::SimpleAtod(line, &seconds)) return seconds;
  }
  return std::nullopt;
}

std::optional<double> OpenDescriptors() {
  DIR* dir = opendir("/proc/self/fd");
  if (dir == nullptr) return std::nullopt;
  double count = 0;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] != '.') ++count;
  }
  closedir(dir);
  return count - 1;  // the one that reads the directory
}

}  // namespace

void CollectProcessMetrics(MetricSet* out) {
  const std::vector<std::string> fields = StatFields();
  // By its number in proc(5).
  const auto field = [&](size_t number) {
    double value = 0;
    return number - 3 < fields.size() && absl::SimpleAtod(fields[number - 3], &value) ? value : 0.0;
  };
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  if (!fields.empty()) {
    out->Counter("process_cpu_seconds_total", "User and system processor time.", {},
                 (field(14) + field(15)) / ticks);
    out->Gauge("process_threads", "Threads of the process.", {}, field(20));
    out->Gauge("process_virtual_memory_bytes", "Size of the address space.", {}, field(23));
    out->Gauge("process_resident_memory_bytes", "Memory that is resident.", {},
               field(24) * static_cast<double>(sysconf(_SC_PAGESIZE)));
    if (const auto boot = BootTime()) {
      out->Gauge("process_start_time_seconds", "When the process began, Unix time.", {},
                 *boot + field(22) / ticks);
    }
  }
  if (const auto open = OpenDescriptors()) {
    out->Gauge("process_open_fds", "Open file descriptors.", {}, *open);
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    out->Gauge("process_max_fds", "How many file descriptors may be open.", {},
               static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace mfn::observability
