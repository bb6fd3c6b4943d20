internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// What the host counted at quiet points, which markers in the trace tell, against the model.
///
/// A marker is taken in at event time, with what is known only then; its figures are compared when everything before it
/// has been executed.
struct MarkerObserver {
  private let context: ReplayContext
  /// Events of ftrace:print so far, and the first memory marker among them.
  private var prints = 0
  private var first: FirstMarker?
  /// The markers that wait, by their numbers.
  private var snapshots: [Int: MarkerSnapshot] = [:]
  private var count = 0
  /// Whether everything has been quiet since a marker that said so, and what the VMs had then.
  private var isQuiet = false
  private var quietBounds: MemoryBounds?
  private(set) var results: [MarkerResult] = []
  private(set) var divergences: DivergenceLog

  init(_ context: ReplayContext) {
    self.context = context
    divergences = DivergenceLog(context)
  }

  /// What broke the rule since the last call, if somebody looks at that one by one.
  mutating func takeDivergences() -> [ObservedDivergence] { divergences.takeObserved() }

  /// An event of ftrace:print outside the part that is replayed.
  mutating func skip() { prints += 1 }

  // MARK: Event time

  /// What an event of ftrace:print says.
  struct Point {
    /// What the host counted, nil where it only says that everything is quiet.
    var memory: MemoryMarker?
    var isQuiet: Bool
  }

  /// The next event of ftrace:print; nil for one that is no marker, or does not matter.
  mutating func next() -> Point? {
    defer { prints += 1 }
    let markers = context.survey.markers
    let point = Point(memory: markers.memory[prints], isQuiet: markers.quiet.contains(prints))
    return point.memory != nil || point.isQuiet ? point : nil
  }

  /// Takes in the marker that `next` returned.
  ///
  /// - Returns: the number under which it waits until everything before it is executed.
  mutating func take(_ point: Point, _ record: TraceRecord, _ roster: MarkerRoster) -> Int {
    var snapshot = MarkerSnapshot(
      marker: point.memory, time: record.time, cpu: record.cpu, tid: record.tid, roster: roster)
    if let marker = point.memory {
      if let first {
        snapshot.doubt = roster.doubt(since: first, marker, wasQuiet: isQuiet, context)
      } else {
        let now = FirstMarker(marker, epoch: roster.epoch, sawVMs: roster.hasVMs)
        first = now
        snapshot.isFirst = true
        if now.sawVMs { snapshot.doubt = .begunMidLife }
      }
    }
    isQuiet = point.isQuiet
    defer { count += 1 }
    snapshots[count] = snapshot
    return count
  }

  // MARK: Execution time

  /// Everything before the marker has been executed.
  ///
  /// - Parameters:
  ///   - number: what `take` returned.
  ///   - bounds: what each VM's stage 2 occupies.
  ///   - order: the marker's place among all steps.
  mutating func compare(_ number: Int, order: UInt64, _ bounds: (MarkerRoster.VM) -> MemoryBounds) {
    guard let snapshot = snapshots.removeValue(forKey: number) else { return }
    let each = snapshot.roster.vms.map(bounds)
    var all = each.reduce(MemoryBounds(), +)
    guard let marker = snapshot.marker, let first else {
      quietBounds = all
      return
    }
    // What the host's own memory management did meanwhile may be counted, or not.
    if let quietBounds { all = all.widened(toInclude: quietBounds) }
    quietBounds = nil
    var result = MarkerResult(
      time: snapshot.time, point: marker.point, isFirst: snapshot.isFirst, figures: [])
    result.figures += hostFigures(marker, snapshot, first.marker, all)
    result.figures += hugeFigures(marker, snapshot, each)
    result.figures += eventFigures(marker, snapshot)
    for figure in result.figures where !figure.verdict.isConsistent {
      put(figure, marker, snapshot, number, order)
    }
    results.append(result)
  }

  /// SecPageTables and mapping objects.
  private func hostFigures(
    _ marker: MemoryMarker, _ snapshot: MarkerSnapshot, _ first: MemoryMarker, _ bounds: MemoryBounds
  ) -> [MarkerFigure] {
    let profile = context.profile
    var figures: [MarkerFigure] = []
    let unmodelled = MarkerRoster.doubtOfTables(snapshot.roster.vms, context).map { snapshot.doubt ?? $0 }
    if let now = marker.secPageTablesBytes, let before = first.secPageTablesBytes {
      var bounds = bounds
      // The PGD of a VM without slots is there from its creation, except under pKVM.
      if !profile.isPKVM {
        for type in snapshot.roster.otherVMs { bounds.pages += profile.pgdPages(of: type) }
      }
      let pgd = profile.pgdPages
      let more = bounds.pagesMore + snapshot.roster.vms.count * (pgd.upperBound - profile.geometry.pgdPages)
      let less = bounds.pagesLess + snapshot.roster.vms.count * (profile.geometry.pgdPages - pgd.lowerBound)
      let shift = Int(profile.pageSize.shift)
      let recorded = Int(now) - Int(before)
      figures.append(
        unmodelled.map { MarkerFigure(unmodelled: .secPageTables, recorded: recorded, doubt: $0) }
          ?? MarkerFigure(
            .secPageTables, recorded: recorded, modelled: bounds.pages << shift,
            range: (bounds.pages - less) << shift...(bounds.pages + more) << shift, doubt: snapshot.doubt))
    }
    if profile.isPKVM, let now = marker.mappings, let before = first.mappings {
      figures.append(
        unmodelled.map { MarkerFigure(unmodelled: .mappings, recorded: now - before, doubt: $0) }
          ?? MarkerFigure(
            .mappings, recorded: now - before, modelled: bounds.mappings,
            range: bounds.mappings - bounds.mappingsLess...bounds.mappings + bounds.mappingsMore,
            doubt: snapshot.doubt))
    }
    return figures
  }

