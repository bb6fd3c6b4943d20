internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// What the host counted at quiet points, which markers in the trace tell, against the model.

extension Replayer where Backend: ~Copyable {
  // MARK: The lives of VMs

  /// A VM is created or destroyed.
  mutating func noteLife(_ record: TraceRecord) {
    switch record.kind {
    case .initVM: initVM(record)
    case .destroyVM: destroyVM(record)
    default: break
    }
  }

  /// Nothing is modelled of a VM before it has memslots.
  private mutating func initVM(_ record: TraceRecord) {
    let creation = record.vmCreation
    if let known = liveVMs.last(where: { vms[$0].kvm == creation.kvm }) { retire(vm: known, at: record.time) }
    vmTypes[creation.kvm] = creation.type
    copies.forget()
  }

  /// A VM is gone: nothing of its stage 2 is left, and no event concerns it any more.
  private mutating func destroyVM(_ record: TraceRecord) {
    let kvm = record.destroyedVM
    vmTypes[kvm] = nil
    copies.forget()
    guard let vm = liveVMs.last(where: { vms[$0].kvm == kvm }) else { return }
    retire(vm: vm, at: record.time, basis: .recorded)
    for position in threads.indices where threads[position].vm == vm {
      threads[position].exits = 0
      threads[position].mmioExits = 0
    }
  }

  // MARK: Markers

  /// A marker: what came before it has to be applied first.
  mutating func marker(_ record: TraceRecord) {
    defer { prints += 1 }
    guard checksRules else { return }
    let marker = survey.markers.memory[prints]
    let isQuiet = survey.markers.quiet.contains(prints)
    guard marker != nil || isQuiet else { return }
    var snapshot = MarkerSnapshot(
      marker: marker, time: record.time, cpu: record.cpu, tid: record.tid, vms: liveVMs,
      exits: threads.reduce(0) { $0 + $1.exits }, mmioExits: threads.reduce(0) { $0 + $1.mmioExits })
    if let marker {
      if let firstMarker {
        snapshot.doubt = doubt(since: firstMarker, marker)
      } else {
        let first = FirstMarker(
          marker, epoch: losses.epoch, sawVMs: !liveVMs.isEmpty || !vmTypes.isEmpty)
        firstMarker = first
        snapshot.isFirst = true
        if first.sawVMs { snapshot.doubt = .begunMidLife }
      }
      let known = Set(liveVMs.compactMap { vms[$0].kvm })
      snapshot.otherVMs = vmTypes.filter { !known.contains($0.key) }.map(\.value)
    }
    self.isQuiet = isQuiet
    // A VM that is stopped is not being torn down.
    for vm in liveVMs where isKnownToLive(vm) { vms[vm].lastActivity = sequence }
    snapshots.append(snapshot)
    enqueue(
      PendingRecord(
        action: .marker(snapshots.count - 1), vm: -1, sequence: sequence, time: record.time, cpu: record.cpu,
        tid: record.tid, place: ThreadPlace(windows: 0, notifiers: 0)))
  }

  /// Why the memory of all VMs together is not known.
  private func doubt(since first: FirstMarker, _ marker: MemoryMarker) -> MarkerDoubt? {
    if !survey.events.supportsDerivation { return .notRecorded }
    if losses.isInGap || losses.epoch != first.epoch { return .lostEvents }
    if first.sawVMs || liveVMs.contains(where: { vms[$0].wasRunning }) { return .begunMidLife }
    if liveVMs.contains(where: { vms[$0].kvm.map { vmTypes[$0] == nil } ?? true }) { return .unknownVMs }
    if liveVMs.contains(where: { vms[$0].slotBasis == .assumed || vms[$0].hasUnplacedSlots }) {
      return .assumedMemslots
    }
    if liveVMs.contains(where: { vm in vms[vm].kvm.flatMap { vmTypes[$0] }.map { !profile.fits($0) } ?? true }
    ) {
      return .otherVMType
    }
    if !marker.anonHugeBytes.isEmpty,
      liveVMs.contains(where: { vms[$0].creator.map { marker.anonHugeBytes[$0] == nil } ?? false })
    {
      return .notStopped
    }
    if !isQuiet, liveVMs.contains(where: { vms[$0].lastUnmapEvent > vms[$0].lastActivity }) {
      return .movedMeanwhile
    }
    return nil
  }

  /// Everything before the marker has been applied.
  mutating func applyMarker(_ position: Int) {
    let snapshot = snapshots[position]
    var bounds: [Int: MemoryBounds] = [:]
    for vm in snapshot.vms {
      vms[vm].backend.passGracePeriod()
      bounds[vm] = MemoryBounds(vms[vm], profile.pageSize)
    }
    var all = bounds.values.reduce(MemoryBounds(), +)
    guard let marker = snapshot.marker, let first = firstMarker else {
      quietBounds = all
      return
    }
    // What the host's own memory management did meanwhile may be counted, or not.
    if let quietBounds { all = all.union(quietBounds) }
    quietBounds = nil
    var result = MarkerResult(
      time: snapshot.time, point: marker.point, isFirst: snapshot.isFirst, figures: [])
    result.figures += hostFigures(marker, snapshot, first.marker, all)
    result.figures += hugeFigures(marker, snapshot, bounds)
    result.figures += eventFigures(marker, snapshot)
    for figure in result.figures where !figure.verdict.isConsistent {
      log(figure, marker, snapshot, position)
    }
    markers.append(result)
  }

