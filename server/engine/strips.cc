#include "server/engine/strips.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <mutex>

namespace mfn::engine {
namespace {

// Of several steps, each advances by rows of so much memory at a time: what all of them still need
// stays in a core's own cache (measured).
constexpr size_t kBlockBytes = 100 * 1024;
constexpr size_t kMinBlockRows = 4;

}  // namespace

template <typename T>
void Strips<T>::Cut(size_t n, size_t count, const StateArrays<T>& memory, CellOrder order,
                    size_t lanes) {
  n_ = n;
  pitch_ = Pitch(n);
  memory_ = memory;
  activator_ = memory.activator - memory.field;
  inhibitor_ = memory.inhibitor - memory.field;
  order_ = order;
  lanes_ = lanes;
  shift_ = 0;
  count_ = count;
  for (size_t k = 0; k < count; ++k) {
    const size_t row = n * k / count;
    strips_[k] = {row, n * (k + 1) / count - row, row + k * kSpareRows + kSpareRows / 2};
  }
}

template <typename T>
const typename Strips<T>::Strip& Strips<T>::StripOf(size_t row) const {
  size_t k = 0;
  while (row >= strips_[k].row + strips_[k].rows) ++k;
  return strips_[k];
}

template <typename T>
StateArrays<T> Strips<T>::Row(size_t row) const {
  const Strip& strip = StripOf(row);
  T* const at = At(strip, static_cast<ptrdiff_t>(row - strip.row), shift_);
  return {at, at + activator_, at + inhibitor_};
}

template <typename T>
size_t Strips<T>::RowsTogether(size_t row) const {
  const Strip& strip = StripOf(row);
  return pitch_ == n_ ? strip.row + strip.rows - row : 1;
}

// Of a cell in its row.
template <typename T>
size_t Strips<T>::Place(size_t column) const {
  const size_t part = n_ / lanes_;
  return column % part * lanes_ + column / part;
}

template <typename T>
void Strips<T>::CopyRows(const KernelParams& params, const T* from, size_t rows, T* to) const {
  std::copy_n(from, rows * pitch_, to);
  if (!params.turing_enabled) return;
  std::copy_n(from + activator_, rows * pitch_, to + activator_);
  std::copy_n(from + inhibitor_, rows * pitch_, to + inhibitor_);
}

// The first and the last rows of strip k to the halos of those beside it; beyond the grid's first
// and last row, what the boundary says.
template <typename T>
void Strips<T>::GiveBorders(const KernelParams& params, size_t steps, size_t k) {
  const Strip& strip = strips_[k];
  const bool periodic = params.boundary == Boundary::kPeriodic;
  const ptrdiff_t halo = static_cast<ptrdiff_t>(steps);
  const ptrdiff_t rows = static_cast<ptrdiff_t>(strip.rows);
  if (k > 0 || periodic) {
    const Strip& above = strips_[(k + count_ - 1) % count_];
    CopyRows(params, At(strip, 0, shift_), steps,
             At(above, static_cast<ptrdiff_t>(above.rows), shift_));
  }
  if (k + 1 < count_ || periodic) {
    const Strip& below = strips_[(k + 1) % count_];
    CopyRows(params, At(strip, rows - halo, shift_), steps, At(below, -halo, shift_));
  }
  if (periodic) return;
  const auto beyond = [&](ptrdiff_t row, ptrdiff_t edge) {
    T* const at = At(strip, row, shift_);
    if (params.boundary == Boundary::kNeumann)
      return CopyRows(params, At(strip, edge, shift_), 1, at);
    std::fill_n(at, n_, T{0});
    if (!params.turing_enabled) return;
    std::fill_n(at + activator_, n_, T{0});
    std::fill_n(at + inhibitor_, n_, T{0});
  };
  if (k == 0) beyond(-1, 0);
  if (k + 1 == count_) beyond(rows, rows - 1);
}

// One strip's share of some steps. Step s of them has the rows from s - steps on to as many beyond
// the strip's last; what lies around them is the step before's.
template <typename T>
class Strips<T>::Sweep {
 public:
  Sweep(const Strips& grid, const KernelParams& params, const Strip& strip,
        std::span<const std::optional<Spike>> spikes, bool up, Watch watch)
      : grid_(grid),
        params_(params),
        strip_(strip),
        spikes_(spikes),
        up_(up),
        watch_(watch),
        steps_(static_cast<ptrdiff_t>(spikes.size())),
        rows_(static_cast<ptrdiff_t>(strip.rows)),
        block_rows_(static_cast<ptrdiff_t>(BlockRows(grid.n_, spikes.size()))) {}

