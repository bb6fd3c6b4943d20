public import KVMTrace
public import KVMTypes
internal import Stage2Model
public import Stage2Replay

/// A replay as tracks of the Perfetto UI: it looks at the replay while it goes on, and writes packets as they come.
///
/// | concept | file |
/// |---|---|
/// | which tracks there are | `TrackTree.swift`, `TrackIdentity.swift` |
/// | slices that do not overlap | `SliceLanes.swift` |
/// | faults with their operations | `FaultSlices.swift` |
/// | flows from unmaps to faults | `TakenPages.swift` |
/// | counters | `MemoryCounters.swift` |
/// | instants | `Instants.swift` |
/// | whether a file is one of tracks alone | `TracksSignature.swift` |
/// | the file | `PacketWriter.swift`, `WireBuffer.swift`, `Vocabulary.swift`, `PerfettoFields.swift` |
public final class ReplayTracks {
  /// What the tracks are called by, and of which time they are.
  public struct Input {
    /// What the input is called.
    public var name: String
    /// Its position among several inputs.
    public var position: Int
    /// Whether VMs have to say of which input they are.
    public var isOneOfSeveral: Bool
    /// The clock of its stamps.
    public var clock: RecordingClock
    /// The command of a thread, nil where it was not recorded.
    public var command: (ThreadID) -> String?

    /// An input.
    public init(
      name: String, position: Int = 0, isOneOfSeveral: Bool = false, clock: RecordingClock,
      command: @escaping (ThreadID) -> String? = { _ in nil }
    ) {
      self.name = name
      self.position = position
      self.isOneOfSeveral = isOneOfSeveral
      self.clock = clock
      self.command = command
    }
  }

  private struct VM {
    var memory: MemoryCounters
    var taken: TakenPages
  }

  private let input: Input
  private let vms: Set<Int>?
  private let tree: TrackTree
  private var profile: ReplayProfile?
  private var faults = FaultSlices()
  private var states: [Int: VM] = [:]

  /// - Parameters:
  ///   - vms: the VMs that are written, nil for all.
  ///   - sink: takes the bytes of the file, in their order.
  public init(_ input: Input, vms: Set<Int>? = nil, sink: @escaping (UnsafeRawBufferPointer) throws -> Void) {
    self.input = input
    self.vms = vms
    let identity = TrackIdentity(input: input.name, position: input.position)
    tree = TrackTree(
      PacketWriter(identity, input.clock, sink: sink), identity,
      TrackTree.Names(input: input.name, isOneOfSeveral: input.isOneOfSeveral, command: input.command))
  }

  /// What looks at a replay for the tracks. Operations are for `add`.
  public var observer: ReplayObserver {
    var observer = ReplayObserver()
    observer.onBegin = {
      self.profile = $0
      self.faults.pageSize = $0.pageSize
    }
    observer.onVM = { vm in
      if self.isWanted(vm.id) { try self.tree.describe(vm: vm.id, name: self.name(of: vm)) }
    }
    observer.onFault = { fault in
      if self.isWanted(fault.vm) { try self.faults.add(fault, to: self.tree) }
    }
    // Ticks tell nothing of how long a lock was held, and the report has no such times either.
    if case .ticks = input.clock {
    } else {
      observer.onHold = { if self.isWanted($0.vm) { try self.tree.add($0.hold, ofVM: $0.vm) } }
      observer.onWait = { if self.isWanted($0.vm) { try self.tree.add($0.wait, ofVM: $0.vm) } }
    }
    observer.onMemory = { memory in
      if self.isWanted(memory.vm) {
        try self.with(memory.vm) { try $0.memory.add(memory.sample, at: memory.time, to: self.tree) }
      }
    }
    observer.onDivergence = { divergence in
      if divergence.vm.map(self.isWanted) ?? (self.vms == nil) { try self.tree.add(divergence) }
    }
    return observer
  }

  /// An operation was performed.
  public func add(_ operation: Stage2Operation) throws {
    guard isWanted(operation.vm) else { return }
    switch operation.kind {
    case .map, .relaxPerms, .mkyoung:
      let isTaken = try with(operation.vm) { vm in
        if operation.kind == .map { try vm.memory.begin(tree) }
        return faults.attach(operation) { begin in
          operation.kind == .map ? vm.taken.map(operation, faultFrom: begin) : []
        }
      }
      if !isTaken {
        let takings = with(operation.vm) {
          operation.kind == .map ? $0.taken.map(operation, faultFrom: operation.time) : []
        }
        try faults.keep(operation, takings, for: tree)
      }
    case .unmap:
      let (flows, pages) = with(operation.vm) { $0.taken.unmap(operation) }
      try tree.add(operation, flows: flows, pagesTaken: pages)
    case .wrprotect, .testClearYoung, .flush, .split: try tree.add(operation)
    }
  }

