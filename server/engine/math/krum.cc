// Krum over an index list into one flat copy of the gradients, so that clusters copy nothing.

#include "server/engine/math/krum.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

namespace mfn::engine {
namespace {

// Count rows of dim values.
template <typename T>
struct Rows {
  std::vector<T> values;
  size_t dim = 0;

  const T* row(size_t index) const { return values.data() + index * dim; }
};

using Members = std::vector<size_t>;  // rows of one cluster, in the caller's order

Error TooMuch(std::string message) {
  Error error;
  error.kind = ErrorKind::kResourceExhausted;
  error.field = "gradients";
  error.message = std::move(message);
  return error;
}

Expected<void> CheckShape(Gradients gradients) {
  if (gradients.empty())
    return InvalidArgument("gradients", "gradients is empty, needs at least one");
  if (gradients.size() > kMaxKrumGradients) {
    return TooMuch(std::to_string(gradients.size()) + " gradients are too many, at most " +
                   std::to_string(kMaxKrumGradients));
  }
  const size_t dim = gradients[0].size();
  if (dim == 0)
    return InvalidArgument("gradients", "gradient 0 is empty, needs at least one value");
  if (dim > kMaxKrumValues / gradients.size()) {
    return TooMuch(std::to_string(gradients.size()) + " gradients of " + std::to_string(dim) +
                   " values are too large, at most " + std::to_string(kMaxKrumValues) + " values");
  }
  for (size_t i = 1; i < gradients.size(); ++i) {
    if (gradients[i].size() == dim) continue;
    return InvalidArgument("gradients", "gradient " + std::to_string(i) + " has " +
                                            std::to_string(gradients[i].size()) +
                                            " values, gradient 0 has " + std::to_string(dim) +
                                            "; all must have the same length");
  }
  return {};
}

// Converts to T and refuses what is not finite there: one NaN would win every selection.
template <typename T>
Expected<Rows<T>> CopyRows(Gradients gradients) {
  if (auto ok = CheckShape(gradients); !ok.ok()) return ok.error();
  Rows<T> rows;
  rows.dim = gradients[0].size();
  rows.values.reserve(gradients.size() * rows.dim);
  for (size_t i = 0; i < gradients.size(); ++i) {
    for (size_t j = 0; j < rows.dim; ++j) {
      const double value = gradients[i][j];
      // A conversion out of float's range is undefined before it is infinite.
      const bool fits = std::fabs(value) <= static_cast<double>(std::numeric_limits<T>::max());
      if (!fits) {
        return InvalidArgument(
            "gradients", "gradient " + std::to_string(i) + " value " + std::to_string(j) + " is " +
                             FormatDouble(value) + ", must be finite in " +
                             std::to_string(8 * sizeof(T)) + "-bit floating point");
      }
      rows.values.push_back(static_cast<T>(value));
    }
  }
  return rows;
}

uint64_t Work(uint64_t members, uint64_t dim) { return members * members * (dim + 16); }

Expected<void> CheckWork(uint64_t work) {
  if (work <= kMaxKrumWork) return {};
  return TooMuch("comparing all pairs of these gradients is too much work (" +
                 std::to_string(work) + " steps, at most " + std::to_string(kMaxKrumWork) +
                 "); send fewer gradients or use more clusters");
}

template <typename T>
double Distance(const T* a, const T* b, size_t dim) {
  double squares = 0.0;
  for (size_t k = 0; k < dim; ++k) {
    const double d = static_cast<double>(a[k]) - static_cast<double>(b[k]);
    squares += d * d;
  }
  return std::sqrt(squares);
}

// The chosen row. num_byzantine >= 0.
template <typename T>
Expected<size_t> Select(const Rows<T>& rows, const Members& members, uint64_t num_byzantine,
                        const CancelCheck& cancel) {
  const size_t n = members.size();
  if (n == 1) return members[0];
  const size_t nearest = num_byzantine + 2 < n ? n - num_byzantine - 2 : 1;
  std::vector<double> distances(n);
  size_t best = 0;
  double best_score = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < n; ++i) {
    if (cancel && cancel()) return Cancelled();
    for (size_t j = 0; j < n; ++j) {
      distances[j] = Distance(rows.row(members[i]), rows.row(members[j]), rows.dim);
    }
    // The first of the sorted distances is the zero of the row to itself.
    std::sort(distances.begin(), distances.end());
    const double score = std::accumulate(
        distances.begin() + 1, distances.begin() + 1 + static_cast<ptrdiff_t>(nearest), 0.0);
    if (score < best_score) {
      best_score = score;
      best = i;
    }
  }
  return members[best];
}

uint64_t Byzantine(size_t count, double fraction) {
  return std::max<uint64_t>(1, static_cast<uint64_t>(static_cast<double>(count) * fraction));
}

// Row numbers to aggregate, in order.
Expected<Members> Sample(const KrumParams& params, size_t count, Generator& generator) {
  Members kept(count);
  std::iota(kept.begin(), kept.end(), size_t{0});
  if (count <= kKrumSamplingThreshold) return kept;
  const auto size = static_cast<uint64_t>(static_cast<double>(count) * params.sample_fraction);
  if (size == 0) {
    return InvalidArgument("sample_fraction",
                           "sample_fraction is " + FormatDouble(params.sample_fraction) +
                               ", which keeps none of the " + std::to_string(count) + " gradients");
  }
  const std::vector<uint64_t> choice = generator.ChoiceWithoutReplacement(count, size);
  kept.assign(choice.begin(), choice.end());
  return kept;
}

std::vector<Members> Cluster(const Members& kept, int64_t num_clusters, Generator& generator) {
  const size_t clusters =
      static_cast<size_t>(std::min<uint64_t>(static_cast<uint64_t>(num_clusters), kept.size()));
  std::vector<Members> result(clusters);
  for (const size_t row : kept) result[generator.Integers(clusters)].push_back(row);
  std::erase_if(result, [](const Members& members) { return members.empty(); });
  return result;
}

// 0.7 * Krum's choice + 0.3 * lower median, per coordinate, in T.
template <typename T>
Expected<std::vector<T>> Join(const Rows<T>& rows, const Members& representatives,
                              double byzantine_fraction, const CancelCheck& cancel) {
  const size_t count = representatives.size();
  const auto choice = Select(rows, representatives, Byzantine(count, byzantine_fraction), cancel);
  if (!choice.ok()) return choice.error();
  const T* chosen = rows.row(*choice);
  const auto middle = static_cast<ptrdiff_t>((count - 1) / 2);
  std::vector<T> column(count);
  std::vector<T> result(rows.dim);
  for (size_t k = 0; k < rows.dim; ++k) {
    for (size_t i = 0; i < count; ++i) column[i] = rows.row(representatives[i])[k];
    std::nth_element(column.begin(), column.begin() + middle, column.end());
    const T krum_part = static_cast<T>(0.7) * chosen[k];
    const T median_part = static_cast<T>(0.3) * column[static_cast<size_t>(middle)];
    result[k] = krum_part + median_part;
  }
  return result;
}

template <typename T>
Expected<std::vector<T>> Aggregate(const KrumParams& params, Gradients gradients,
                                   Generator& generator, const CancelCheck& cancel) {
  if (auto ok = ValidateKrumParams(params); !ok.ok()) return ok.error();
  const Expected<Rows<T>> rows = CopyRows<T>(gradients);
  if (!rows.ok()) return rows.error();
  const Expected<Members> kept = Sample(params, gradients.size(), generator);
  if (!kept.ok()) return kept.error();
  const std::vector<Members> clusters = Cluster(*kept, params.num_clusters, generator);
  uint64_t work = Work(clusters.size(), rows->dim);
  for (const Members& members : clusters) work += Work(members.size(), rows->dim);
  if (auto ok = CheckWork(work); !ok.ok()) return ok.error();

  Members representatives;
  for (const Members& members : clusters) {
    const auto choice =
        Select(*rows, members, Byzantine(members.size(), params.byzantine_fraction), cancel);
    if (!choice.ok()) return choice.error();
    representatives.push_back(*choice);
  }
  return Join(*rows, representatives, params.byzantine_fraction, cancel);
}

}  // namespace

