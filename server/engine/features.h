// The 18 features of a field or of a history of fields (numeric model, section 5). They are
// streamed: frames are given one after the other, and no history is kept.

#ifndef MFN_SERVER_ENGINE_FEATURES_H_
#define MFN_SERVER_ENGINE_FEATURES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/engine/aligned.h"
#include "server/engine/cancel.h"
#include "server/engine/error.h"
#include "server/engine/frame_draft.h"
#include "server/engine/sum_simd.h"

namespace mfn::engine {

inline constexpr size_t kFeatureCount = 18;
// A field larger than any simulation, whose arrays still fit into memory.
inline constexpr int64_t kMaxFeatureGridSize = 16384;

struct FeatureConfig {
  int64_t min_box_size = 2;             // >= 1
  std::optional<int64_t> max_box_size;  // absent: from the grid size
  int64_t num_scales = 5;               // >= 2
  double threshold_low_mv = -60.0;
  double threshold_med_mv = -50.0;
  double threshold_high_mv = -40.0;
  double stability_threshold_mv = 0.001;
  int64_t stability_window = 10;
  int64_t connectivity = 4;  // 4 or 8

  // The extractor's own checks: kInvalidArgument (and kResourceExhausted for num_scales > 1024).
  Expected<void> Validate() const;
  // The stricter twin, which the extractor does not call: Validate, and num_scales <= 20,
  // thresholds ascending within [-100, 50], max_box_size >= min_box_size, window >= 1, stability
  // threshold >= 0.
  Expected<void> ValidateStrict() const;
};

// Members in output order; units in the comments. The names in output are those of kFeatureNames.
struct Features {
  double d_box = 0.0;   // box-counting dimension of the active cells, 0 if undefined
  double d_r2 = 0.0;    // [0, 1]
  double v_min = 0.0;   // mV
  double v_max = 0.0;   // mV
  double v_mean = 0.0;  // mV
  double v_std = 0.0;   // mV
  double v_skew = 0.0;
  double v_kurt = 0.0;    // excess
  double dv_mean = 0.0;   // mV/step
  double dv_max = 0.0;    // mV/step
  int64_t t_stable = 0;   // steps
  double e_trend = 0.0;   // mV^2/step
  double f_active = 0.0;  // [0, 1]
  int64_t n_clusters_low = 0;
  int64_t n_clusters_med = 0;
  int64_t n_clusters_high = 0;
  int64_t max_cluster_size = 0;   // cells
  double cluster_size_std = 0.0;  // cells

  std::array<double, kFeatureCount> ToArray() const;
};

inline constexpr std::array<std::string_view, kFeatureCount> kFeatureNames = {"D_box",
                                                                              "D_r2",
                                                                              "V_min",
                                                                              "V_max",
                                                                              "V_mean",
                                                                              "V_std",
                                                                              "V_skew",
                                                                              "V_kurt",
                                                                              "dV_mean",
                                                                              "dV_max",
                                                                              "T_stable",
                                                                              "E_trend",
                                                                              "f_active",
                                                                              "N_clusters_low",
                                                                              "N_clusters_med",
                                                                              "N_clusters_high",
                                                                              "max_cluster_size",
                                                                              "cluster_size_std"};

// What an accumulator knows of the frames it was given, but for the last frame itself.
struct FeatureState {
  int64_t frames = 0;
  int64_t stable_run = 0;            // steps in a row, up to the last, that were stable
  std::optional<int64_t> stable_at;  // step
  double change_sum = 0.0;           // mV, of all changes but the pending ones
  double change_max = 0.0;           // mV
  double energy_mean = 0.0;          // mV^2
  double energy_covariance = 0.0;    // sum of (t - mean t) (E - mean E), mV^2
  // Changes that no chunk of the sum has taken yet, mV; where a grid's frames are whole half
  // chunks, the sums of 128 of them each. FeatureAccumulator::PendingOf says how many.
  std::vector<double> pending;