  /// Huge pages of VMMs whose VMs are known: a block maps one.
  private func hugeFigures(
    _ marker: MemoryMarker, _ snapshot: MarkerSnapshot, _ bounds: [MemoryBounds]
  ) -> [MarkerFigure] {
    var figures: [MarkerFigure] = []
    let shift = context.pageSize.levelShift(.l2)
    for (process, bytes) in marker.anonHugeBytes.sorted(by: { $0.key < $1.key }) {
      let vms = zip(snapshot.roster.vms, bounds).filter { $0.0.creator == process }
      guard !vms.isEmpty else { continue }
      let own = vms.map(\.1)
      let sum = own.reduce(MemoryBounds(), +)
      let others = marker.otherHugeBytes.map { $0[process] ?? 0 }
      let bytes = bytes + (others ?? 0)
      let kind: MarkerFigure.Kind = (others ?? 0) > 0 ? .huge : .anonHuge
      if let unknown = MarkerRoster.doubtOfTables(vms.map(\.0), context) {
        figures.append(
          MarkerFigure(
            unmodelled: kind, process: process, recorded: Int(bytes), doubt: snapshot.doubt ?? unknown))
        continue
      }
      let doubt: MarkerDoubt? =
        if let doubt = snapshot.doubt {
          doubt
        } else if sum.blocks.lowerBound << shift <= bytes {
          nil
        } else if own.count > 1 {
          .sharedMemory
        } else {
          others != nil && sum.readBlocks == 0 ? nil : .otherHugePages
        }
      figures.append(
        MarkerFigure(
          kind, process: process, recorded: Int(bytes),
          modelled: sum.blocks.upperBound << shift,
          range: sum.blocks.lowerBound << shift...sum.blocks.upperBound << shift, doubt: doubt, isBound: true)
      )
    }
    return figures
  }

  /// What KVM counted of events that the trace has: they differ where some are missing.
  private func eventFigures(_ marker: MemoryMarker, _ snapshot: MarkerSnapshot) -> [MarkerFigure] {
    var figures: [MarkerFigure] = []
    let doubt: MarkerDoubt? =
      switch snapshot.doubt {
      case .lostEvents, .begunMidLife, .notStopped: snapshot.doubt
      default: nil
      }
    if let exits = marker.exits {
      figures.append(
        Self.figure(
          .exits, recorded: exits, counted: snapshot.roster.exits, isRecorded: context.survey.sawExit, doubt))
    }
    if let user = marker.mmioExitUser, let kernel = marker.mmioExitKernel {
      figures.append(
        Self.figure(
          .mmioExits, recorded: user.addingSaturated(kernel), counted: snapshot.roster.mmioExits,
          isRecorded: context.survey.sawMMIO, doubt))
    }
    return figures
  }

  /// How many events there were, of which the trace has so many. Where KVM counted none, none need be recorded.
  private static func figure(
    _ kind: MarkerFigure.Kind, recorded: UInt64, counted: Int, isRecorded: Bool, _ doubt: MarkerDoubt?
  ) -> MarkerFigure {
    let recorded = Int(clamping: recorded)
    return isRecorded || recorded == 0
      ? MarkerFigure(kind, recorded: recorded, modelled: counted, doubt: doubt)
      : MarkerFigure(unmodelled: kind, recorded: recorded, doubt: doubt ?? .notRecorded)
  }

  /// Rule D24. That a count of events cannot be compared is no matter of the model.
  private mutating func put(
    _ figure: MarkerFigure, _ marker: MemoryMarker, _ snapshot: MarkerSnapshot, _ number: Int, _ order: UInt64
  ) {
    guard figure.difference != 0, figure.verdict == .differs || !figure.kind.isOfEvents else { return }
    let judgement: Judgement =
      figure.verdict == .differs
      ? .unexplained(.accountingMatches) : .unknown(.accountingMatches, figure.doubt?.exception)
    let place = UInt64(number) << 8 | UInt64(figure.kind.rawValue)
    let moment = DivergencePlace(time: snapshot.time, cpu: snapshot.cpu, tid: snapshot.tid, ipa: nil)
    divergences.note(judgement, vm: nil, block: place, order: order, at: moment) { judgement in
      Divergence(
        rule: judgement.rule, verdict: judgement.verdict, exception: judgement.exception, time: snapshot.time,
        cpu: snapshot.cpu, tid: snapshot.tid, vm: nil, ipa: nil,
        expected: "\(judgement.rule.statement); \(figure.expected)",
        observed: "\(figure.kind.name) \(figure.recorded) at the marker \(marker.point)",
        basis: figure.basis ?? .assumed, count: 1, state: nil, recentEvents: [])
    }
  }
}

extension MarkerFigure {
  /// What the model, or the trace, has, in words.
  fileprivate var expected: String {
    guard let modelled, let range else { return "what the model has of \(kind.name) is unknown" }
    return "the \(kind.isOfEvents ? "trace" : "model") has \(kind.name) \(modelled)"
      + (range.count > 1 ? ", or \(range.lowerBound) to \(range.upperBound)" : "")
  }
}

/// The marker from which the host's figures are counted.
struct FirstMarker {
  var marker: MemoryMarker
  var epoch: Epoch
  /// Whether there were VMs already.
  var sawVMs: Bool

  init(_ marker: MemoryMarker, epoch: Epoch, sawVMs: Bool) {
    self.marker = marker
    self.epoch = epoch
    // KVM counts exits while a VM is there, traced or not.
    self.sawVMs = sawVMs || (marker.exits ?? 0) > 0
  }
}