  /// The replay is over: writes what is left, and what only its result has.
  ///
  /// - Parameters:
  ///   - statistics: what the pass found, for where events are missing.
  ///   - part: the time that was replayed.
  ///   - losses: what is known of lost events, in words.
  ///   - damage: what is known of damage, in words; nil where there is none.
  ///   - window: which part was replayed, in words; nil for the whole trace.
  public func finish(
    _ result: ReplayResult, _ statistics: EventStatistics, part: Range<Nanoseconds>, losses: String,
    damage: String?, window: String?
  ) throws {
    try faults.finish(tree)
    try tree.finish(at: part.upperBound)
    let statements = statements(result, window, losses, damage)
    for vm in result.vms where isWanted(vm.id) { try finish(vm, result, statements) }
    try tree.add(result.markers)
    try tree.add(statistics.losses + statistics.untoldEnds, from: part.lowerBound)
    try tree.add(statements, at: part.lowerBound, pkvm: result.profile.isPKVM)
    try tree.writer.flush()
  }

  /// What is known of a VM at the end.
  private func finish(
    _ vm: VMResult, _ result: ReplayResult, _ statements: [(key: String, value: String)]
  ) throws {
    if let end = vm.end, vm.isTableKnown {
      try with(vm.id) { try $0.memory.add(MemorySample(vm.memory), at: end.time, to: tree) }
    }
    if let lock = vm.lock { try LockCounters.write(lock, result.grid, ofVM: vm.id, to: tree) }
    let certainty = Certainty(result, of: vm)
    let labels = [
      vm.isTableKnown
        ? "mappings \(certainty.mappings.name), memory \(certainty.totalBytes.name)"
        : "what its stage 2 maps is not known",
      vm.end.map { "ended, \($0.basis.name)" }, vm.beganBefore ? "was there before" : nil,
    ]
    let observed = ObservedVM(id: vm.id, creator: vm.creator, isProtected: vm.isProtected)
    try tree.describe(
      vm: vm.id, name: name(of: observed), labels: labels.compactMap(\.self),
      description: statements.map { "\($0.key): \($0.value)" }.joined(separator: "\n"))
  }

  /// What somebody has to know of all of the tracks.
  private func statements(
    _ result: ReplayResult, _ window: String?, _ losses: String, _ damage: String?
  ) -> [(key: String, value: String)] {
    var statements = window.map { [(key: "window", value: $0)] } ?? []
    statements.append(("lost events", losses))
    if let damage { statements.append(("damage", damage)) }
    let missing = result.missingEvents.map(\.statement)
    if !missing.isEmpty { statements.append(("not recorded", missing.joined(separator: "; "))) }
    if !result.recordingSettings.isEmpty {
      let settings = result.recordingSettings.map { "\($0.key)=\($0.value)" }
      statements.append(("recording", settings.joined(separator: " ")))
    }
    statements.append(
      (
        "durations",
        "those of the recorded host: where that was emulated, they say nothing of hardware; holds are from the entry of a "
          + "stage-2 function to its return, and so lower bounds"
      ))
    if let doubt = input.clock.doubt { statements.append(("clock", doubt)) }
    if !result.caveats.isEmpty { statements.append(("caveats", result.caveats.joined(separator: "; "))) }
    return statements
  }

  /// "VM 0 of process 140, pKVM, protected".
  private func name(of vm: ObservedVM) -> String {
    "VM \(vm.id)" + (vm.creator.map { " of process \($0.rawValue)" } ?? "")
      + (profile.map { $0.isPKVM ? ", pKVM" : ", traditional" } ?? "") + (vm.isProtected ? ", protected" : "")
  }

  private func isWanted(_ vm: Int) -> Bool { vms?.contains(vm) ?? true }

  private func with<Result>(_ vm: Int, _ body: (inout VM) throws -> Result) rethrows -> Result {
    if states[vm] == nil {
      states[vm] = VM(
        memory: MemoryCounters(vm: vm, isPKVM: profile?.isPKVM ?? false),
        taken: TakenPages(vm: vm, profile?.pageSize ?? .size4K, tree.identity))
    }
    return try body(&states[vm]!)
  }
}