Expected<void> ValidateKrumParams(const KrumParams& params) {
  if (params.num_clusters < 1) {
    return InvalidArgument("num_clusters", static_cast<double>(params.num_clusters), 1.0,
                           std::nullopt);
  }
  if (!(params.byzantine_fraction >= 0.0 && params.byzantine_fraction < 0.5)) {
    return InvalidArgument("byzantine_fraction", "byzantine_fraction is " +
                                                     FormatDouble(params.byzantine_fraction) +
                                                     ", must be at least 0 and below 0.5");
  }
  if (!(params.sample_fraction > 0.0 && params.sample_fraction <= 1.0)) {
    return InvalidArgument("sample_fraction", "sample_fraction is " +
                                                  FormatDouble(params.sample_fraction) +
                                                  ", must be above 0 and at most 1");
  }
  return {};
}

Expected<size_t> KrumSelect(Gradients gradients, int64_t num_byzantine) {
  if (num_byzantine < 0) {
    return InvalidArgument("num_byzantine", static_cast<double>(num_byzantine), 0.0, std::nullopt);
  }
  const Expected<Rows<double>> rows = CopyRows<double>(gradients);
  if (!rows.ok()) return rows.error();
  if (auto ok = CheckWork(Work(gradients.size(), rows->dim)); !ok.ok()) return ok.error();
  Members all(gradients.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return Select(*rows, all, static_cast<uint64_t>(num_byzantine), {});
}

Expected<std::vector<double>> AggregateGradients(const KrumParams& params, Gradients gradients,
                                                 Generator& generator, const CancelCheck& cancel) {
  return Aggregate<double>(params, gradients, generator, cancel);
}

Expected<std::vector<float>> AggregateGradientsFloat32(const KrumParams& params,
                                                       Gradients gradients, Generator& generator,
                                                       const CancelCheck& cancel) {
  return Aggregate<float>(params, gradients, generator, cancel);
}

}  // namespace mfn::engine