  // kInvalidArgument on "features" for a state that cannot be: frames below 0, pending of another
  // size, a number that is not finite or out of order.
  Expected<void> Validate(int64_t grid_size) const;
};

// Not safe for use by two threads at once. Holds a few arrays of one frame, whatever the number of
// frames; adding allocates nothing after Reset.
class FeatureAccumulator {
 public:
  // Empty, to be Reset before use.
  FeatureAccumulator() = default;
  // grid_size >= 1; errors of FeatureConfig::Validate.
  static Expected<FeatureAccumulator> Create(int64_t grid_size, const FeatureConfig& config = {});

  // Starts over, with the same checks, and keeps the memory if it is large enough.
  Expected<void> Reset(int64_t grid_size, const FeatureConfig& config);

  // One frame, N * N values in volt, row-major. A wrong size is kInvalidArgument. NaN is accepted
  // and ends up in the features, as in the reference.
  Expected<void> AddFrame(std::span<const double> frame_v);

  // The same piece by piece, while the frame is written: its first `ready` values are final, and
  // `ready` never falls. The frame ends with the call in which it reaches N * N. `before` is the
  // last frame added, which must still be there, but for one cell that was changed since:
  // `changed`, unless null, has what it was. Not to be mixed with AddFrame. T is double or float;
  // floats count as the doubles of the same values. With `lanes` above 1 both frames lie by so many
  // (lanes_simd.h), N is a multiple of 64, and `ready` one of 128 * lanes.
  struct Cell {
    size_t index;  // in the order in which the frames lie
    double volt;
  };
  template <typename T>
  void Advance(const T* before, const T* frame_v, size_t ready, const Cell* changed,
               size_t lanes = 1);

  // A whole frame by eighths, with what the step kernel has gathered of it, kTapVectors vectors for
  // each unit (kernel_simd.h). `before` is the last frame, unchanged; if there was a spike in
  // `spiked` before the step, `tap` is of the frame with it, and is mended.
  void AddTapped(const double* before, const double* frame_v, size_t lanes,
                 std::optional<size_t> spiked, double* tap);

  // The same for frames that were gathered as drafts, of a grid whose side is a multiple of 128.
  // Whether there may be drafts now, and with what they begin.
  bool TakesDrafts() const { return frames_ > 0 && grid_size_ % int64_t{kSumLeaf} == 0; }
  FrameSums NoSums() const;
  // Whether a draft is enough: while it is open whether the field is stable, the changes themselves
  // may be needed, or groups of one cell. If it is for all that were gathered together, they may be
  // added, in order.
  bool Suffices(const FrameDraft& draft) const;
  // Makes the next drafts, which cost more, suffice where others might not; false if it was so.
  bool LookCloser() { return !std::exchange(close_, true); }
  void AddDraft(const FrameDraft& draft);

  // The features of all frames so far; static ones are those of the last frame, which is given
  // again. kInvalidArgument if there was no frame. More frames may follow, also after kCancelled.
  Expected<Features> Finish(std::span<const double> last_frame_v, const CancelCheck& cancel = {});

  int64_t frames() const { return frames_; }
  // What it holds, used or not.
  size_t MemoryBytes() const {
    return sizeof(double) * (last_v_.capacity() + mv_.capacity() + changes_.capacity() +
                             leaf_sums_.capacity() + leaf_energies_.capacity());
  }

  // To go on later, or elsewhere, as if there had been no interruption. Between frames only.
  FeatureState State() const;
  // Reset, then as after the frames that `state` knows, `last_frame_v` the last of them; with the
  // checks of both.
  Expected<void> Restore(int64_t grid_size, const FeatureConfig& config, const FeatureState& state,
                         std::span<const double> last_frame_v);
  // How many numbers are pending after `frames` frames of a grid.
  static size_t PendingOf(int64_t grid_size, int64_t frames);

 private:
  // The frame that is being added, and the one before.
  template <typename T>
  struct Pair {
    const T* before;
    const T* after;
    const Cell* changed;
    size_t lanes;       // by which both lie; 1: by columns
    size_t eighth = 0;  // unless 0, the vectors of an eighth of a row: they lie by eighths

    // Values that are taken in at once: a leaf in each lane.
    size_t Unit() const { return kSumLeaf * lanes; }

