internal import KVMTrace
internal import KVMTypes
public import Pictures
internal import Stage2Model
internal import Stage2Replay

extension ReplayReport {
  /// The report as a page of text for a file or a pipe.
  public var text: String { text(in: .filed) }

  /// The report as a page of text: the whole trace, then each VM, the busiest ones first.
  ///
  /// - Parameter heat: maps of the memory of VMs, which are drawn.
  public func text(in form: PageForm, heat: [HeatMap] = []) -> String {
    var page = TextPage(form)
    for input in inputs { head(input, &page) }
    let busiest = vms.sorted { ($1.faults?.total ?? 0, $0.id) < ($0.faults?.total ?? 0, $1.id) }
    for vm in busiest.prefix(Self.vmsMax) {
      page.blank()
      write(vm, &page)
      if let map = heat.first(where: { $0.vm == vm.id }) { map.write(vm.slots, unit, &page) }
    }
    if vms.count > Self.vmsMax {
      page.blank()
      page.line(
        "and \(Quantity.count(vms.count - Self.vmsMax, "more VM"))"
          + (knowsFaults
            ? ", with "
              + Quantity.count(busiest[Self.vmsMax...].reduce(0) { $0 + ($1.faults?.total ?? 0) }, "fault")
            : "")
          + "; --json lists \(vms.count == Self.vmsMax + 1 ? "it" : "them")"
      )
    }
    writeMarkers(&page)
    writeDivergences(&page)
    if let agreement { Self.write(agreement, &page) }
    return page.rendered
  }

  /// Whether VMs have an order by their faults.
  package var knowsFaults: Bool { vms.allSatisfy { $0.faults != nil } }

  /// How many VMs the page shows.
  private static let vmsMax = 3

  /// What stands above the VMs of one input.
  private func head(_ input: TraceInfo, _ page: inout TextPage) {
    page.title(input.path + (input.window.map { ", \($0.text)" } ?? ""))
    page.row(
      "trace",
      (input.window?.events.map { "\(Quantity.count($0, "event")) in this window of " } ?? "")
        + Quantity.count(input.events, "event")
        + (input.window?.isOfSlice == true
          ? ""
          : input.firstNs.flatMap { first in
            input.lastNs.map { " in \(input.unit.duration($0 - min(first, $0)))" }
          } ?? "")
        + (input.isIncomplete ? ", incomplete" : input.lossesUnknown == true ? "" : ", complete")
        + (input.pagesText.map { "; host with \($0)" } ?? ""), input.isIncomplete ? .bad : nil)
    if input.isIncomplete { page.row("", input.lacks, .bad) }
    if let why = input.lossesUnknownWhy {
      page.row("", "whether \(input.lossCount > 0 ? "more " : "")events were lost is unknown: \(why)")
    }
    if input.clockUnit != nil, let clock = input.clock.flatMap({ TraceClock($0) }) {
      page.row(
        "clock",
        "\(clock.name), a tick of which is \(clock.tick): every time is in ticks, also where a name says Ns")
    }
    page.row(
      "model",
      "\(isPKVM ? "pKVM" : "traditional MMU") (\(basis(.path))) of \(field(.era)) (\(basis(.era))), "
        + "\(field(.ipaBits))-bit IPA (\(basis(.ipaBits))), "
        + "\(profile[.hardwareAF] == .bool(true) ? "" : "no ")hardware access flag (\(basis(.hardwareAF)))")
    if let accessFlagCaveat { page.row("", accessFlagCaveat) }
    if let releaseCaveat { page.row("", releaseCaveat) }
    if let backend { write(backend, &page) }
    if let notKnown { page.row("unknown", notKnown.map(\.words).joined(separator: "; "), .doubt) }
    if vms.count > 1 {
      page.row("VMs", Quantity.count(vms.count) + (knowsFaults ? ", those with most faults first" : ""))
    }
    for (position, missing) in (notRecorded ?? []).enumerated() {
      page.row(position == 0 ? "missing" : "", missing.statement, .doubt)
    }
  }

  /// The shared object in the place of the model, and what its kernel tells of itself.
  private func write(_ backend: BackendEntry, _ page: inout TextPage) {
    page.row("", backend.statement)
    for (position, stop) in backend.stopStatements(unit).enumerated() {
      page.row(position == 0 ? "stopped" : "", stop, .bad)
    }
    for (position, warning) in backend.warningStatements.enumerated() {
      page.row(position == 0 ? "warnings" : "", warning, .doubt)
    }
  }

  /// vCPUs are told by faults.
  private static func text(_ vcpus: Int, isKnown: Bool) -> String {
    isKnown || vcpus > 0 ? Quantity.count(vcpus, "vCPU") : "vCPUs unknown"
  }