  /// SecPageTables and mapping objects.
  private func hostFigures(
    _ marker: MemoryMarker, _ snapshot: MarkerSnapshot, _ first: MemoryMarker, _ bounds: MemoryBounds
  ) -> [MarkerFigure] {
    var figures: [MarkerFigure] = []
    if let now = marker.secPageTablesBytes, let before = first.secPageTablesBytes {
      var bounds = bounds
      // The PGD of a VM without slots is there from its creation, except under pKVM.
      if !profile.isPKVM {
        for type in snapshot.otherVMs { bounds.pages += profile.pgdPages(of: type) }
      }
      let pgd = profile.pgdPages
      let more = bounds.pagesMore + snapshot.vms.count * (pgd.upperBound - profile.geometry.pgdPages)
      let less = bounds.pagesLess + snapshot.vms.count * (profile.geometry.pgdPages - pgd.lowerBound)
      let shift = Int(profile.pageSize.shift)
      figures.append(
        MarkerFigure(
          .secPageTables, recorded: Int(now) - Int(before), modelled: bounds.pages << shift,
          range: (bounds.pages - less) << shift...(bounds.pages + more) << shift, doubt: snapshot.doubt))
    }
    if profile.isPKVM, let now = marker.mappings, let before = first.mappings {
      figures.append(
        MarkerFigure(
          .mappings, recorded: now - before, modelled: bounds.mappings,
          range: bounds.mappings - bounds.mappingsLess...bounds.mappings + bounds.mappingsMore,
          doubt: snapshot.doubt))
    }
    return figures
  }

  /// Huge pages of VMMs whose VMs are known: a block maps one.
  private func hugeFigures(
    _ marker: MemoryMarker, _ snapshot: MarkerSnapshot, _ bounds: [Int: MemoryBounds]
  ) -> [MarkerFigure] {
    var figures: [MarkerFigure] = []
    let shift = profile.pageSize.levelShift(.l2)
    for (process, bytes) in marker.anonHugeBytes.sorted(by: { $0.key < $1.key }) {
      let own = snapshot.vms.filter { vms[$0].creator == process }
      guard !own.isEmpty else { continue }
      let sum = own.compactMap { bounds[$0] }.reduce(MemoryBounds(), +)
      let others = marker.otherHugeBytes.map { $0[process] ?? 0 }
      let bytes = bytes + (others ?? 0)
      let doubt: MarkerDoubt? =
        if let doubt = snapshot.doubt {
          doubt
        } else if (sum.blocks - sum.blocksLess) << shift <= bytes {
          nil
        } else if own.count > 1 {
          .sharedMemory
        } else {
          others != nil && sum.readBlocks == 0 ? nil : .otherHugePages
        }
      figures.append(
        MarkerFigure(
          (others ?? 0) > 0 ? .huge : .anonHuge, process: process, recorded: Int(bytes),
          modelled: sum.blocks << shift,
          range: (sum.blocks - sum.blocksLess) << shift...sum.blocks << shift, doubt: doubt, isBound: true))
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
        MarkerFigure(
          .exits, recorded: Int(clamping: exits), modelled: snapshot.exits,
          doubt: doubt ?? (survey.sawExit ? nil : .notRecorded)))
    }
    if let user = marker.mmioExitUser, let kernel = marker.mmioExitKernel {
      figures.append(
        MarkerFigure(
          .mmioExits, recorded: Int(clamping: user &+ kernel), modelled: snapshot.mmioExits,
          doubt: doubt ?? (survey.sawMMIO ? nil : .notRecorded)))
    }
    return figures
  }

  /// Rule D24. That a count of events cannot be compared is no matter of the model.
  private mutating func log(
    _ figure: MarkerFigure, _ marker: MemoryMarker, _ snapshot: MarkerSnapshot, _ position: Int
  ) {
    guard figure.difference != 0, figure.verdict == .differs || !figure.kind.isOfEvents else { return }
    let judgement: Judgement =
      figure.verdict == .differs
      ? .unexplained(.accountingMatches) : .unknown(.accountingMatches, figure.doubt?.exception)
    let place = UInt64(position) << 8 | UInt64(figure.kind.rawValue)
    divergences.note(judgement, vm: nil, block: place) { judgement in
      Divergence(
        rule: judgement.rule, verdict: judgement.verdict, exception: judgement.exception, time: snapshot.time,
        cpu: snapshot.cpu, tid: snapshot.tid, vm: nil, ipa: nil,
        expected:
          "\(judgement.rule.statement); the \(figure.kind.isOfEvents ? "trace" : "model") has \(figure.kind.name) \(figure.modelled)"
          + (figure.range.count > 1 ? ", or \(figure.range.lowerBound) to \(figure.range.upperBound)" : ""),
        observed: "\(figure.kind.name) \(figure.recorded) at the marker \(marker.point)",
        basis: figure.basis, count: 1, state: nil, recentEvents: [])
    }
  }
}

/// The marker from which the host's figures are counted.
struct FirstMarker {
  var marker: MemoryMarker
  var epoch: Int32
  /// Whether there were VMs already.
  var sawVMs: Bool

  init(_ marker: MemoryMarker, epoch: Int32, sawVMs: Bool) {
    self.marker = marker
    self.epoch = epoch
    // KVM counts exits while a VM is there, traced or not.
    self.sawVMs = sawVMs || (marker.exits ?? 0) > 0
  }
}
