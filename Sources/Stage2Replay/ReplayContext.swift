internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// What is settled before the first event is taken in: what the user asks for, and what the survey found.
///
/// Of a source that can be read only once the survey goes on, ahead of the replay. Invariant: `learn` is called between two runs
/// of events, when no VM is being executed, so that nobody reads `survey` meanwhile.
final class ReplayContext: Sendable {
  /// The kernel and machine that were traced.
  let profile: ReplayProfile
  /// Those that are modelled: the traced ones, unless another kernel is asked for.
  let model: ReplayProfile
  let options: ReplayOptions
  /// The thread that reads ahead; nil where the caller's is the only one.
  let reader: WorkerThread?
  /// The threads that execute VMs beside the caller's. Of two threads the second one reads ahead and executes; of more, one only
  /// reads.
  let executors: [WorkerThread]
  /// Which events the trace records, as far as was known before the first of them: what follows from that is judged alike from
  /// the first event to the last.
  let events: RecordedEvents
  /// What the survey of the trace found.
  private(set) nonisolated(unsafe) var survey: TraceSurvey
  /// The part of the trace that is replayed.
  let part: TracePart
  /// The intervals of all series.
  let grid: TimeGrid
  /// Which events of a vCPU's loop the trace has.
  let recorded: ThreadOrder.Recorded
  /// Whether the trace has guests' faults, so that it is known what ages found.
  let tellsFaults: Bool
  /// No operation is more certain than this: what a trace does not record forces nothing, and where other VMs were left out, what they did
  /// is not recorded.
  let hypothesisBasis: Basis
  /// Whether the host seems to map pages only.
  let areRegionsOfPages: Bool
  /// Whether the traced kernel maps blocks of PUD_SIZE: the traditional path alone, and with pages of 4 KiB
  /// (`fault_supports_stage2_huge_mapping`, `KVM_PGTABLE_MIN_BLOCK_LEVEL`).
  let mapsPUDs: Bool
  /// What is known of the traced host, which its profile has a guess of otherwise.
  let hostKnowledge: HostKnowledge

  init(
    profile: ReplayProfile, model: ReplayProfile, hostKnowledge: HostKnowledge, options: ReplayOptions,
    survey: TraceSurvey, part: TracePart, grid: TimeGrid
  ) {
    self.profile = profile
    self.model = model
    self.options = options
    let others = (1..<max(options.jobs, 1)).map { _ in WorkerThread() }
    reader = others.first
    executors = others.count > 1 ? Array(others.dropFirst()) : others
    self.survey = survey
    events = survey.events
    self.part = part
    self.grid = grid
    recorded = survey.recorded
    tellsFaults = survey.events.tellsFaults
    let lacksOthers = part.slice?.otherVMs == .meanwhile
    hypothesisBasis = survey.events.supportsDerivation && !lacksOthers ? .derived : .assumed
    areRegionsOfPages = survey.regions.areOfPages
    mapsPUDs = !profile.isPKVM && profile.geometry.minBlockLevel < .l2
    self.hostKnowledge = hostKnowledge
  }

  /// The survey found out more of threads, markers and the ages of memory. What was settled before the first event stays as it is.
  func learn(_ found: TraceSurvey) { survey = found }

  /// Whether the trace is a part without VMs that were there at the same time as those it has: whose memory a notifier tells of, and in
  /// how many copies, what it shows does not decide.
  var lacksOtherVMs: Bool { part.slice?.otherVMs == .meanwhile }

  /// The host's page size.
  var pageSize: PageSize { profile.pageSize }

  /// Whether the traced kernel may map a block of PUD_SIZE around a frame of a slot.
  func mayMapPUD(_ slot: Memslot, at gfn: GFN) -> Bool {
    mapsPUDs && slot.supportsBlock(of: pageSize.granule(.l1), at: gfn, pageSize)
  }
}

/// What is known of the traced host.
struct HostKnowledge: OptionSet {
  let rawValue: UInt8

  /// Whether CTR_EL0.DIC is set: with it everything is mapped executable.
  static let dic = HostKnowledge(rawValue: 1)
  /// Whether the address of a fault is aligned to a page that is larger than 4 KiB (`PKVMEra.alignsFaultIPA`).
  static let pageAddress = HostKnowledge(rawValue: 2)
  /// Whether rights to pages of a guest_memfd are relaxed (`PKVMEra.relaxesGuestMemfd`).
  static let guestMemfd = HostKnowledge(rawValue: 4)

  init(rawValue: UInt8) { self.rawValue = rawValue }

  /// - Parameters:
  ///   - release: that of the kernel which the trace or whoever replays it names, nil where neither does.
  ///   - isEraStated: whether who replays it says as which kernel.
  init(isDICKnown: Bool, release: KernelRelease?, isEraStated: Bool, _ profile: Profile) {
    self = isEraStated || release != nil ? .guestMemfd : []
    if isDICKnown { insert(.dic) }
    // Two series have the fix in their later stable releases, whose third number is not read.
    let isTold = release.map {
      $0 < KernelRelease(major: 6, minor: 18) || $0 > KernelRelease(major: 6, minor: 19)
    }
    let isToldByEra = isEraStated && ![.v6_18, .v6_19].contains(profile.era)
    if profile.pageSize == .size4K || profile.alignsFaultIPA != nil || isToldByEra || isTold == true {
      insert(.pageAddress)
    }
  }
}