  void Run() {
    const ptrdiff_t turns = (rows_ + 2 * steps_) / block_rows_ + steps_ + 1;
    for (ptrdiff_t turn = 0; turn < turns; ++turn) {
      for (ptrdiff_t s = 1; s <= std::min(steps_, turn + 1); ++s) StepBlock(s, turn + 1 - s);
    }
  }

  const StepCounts& counts() const { return counts_; }
  const Reach& seen() const { return seen_; }

 private:
  static size_t BlockRows(size_t n, size_t steps) {
    if (steps == 1) return kMaxBlockRows;
    return std::clamp(kBlockBytes / (3 * n * sizeof(T)), kMinBlockRows, kMaxBlockRows);
  }

  T* At(ptrdiff_t row, ptrdiff_t steps) const {
    return grid_.At(strip_, row, grid_.shift_ + (up_ ? 2 : -2) * steps);
  }

  // Block number p of step s, in the direction of the sweep.
  void StepBlock(ptrdiff_t s, ptrdiff_t p) {
    const ptrdiff_t halo = steps_ - s;
    const ptrdiff_t done = p * block_rows_;
    const ptrdiff_t left = rows_ + 2 * halo - done;
    if (left <= 0) return;
    const ptrdiff_t rows = std::min(left, block_rows_);
    const ptrdiff_t first = up_ ? rows_ + halo - done - rows : done - halo;
    const RowBlock<T> block = BlockOf(s, first, rows);
    Reach passed = kNothingSeen;
    Reach* const seen = s == steps_ && watch_ != Watch::kNone ? &seen_
                        : watch_ == Watch::kAll               ? &passed
                                                              : nullptr;
    if (!StepRows(params_, block, seen)) Settle(first, block);
    if (s < steps_) AddSpike(s, first, block);
  }

  RowBlock<T> BlockOf(ptrdiff_t s, ptrdiff_t first, ptrdiff_t rows) const {
    RowBlock<T> block;
    block.rows = static_cast<size_t>(rows);
    block.width = grid_.n_;
    block.ends = EndsOf(params_.boundary);
    block.order = grid_.order_;
    block.up = up_;
    block.aside = grid_.pitch_ == grid_.n_ ? 0 : static_cast<ptrdiff_t>(grid_.n_);
    const T* from = At(first - 1, s - 1);
    T* to = At(first, s);
    for (size_t k = 0; k < block.rows + 2; ++k) block.field[k] = from + k * grid_.pitch_;
    for (size_t k = 0; k < block.rows; ++k) block.next_field[k] = to + k * grid_.pitch_;
    block.activator = block.next_activator = grid_.activator_;
    block.inhibitor = block.next_inhibitor = grid_.inhibitor_;
    return block;
  }

  // Counts the strip's own cells only: its halo is counted by its neighbours.
  void Settle(ptrdiff_t first, const RowBlock<T>& block) {
    for (size_t k = 0; k < block.rows; ++k) {
      const ptrdiff_t row = first + static_cast<ptrdiff_t>(k);
      StepCounts ignored;
      T* const at = block.next_field[k];
      SettleRow(params_, grid_.n_, at, at + grid_.activator_, at + grid_.inhibitor_,
                row >= 0 && row < rows_ ? &counts_ : &ignored);
    }
  }

