internal import KVMTypes
internal import Stage2Model

/// What is settled before the first event is taken in: what the user asks for, and what the survey found.
final class ReplayContext: Sendable {
  /// The kernel and machine that were traced.
  let profile: ReplayProfile
  /// Those that are modelled: the traced ones, unless another kernel is asked for.
  let model: ReplayProfile
  let options: ReplayOptions
  /// What the survey of the trace found.
  let survey: TraceSurvey
  /// The intervals of all series.
  let grid: TimeGrid
  /// Which events of a vCPU's loop the trace has.
  let recorded: ThreadOrder.Recorded
  /// Whether the model is held against the trace: another kernel is not the one that the trace shows.
  let checksRules: Bool
  /// No operation is more certain than this: what a trace does not record forces nothing.
  let hypothesisBasis: Basis
  /// Whether the host seems to map pages only.
  let areRegionsOfPages: Bool

  init(
    profile: ReplayProfile, model: ReplayProfile, options: ReplayOptions, survey: TraceSurvey, grid: TimeGrid
  ) {
    self.profile = profile
    self.model = model
    self.options = options
    self.survey = survey
    self.grid = grid
    recorded = survey.recorded
    checksRules = options.otherKernel == nil
    hypothesisBasis = survey.events.supportsDerivation ? .derived : .assumed
    areRegionsOfPages = survey.regions.areOfPages
  }

  /// The host's page size.
  var pageSize: PageSize { profile.pageSize }
}
