// The books of every pipeline as metrics. A counter never goes down: accounts that items leave
// again (a dead letter is replayed, a parked item goes on) are gauges.
#include "server/pipeline/metrics.h"

#include <string>
#include <utility>

#include "server/pipeline/simulation_figures.h"

namespace mfn::pipeline {
namespace {

constexpr std::pair<PipelineState, const char*> kStates[] = {
    {PipelineState::kStopped, "stopped"},   {PipelineState::kRunning, "running"},
    {PipelineState::kPaused, "paused"},     {PipelineState::kDraining, "draining"},
    {PipelineState::kFinished, "finished"}, {PipelineState::kFailed, "failed"},
};

void CollectConservation(const std::string& name, const Conservation& counts, MetricSet* out) {
  out->Counter("mfn_pipeline_received_items_total", "Items read from the source.",
               {{"pipeline", name}}, static_cast<double>(counts.received));
  const auto settled = [&](const char* outcome, const std::string& cause, uint64_t items) {
    out->Counter("mfn_pipeline_items_total",
                 "Items that are settled, by outcome; what was dropped, by cause.",
                 {{"pipeline", name}, {"outcome", outcome}, {"cause", cause}},
                 static_cast<double>(items));
  };
  settled("delivered", "", counts.delivered);
  settled("returned", "", counts.returned);
  for (const auto& [cause, items] : counts.dropped_by_cause) settled("dropped", cause, items);
  const auto held = [&](const char* account, uint64_t items) {
    out->Gauge(
        "mfn_pipeline_held_items",
        "Items that may still change account: kept as dead letters, waiting for a publisher, "
        "on their way.",
        {{"pipeline", name}, {"account", account}}, static_cast<double>(items));
  };
  held("dead_lettered", counts.dead_lettered);
  held("parked", counts.parked);
  held("in_flight", counts.in_flight);
}

void CollectOne(const std::string& name, const PipelineStatus& status, MetricSet* out) {
  CollectConservation(name, status.counts, out);
  const MetricLabels labels = {{"pipeline", name}};
  out->Counter("mfn_pipeline_records_read_total", "Records read from the source.", labels,
               static_cast<double>(status.records_read));
  out->Counter("mfn_pipeline_records_acked_total", "Records acknowledged to the source.", labels,
               static_cast<double>(status.records_acked));
  out->Counter("mfn_pipeline_dead_letters_replayed_total", "Dead letters delivered by a replay.",
               labels, static_cast<double>(status.replayed));
  out->Counter("mfn_pipeline_simulate_cpu_seconds_total", "Processor time spent in the engine.",
               labels, status.simulate_seconds);
  const auto gauge = [&](const char* metric, const char* help, double value) {
    out->Gauge(metric, help, labels, value);
  };
  gauge("mfn_pipeline_in_flight_records", "Records read and not yet acknowledged.",
        static_cast<double>(status.in_flight_records));
  gauge("mfn_pipeline_in_flight_bytes", "Their bytes.",
        static_cast<double>(status.in_flight_bytes));
  gauge("mfn_pipeline_in_flight_cell_steps", "Their simulation cost.",
        static_cast<double>(status.in_flight_cost));
  gauge("mfn_pipeline_dead_letters", "Dead letters in the store, also of earlier runs.",
        static_cast<double>(status.dead_letters));
  gauge("mfn_pipeline_dead_letter_bytes", "Their bytes.",
        static_cast<double>(status.dead_letter_bytes));
  gauge("mfn_pipeline_oldest_dead_letter_age_seconds", "Age of the oldest of them; 0: none.",
        absl::ToDoubleSeconds(status.oldest_dead_letter));
  for (const auto& [state, word] : kStates) {
    out->Gauge("mfn_pipeline_state", "1 for the state that the pipeline is in.",
               {{"pipeline", name}, {"state", word}}, state == status.state ? 1 : 0);
  }
}

void CollectSimulations(const SimulationFigures& figures, MetricSet* out) {
  const char* runs = "Simulations that ended; a cancelled one has failed.";
  out->Counter("mfn_engine_runs_total", runs, {{"outcome", "success"}},
               static_cast<double>(figures.succeeded.load()));
  out->Counter("mfn_engine_runs_total", runs, {{"outcome", "failure"}},
               static_cast<double>(figures.failed.load()));
  out->Counter("mfn_engine_cell_steps_total", "Cells times steps of simulations that succeeded.",
               {}, static_cast<double>(figures.cell_steps.load()));
  out->Counter("mfn_engine_run_seconds_total", "Time that simulations took, each on one thread.",
               {}, static_cast<double>(figures.nanos.load()) / 1e9);
  out->Gauge("mfn_engine_active_runs", "Simulations that run now.", {},
             static_cast<double>(figures.active.load()));
}

}  // namespace

void CollectMetrics(const PipelineManager& pipelines, MetricSet* out) {
  CollectSimulations(SimulationFigures::OfProcess(), out);
  for (const PipelineConfig& config : pipelines.List()) {
    const auto status = pipelines.Status(config.name);
    if (status.ok()) CollectOne(config.name, *status, out);  // else deleted meanwhile
  }
}

}  // namespace mfn::pipeline