  /// What the stamps are.
  var unit: StampUnit { inputs.first?.unit ?? .nanoseconds }

  /// How long the time is that was replayed.
  private var spanNs: UInt64 { inputs.first.map { $0.replayed.upperBound - $0.replayed.lowerBound } ?? 0 }

  /// Whether the MMU that was modelled is pKVM's.
  package var isPKVM: Bool { profile[.path] == .word(Profile.Path.pkvm.rawValue) }

  private func field(_ field: ProfileField.ID) -> String { profile[field]?.description ?? "unknown" }

  private func basis(_ field: ProfileField.ID) -> String { (profileBasis[field] ?? .assumed).name }

  private func write(_ vm: VMEntry, _ page: inout TextPage) {
    page.heading(
      "VM \(vm.id)" + (vm.pids.first.map { " of process \($0)" } ?? "")
        + (vm.protected == true ? ", protected" : "")
        + ", \(Self.text(vm.vcpus.count, isKnown: vm.faults != nil)), \(Self.text(vm.slots))")
    if let end = vm.endedNs {
      page.row(
        "ended",
        "at \(unit.moment(end)) (\((vm.endBasis ?? .assumed).name))"
          + (vm.memory.lastState.map { ", having last \($0.words)" } ?? ""))
    }
    if let resets = vm.resets, let last = resets.last {
      page.row(
        "reset",
        (resets.count > 1 ? "\(Quantity.count(resets.count)) times, the last " : "")
          + "after \(unit.moment(last.timeNs)) (\(last.basis.name)): all slots unmapped, "
          + "once for each of \(Self.text(last.vcpus, isKnown: true))")
    }
    page.row("faults", vm.faults?.words ?? "unknown")
    if let faults = vm.faults { page.bars(faults.kinds, of: faults.total) }
    if let idle = vm.faultsWithoutOperation.flatMap({ ReplayReport.words($0) }) {
      page.row("", "\(idle) (\((vm.faultsWithoutOperationBasis ?? .assumed).name))")
    }
    if let nested = vm.faults?.nested {
      page.row("", "\(Quantity.count(nested)) of nested guests besides, whose shadow tables are in no figure")
    }
    for unknown in ReplayReport.unknownWords(vm.faultsWithoutOperation ?? [:]) { page.row("", unknown) }
    write(vm.memory, liveBasis: vm.liveBasis, &page)
    if let hypercalls = vm.hypercalls, vm.hypercallsTotal != 0 {
      let calls = hypercalls.sorted { ($1.value, $0.key.word) < ($0.value, $1.key.word) }
        .map { "\($0.key.word) \(Quantity.count($0.value))" }.joined(separator: ", ")
      page.row(
        "hypercalls",
        vm.hypercallWords + (calls.isEmpty ? "" : ": \(calls) (\(vm.hypercallsBasis?.name ?? "unknown"))"))
      page.row(
        "",
        hypercalls.keys.contains(where: \.isOfCreation)
          ? "without those that end the VM, and vcpu_load and vcpu_put"
          : "without those that create and end the VM, and vcpu_load and vcpu_put")
    }
    if !vm.operations.isEmpty { Self.write(vm.operations, &page) }
    if let words = vm.partialOperationWords { page.line("  \(words)") }
    if let lock = vm.lock { write(lock, spanNs: spanNs, &page) }
    if let lock = vm.modelledLock { write(lock, &page) }
    if let contention = vm.contention {
      page.blank()
      contention.write(&page)
    }
  }

  private func write(_ memory: MemoryEntry, liveBasis: Basis?, _ page: inout TextPage) {
    guard let tables = memory.tablePages, let total = memory.totalBytes else {
      return page.row("memory", "unknown: nothing tells what is mapped")
    }
    if let mappings = memory.mappings, let bytes = memory.mappingTreeBytes {
      page.row(
        "mappings",
        "\(Quantity.count(mappings.live)) at the end, \(Quantity.count(mappings.peak)) at most "
          + "(\(Quantity.count(mappings.page.peak, "page")), \(Quantity.count(mappings.block.peak, "block"))); "
          + "tree \(Quantity.bytes(UInt64(bytes.live))), at most \(Quantity.bytes(UInt64(bytes.peak))) "
          + "(\(Self.bases([("mappings", memory.mappingsBasis), ("bytes", memory.mappingTreeBytesBasis)])))")
    }
    page.row(
      "tables",
      "\(Quantity.count(tables.live, "page")) at the end, \(Quantity.count(tables.peak)) at most, "
        + "PGD \(Quantity.count(memory.pgdPages ?? 0, "page")), "
        + "memcaches \(Quantity.count(memory.memcachePages?.live ?? 0, "page")) "
        + "(\(memory.tablesBasis?.name ?? "unknown"))")
    let parts = memory.parts.flatMap { $0.bytes.isEmpty ? nil : ": \($0.words)" } ?? ""
    page.row(
      "memory",
      "\(Quantity.bytes(UInt64(total.live))) at the end\(parts) (\(liveBasis?.name ?? "unknown"))")
    page.row(
      "",
      "\(Quantity.bytes(UInt64(total.peak))) at most (\(memory.basis?.name ?? "unknown")); each figure has its most at a moment of its own"
    )
  }