    // Where the k-th cell of a lane is.
    size_t PlaceOf(size_t k, size_t lane) const {
      if (eighth == 0) return k * lanes + lane;
      const size_t column = k % (8 * eighth);
      return (k - column + column % 8 * eighth + column / 8) * lanes + lane;
    }
    double Before(size_t k) const {
      return changed != nullptr && changed->index == k ? changed->volt : double{before[k]};
    }
    double After(size_t k) const { return double{after[k]}; }
  };

  double LargestToBeat() const;
  void BeginFrame();
  template <typename T>
  void AddLeaves(const Pair<T>& pair, size_t end);
  template <typename T>
  void AddLeavesWithChangedCell(const Pair<T>& pair);
  template <typename T>
  void EndFrame(const Pair<T>& pair);
  template <typename T>
  void AddTail(const Pair<T>& pair);
  template <typename T>
  void AddChanges(const Pair<T>& pair);
  void SumFullChunks();
  template <typename T>
  std::span<const double> ChangesOf(const Pair<T>& pair);
  std::optional<bool> Stable(const FrameSums& sums, size_t leaf_cells) const;
  void CountStable(bool stable, const FrameSums& sums, size_t leaf_cells, double margin);
  double Spread(const FrameSums& sums, size_t leaf_cells) const;
  template <typename T>
  void ScanStability(const Pair<T>& pair, size_t leaf_cells);
  void AddEnergy(size_t leaf_cells);
  template <typename T>
  void AddUnits(const Pair<T>& pair, const T* before, size_t count);

  FeatureConfig config_;
  int64_t grid_size_ = 0;
  size_t cells_ = 0;
  int64_t frames_ = 0;
  size_t at_ = 0;                 // cells of the current frame that were taken in
  AlignedVector<double> last_v_;  // the last frame that AddFrame was given
  AlignedVector<double> mv_;      // the last frame in mV, for Finish
  // |H(t+1) - H(t)|, mV, and the sums of 128 each. A frame of whole half chunks needs the sums
  // only.
  bool keeps_changes_ = false;
  AlignedVector<double>
      changes_;  // what no chunk of the sum has taken yet, then the current frame's
  std::vector<double> leaf_sums_;
  std::vector<double> leaf_energies_;  // of the current frame, mV^2
  double tail_energy_ = 0.0;           // of the cells after its last whole leaf
  size_t pending_ = 0;                 // where in changes_ the next chunk of the sum begins
  size_t frame_at_ = 0;                // where in changes_ the current frame begins
  FrameSums sums_;                     // of the current frame
  double change_sum_ = 0.0;            // full chunks, which run across frame borders
  double change_max_ = 0.0;
  bool close_ = false;  // whether the last changes' deviation was not far from the threshold
  int64_t stable_run_ = 0;
  std::optional<int64_t> stable_at_;
  double energy_mean_ = 0.0;        // of E(t), mV^2
  double energy_covariance_ = 0.0;  // sum of (t - mean t) (E - mean E)
};

// Convenience: a history of T frames, frame-major, T * N * N values in volt. T = 1 is one field.
// `cancel` is polled before each frame and as Finish does.
Expected<Features> ExtractFeatures(std::span<const double> frames_v, int64_t num_frames,
                                   int64_t grid_size, const FeatureConfig& config = {},
                                   const CancelCheck& cancel = {});

// Section 5.5: what looks wrong in a set of features, one sentence each; empty if nothing does.
// `strict` narrows the accepted D_box from [0, 2.5] to [1.4, 1.9].
std::vector<std::string> FeatureWarnings(const Features& features, bool strict = false);

// Section 5.5: D_box alone. threshold in volt.
Expected<double> FractalDimension(std::span<const double> field_v, int64_t grid_size,
                                  int64_t num_scales = 8, double threshold_v = -0.060);

// Section 5.5: statistics in mV.
struct FieldStatisticsMv {
  double min = 0.0, max = 0.0, mean = 0.0, std = 0.0;
};
Expected<FieldStatisticsMv> FieldStatisticsInMv(std::span<const double> field_v);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_FEATURES_H_
