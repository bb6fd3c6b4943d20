internal import CStage2Backend
internal import KVMTypes
package import Stage2Model

/// What the model and a shared object do not agree on.
package struct StockMismatch: Error, CustomStringConvertible {
  /// The kernel and host.
  package var host: StockCase
  /// The calls up to it, as few as show it.
  package var calls: [StageCall]
  /// What differs after the last of them.
  package var what: String

  package var description: String {
    "\(host): \(what)\n" + Reproducer.text([.create(host.shape, vm: 0)] + calls, about: ["\(host): \(what)"])
  }
}

/// Holds a shared object against the model of the kernel that it is, by random calls.
package struct StockCheck {
  /// Calls that are made on one VM before the next one is made.
  private static let piece = 400

  private let library: BackendLibrary
  private let cases: [StockCase]

  /// The check of all that a shared object offers, as a kernel of `era`.
  package init(_ library: BackendLibrary, era: PKVMEra) {
    self.library = library
    let paths = [Profile.Path.traditional, .pkvm].filter { library.has(isPKVM: $0 == .pkvm) }
    cases = paths.flatMap { StockCase.all($0, era, library.pageSize) }
      .filter { library.hasProtectedGuests || !$0.profile.isProtected }
  }

  /// Makes so many calls, spread over all cases.
  ///
  /// - Parameter seed: of the first piece.
  /// - Throws: the first mismatch, with as few calls as show it.
  package func run(calls: Int, seed: UInt64) throws(StockMismatch) {
    guard !cases.isEmpty else { return }
    let pieces = max((calls + Self.piece - 1) / Self.piece, cases.count)
    for number in 0..<pieces {
      let host = cases[number % cases.count]
      let calls = host.calls(seed: seed &+ UInt64(number), count: Self.piece)
      guard let found = mismatch(host, calls) else { continue }
      throw shrunk(host, Array(calls.prefix(found.position + 1)), found.what)
    }
  }

  /// Makes the calls on new VMs, and ends them.
  ///
  /// - Returns: the first call after which the two differ; the number of calls if it is the end of the VM.
  private func mismatch(_ host: StockCase, _ calls: [StageCall]) -> (position: Int, what: String)? {
    guard let geometry = try? host.profile.geometry() else { return nil }
    guard host.profile.isPKVM else {
      var model = TraditionalStage2(geometry: geometry, features: host.profile.features)
      return run(host, calls, &model) { $0.counters }
    }
    guard let configuration = try? host.profile.pkvmConfiguration() else { return nil }
    var model = PKVMStage2(configuration)
    return run(host, calls, &model) { _ in nil }
  }

  private func run<Model: Stage2Backend & ~Copyable>(
    _ host: StockCase, _ calls: [StageCall], _ model: inout Model,
    counters: (borrowing Model) -> Stage2Counters?
  ) -> (position: Int, what: String)? {
    var foreign = ForeignStage2(library, host.shape, frameOffset: host.shape.frameOffset(ofVM: 0))
    var touched: Set<UInt64> = []
    for (position, call) in calls.enumerated() {
      if let topUp = host.topUp(before: call) {
        _ = topUp.perform(on: &model, knowsFrame: false)
        _ = topUp.perform(on: &foreign, knowsFrame: false)
      }
      let wanted = call.perform(on: &model, knowsFrame: false)
      let got = call.perform(on: &foreign, knowsFrame: false)
      if call.function == .map { touched.insert(call.ipa) }
      if let stop = stop(foreign) { return (position, stop) }
      if call.function != .topUpSplitCache, got != wanted {
        return (position, "returns \(got), not \(wanted) as the model")
      }
      if call.function.isOfAddress, let what = compareWalk(&model, &foreign, call.ipa) {
        return (position, what)
      }
      if let what = compareCounts(model.hypercallCounts, foreign, counters(model)) { return (position, what) }
      guard position % 32 == 31 || position == calls.count - 1 else { continue }
      for ipa in touched { if let what = compareWalk(&model, &foreign, ipa) { return (position, what) } }
      if let what = compareMemory(model.accountedMemory, foreign) { return (position, what) }
    }
    return end(host, &model, &foreign).map { (calls.count, "at the end of the VM: \($0)") }
  }

  /// Why nothing can be called any more.
  private func stop(_ foreign: borrowing ForeignStage2) -> String? {
    library.refusal?.description ?? (foreign.hasStopped ? "the kernel stops: \(foreign.lastPanic)" : nil)
  }

  private func compareWalk<Model: Stage2Backend & ~Copyable>(
    _ model: inout Model, _ foreign: inout ForeignStage2, _ ipa: UInt64
  ) -> String? {
    let (wanted, got) = (model.walk(IPA(ipa)), foreign.walk(IPA(ipa)))
    return got == wanted
      ? nil
      : "a walk of 0x\(String(ipa, radix: 16)) finds \(got.words), and the model's \(wanted.words)"
  }

  private func compareCounts(
    _ wanted: HypercallCounts?, _ foreign: borrowing ForeignStage2, _ counters: Stage2Counters?
  ) -> String? {
    if let wanted, let got = foreign.hypercallCounts {
      if let call = Hypercall.allCases.first(where: { got[$0] != wanted[$0] }) {
        return "\(got[call]) calls of \(call.name) so far, not \(wanted[call]) as the model"
      }
      if foreign.otherHypercallCount > 0 { return "a hypercall that the model does not know" }
    }
    guard let counters else { return nil }
    let got = foreign.maintenance
    for (what, has, wants) in [
      ("TLB invalidations of the VMID", got.tlbiVMID, counters.tlbiVMID),
      ("TLB invalidations by IPA", got.tlbiIPA, counters.tlbiIPA),
      ("local TLB invalidations", got.tlbiIPANonShareable, counters.tlbiIPANonShareable),
      ("TLB invalidations of ranges", got.tlbiRange, counters.tlbiRange),
      ("pages of the data cache cleaned", got.dcachePages, counters.dcachePages),
      ("pages of the instruction cache invalidated", got.icachePages, counters.icachePages),
    ] where has != wants {
      return "\(has) \(what) so far, not \(wants) as the model"
    }
    return nil
  }

  private func compareMemory(_ wanted: MemoryAccounting?, _ foreign: borrowing ForeignStage2) -> String? {
    guard let wanted, let got = foreign.accountedMemory else { return nil }
    for level in 1...3 {
      let level = TranslationLevel(Int8(level))
      let (has, wants) = (got.tables(level: level).live, wanted.tables(level: level).live)
      if has != wants { return "\(has) tables of level \(level.rawValue), not \(wants) as the model" }
    }
    let (has, wants) = (got.mappings.live, wanted.mappings.live)
    return has == wants ? nil : "\(has) mappings, not \(wants) as the model"
  }

  private func end<Model: Stage2Backend & ~Copyable>(
    _ host: StockCase, _ model: inout Model, _ foreign: inout ForeignStage2
  ) -> String? {
    let all = UInt64(1) << UInt64(host.profile.ipaBits)
    model.passGracePeriod()
    foreign.passGracePeriod()
    model.destroyRange(IPA(0), size: all)
    foreign.destroyRange(IPA(0), size: all)
    if let stop = stop(foreign) { return stop }
    if library.table.pointee.destroy_range != nil {
      return compareCounts(model.hypercallCounts, foreign, nil)
        ?? compareMemory(model.accountedMemory, foreign)
    }
    // What goes with the PGD then is no more than the ranges, and the PGD itself.
    guard library.table.pointee.destroy_pgd != nil else { return nil }
    foreign.destroyPGD()
    return stop(foreign) ?? compareMemory(model.accountedMemory, foreign)
  }

  /// Takes away what the mismatch does not need.
  private func shrunk(_ host: StockCase, _ calls: [StageCall], _ what: String) -> StockMismatch {
    var (calls, what) = (calls, what)
    var step = max(calls.count / 2, 1)
    while true {
      var position = 0
      var isShorter = false
      while position < calls.count {
        var fewer = calls
        fewer.removeSubrange(position..<min(position + step, calls.count))
        if let found = mismatch(host, fewer) {
          calls = Array(fewer.prefix(found.position + 1))
          what = found.what
          isShorter = true
        } else {
          position += step
        }
      }
      if step == 1, !isShorter { break }
      step = max(step / 2, 1)
    }
    let offset = host.shape.frameOffset(ofVM: 0)
    let whole = calls.flatMap { call in
      var known = call
      let gfn = IPA(call.ipa).gfn(host.profile.pageSize)
      if call.function == .map { known.pfn = host.shape.frame(of: gfn, offset: offset) }
      return [host.topUp(before: call), known].compactMap(\.self)
    }
    return StockMismatch(host: host, calls: whole, what: what)
  }
}