  /// "assumed", or "mappings derived, bytes assumed" where they differ.
  private static func bases(_ bases: [(what: String, basis: Basis?)]) -> String {
    let names = bases.map { $0.basis?.name ?? "unknown" }
    return Set(names).count == 1
      ? names[0] : zip(bases, names).map { "\($0.what) \($1)" }.joined(separator: ", ")
  }

  /// "unmap, test_clear_young".
  static func names(_ kinds: [OperationKind]) -> String { kinds.map(\.name).joined(separator: ", ") }

  static func write(_ operations: [OperationKind: OperationEntry], _ page: inout TextPage) {
    page.blank()
    let most = operations.values.map(\.count).max() ?? 0
    let bars = page.form.isTerminal && operations.count > 1
    page.table(
      header: ["operation", "count", "-EAGAIN", "errors", "pages", "derived", "assumed"] + (bars ? [""] : []),
      alignRight: [false, true, true, true, true, true, true] + (bars ? [false] : []),
      rows: operations.sorted { ($1.value.count, $0.key.word) < ($0.value.count, $1.key.word) }.map {
        kind, entry in
        [
          kind.name, Quantity.count(entry.count), Quantity.count(entry.eagain),
          Quantity.count(entry.errors),
          Quantity.count(entry.pages), Quantity.count(entry.basis[.derived] ?? 0),
          Quantity.count(entry.basis[.assumed] ?? 0),
        ] + (bars ? [Bars.bar(Double(entry.count) / Double(max(most, 1)), width: Bars.width, page.form)] : [])
      }, spare: (bars ? [SpareColumns([7], called: nil)] : []) + [2, 3, 4, 5, 6])
  }

  /// A slot that is listed with several sets of flags is one.
  private static func text(_ slots: [SlotEntry]) -> String {
    if slots.isEmpty { return "no slots known" }
    let all = Set(slots.map(SlotPlace.init)).count
    let assumed = Set(slots.filter { $0.basis == .assumed }.map(SlotPlace.init)).count
    let unplaced = Set(slots.filter { $0.hva == nil }.map(SlotPlace.init)).count
    return Quantity.count(all, "slot")
      + (assumed > 0 ? " (\(assumed == all ? "" : "\(assumed) of them ")assumed)" : "")
      + (unplaced > 0 ? ", \(Quantity.count(unplaced)) of unknown host address" : "")
  }

  static func write(
    _ agreement: AgreementTable, of what: String = "this trace", _ page: inout TextPage
  ) {
    page.blank()
    page.heading("prediction against the probes of \(what)")
    page.table(
      header: ["operation", "recorded", "predicted", "agree", "share"],
      alignRight: [false, true, true, true, true],
      rows: agreement.ordered.map { kind, entry in [kind.name] + entry.words.dropLast() }, spare: [3, 2])
    for note in agreement.notes { page.line("  " + note) }
  }
}

/// Where a slot is in the guest and in the host.
private struct SlotPlace: Hashable {
  let gfn: UInt64
  let pages: UInt64
  let hva: UInt64?

  init(_ slot: ReplayReport.SlotEntry) { (gfn, pages, hva) = (slot.gfn, slot.pages, slot.hva) }
}

extension ReplayReport.FaultsEntry {
  /// How many there are of each kind. Translation faults on devices are told by themselves, where they are known.
  fileprivate var kinds: [(name: String, part: Int)] {
    [
      (mmio == nil ? "translation" : "translation, memory", translation - (mmio ?? 0)), ("MMIO", mmio ?? 0),
      ("permission", permission), ("access flag", accessFlag), ("other", other),
    ]
  }

  /// "3: 1 translation (0 of them MMIO), 2 permission, 0 access flag", and of other kinds those that there are.
  package var words: String {
    "\(Quantity.count(total)): \(Quantity.count(translation)) translation (\(mmio.map { Quantity.count($0) } ?? "unknown how many") of them MMIO), "
      + "\(Quantity.count(permission)) permission, \(Quantity.count(accessFlag)) access flag"
      + (other > 0 ? ", \(Quantity.count(other)) of another status" : "")
  }
}