  // The spike after s steps, in each image of its cell.
  void AddSpike(ptrdiff_t s, ptrdiff_t first, const RowBlock<T>& block) const {
    const std::optional<Spike>& spike = spikes_[static_cast<size_t>(s)];
    if (!spike) return;
    const ptrdiff_t n = static_cast<ptrdiff_t>(grid_.n_);
    const ptrdiff_t own =
        static_cast<ptrdiff_t>(spike->row) - static_cast<ptrdiff_t>(strip_.row) - first;
    for (const ptrdiff_t k : {own - n, own, own + n}) {
      if (k < 0 || k >= static_cast<ptrdiff_t>(block.rows)) continue;
      block.next_field[k][grid_.Place(spike->column)] += static_cast<T>(spike->volt);
    }
  }

  const Strips& grid_;
  const KernelParams& params_;
  const Strip& strip_;
  const std::span<const std::optional<Spike>> spikes_;
  const bool up_;
  const Watch watch_;
  const ptrdiff_t steps_;
  const ptrdiff_t rows_;
  const ptrdiff_t block_rows_;
  StepCounts counts_;
  Reach seen_ = kNothingSeen;
};

// All strips. Whoever comes first to one or to one beside it gives its borders away.
template <typename T>
void Strips<T>::SweepTogether(const KernelParams& params,
                              std::span<const std::optional<Spike>> spikes, bool up, Watch watch,
                              Team* team, StepCounts* counts, Reach* seen) {
  std::array<std::once_flag, kMaxStrips> given;
  std::atomic<size_t> next{0};
  std::mutex mutex;
  const auto work = [&](size_t) {
    for (size_t k; (k = next.fetch_add(1, std::memory_order_relaxed)) < count();) {
      for (const size_t beside : {k, (k + 1) % count(), (k + count() - 1) % count()}) {
        std::call_once(given[beside], [&] { GiveBorders(params, spikes.size(), beside); });
      }
      Sweep sweep(*this, params, strips_[k], spikes, up, watch);
      sweep.Run();
      const std::lock_guard lock(mutex);
      *counts += sweep.counts();
      *seen = Union(*seen, sweep.seen());
    }
  };
  team != nullptr ? team->Run(work) : work(0);
}

template <typename T>
StepCounts Strips<T>::Step(const KernelParams& params, std::span<const std::optional<Spike>> spikes,
                           Team* team, Reach* reach) {
  const size_t steps = spikes.size();
  assert(steps <= kMaxSteps && (steps <= 1 || params.boundary == Boundary::kPeriodic));
  if (spikes[0])
    Row(spikes[0]->row).field[Place(spikes[0]->column)] += static_cast<T>(spikes[0]->volt);
  const Reach expected = After(*reach, params, spikes, kEpsilon<T>);
  // A look in time at one of several steps spares looking at all of the next.
  const Watch watch =
      !WithinLimits(expected, params) ? Watch::kAll
      : steps > 1 && !WithinLimits(After(expected, params, spikes, kEpsilon<T>), params)
          ? Watch::kLast
          : Watch::kNone;
  const ptrdiff_t move = 2 * static_cast<ptrdiff_t>(steps);
  const bool up = shift_ - move < -2 * static_cast<ptrdiff_t>(kMaxSteps);
  StepCounts counts;
  Reach seen = kNothingSeen;
  if (count() == 1) {
    GiveBorders(params, steps, 0);
    Sweep sweep(*this, params, strips_[0], spikes, up, watch);
    sweep.Run();
    counts = sweep.counts();
    seen = sweep.seen();
  } else {
    SweepTogether(params, spikes, up, watch, team, &counts, &seen);
  }
  shift_ += up ? move : -move;
  *reach = watch == Watch::kNone ? expected : Settled(seen, params);
  return counts;
}

template class Strips<double>;
template class Strips<float>;

}  // namespace mfn::engine
