internal import KVMTypes
internal import Stage2Model
internal import Stage2Replay

/// The tracks of one recording, each described before its first event:
///
///     Replay of INPUT                   what concerns no VM, or all
///       markers
///       events lost
///     VM 0 of process 140, pKVM         one for each VM
///       vCPU 0, thread 142              fault windows, operations, divergences
///         mmu_lock held
///         mmu_lock waited for
///       kswapd0, thread 40              a thread of the host
///       page mappings, ...              counters
final class TrackTree {
  /// What the tracks are called by.
  struct Names {
    /// What the input is called.
    var input: String
    /// Whether VMs have to say of which input they are.
    var isOneOfSeveral: Bool
    /// The command of a thread, nil where it was not recorded.
    var command: (ThreadID) -> String?
  }

  /// The rows of slices that a thread has.
  enum Row: Int {
    case faults, held, waited

    var kind: TrackIdentity.Kind {
      switch self {
      case .faults: .faults
      case .held: .held
      case .waited: .waited
      }
    }

    var name: String {
      switch self {
      case .faults: "faults"
      case .held: "mmu_lock held"
      case .waited: "mmu_lock waited for"
      }
    }
  }

  private struct Thread {
    let vm: Int?
    let tid: ThreadID
    let uuid: UInt64
    /// Its vCPU's number, nil as long as no fault told that it runs one.
    var vcpu: Int?
    var rows = [SliceLanes(), SliceLanes(), SliceLanes()]
  }

  private struct ThreadKey: Hashable {
    var vm: Int?
    var tid: ThreadID
  }

  let writer: PacketWriter
  let identity: TrackIdentity
  private let names: Names
  private var threads: [Thread] = []
  private var places: [ThreadKey: Int] = [:]
  private var vms: [Int: UInt64] = [:]
  /// The track of what concerns no VM.
  private var replay: UInt64?

  init(_ writer: PacketWriter, _ identity: TrackIdentity, _ names: Names) {
    self.writer = writer
    self.identity = identity
    self.names = names
  }

  // MARK: Processes

  /// Describes a VM's track, or once more with what has come out since.
  ///
  /// - Parameter labels: what the UI shows beside the name.
  func describe(vm id: Int, name: String, labels: [String] = [], description: String? = nil) throws {
    let uuid = identity.uuid(.vm, UInt64(id))
    vms[id] = uuid
    let name = names.isOneOfSeveral ? "\(name) (\(names.input))" : name
    try describe(process: uuid, name: name, labels: labels, description: description)
  }

  /// The track of a VM.
  func track(ofVM id: Int?) throws -> UInt64 {
    guard let id else { return try trackOfReplay() }
    if let known = vms[id] { return known }
    try describe(vm: id, name: "VM \(id)")
    return identity.uuid(.vm, UInt64(id))
  }

  /// The track of what concerns no VM, or all.
  func trackOfReplay(labels: [String] = []) throws -> UInt64 {
    if let replay, labels.isEmpty { return replay }
    let uuid = identity.uuid(.replay)
    replay = uuid
    try describe(process: uuid, name: "Replay of \(names.input)", labels: labels, description: nil)
    return uuid
  }

  private func describe(process uuid: UInt64, name: String, labels: [String], description: String?) throws {
    try writer.describe(uuid) { track in
      track.message(TrackField.process) { process in
        process.varint(ProcessField.pid, TrackIdentity.pid(ofTrack: uuid))
        process.text(ProcessField.processName, name)
        for label in labels { process.text(ProcessField.processLabels, label) }
      }
      if let description { track.text(TrackField.description, description) }
    }
  }

  /// Describes a track below another one.
  func describe(child uuid: UInt64, of parent: UInt64, name: String) throws {
    try writer.describe(uuid) { track in
      track.text(TrackField.name, name)
      track.varint(TrackField.parentUUID, parent)
    }
  }

  /// Describes a counter of a VM.
  func describe(
    counter uuid: UInt64, ofVM id: Int, name: String, unit: CounterUnit?, unitName: String?
  ) throws {
    let parent = try track(ofVM: id)
    try writer.describe(uuid) { track in
      track.text(TrackField.name, name)
      track.varint(TrackField.parentUUID, parent)
      track.message(TrackField.counter) { counter in
        if let unit { counter.varint(CounterField.unit, unit.rawValue) }
        if let unitName { counter.text(CounterField.unitName, unitName) }
      }
    }
  }

  // MARK: Threads

  /// A thread of a VM, by a number of its own.
  ///
  /// - Parameter vcpu: the number of the vCPU that it runs, where that is known.
  func thread(_ tid: ThreadID, ofVM vm: Int?, vcpu: Int? = nil) throws -> Int {
    let key = ThreadKey(vm: vm, tid: tid)
    if let place = places[key] {
      if let vcpu, threads[place].vcpu == nil {
        threads[place].vcpu = vcpu
        try describe(threads[place])
      }
      return place
    }
    let uuid = identity.uuid(
      .thread, vm.map { UInt64($0) } ?? .max, UInt64(UInt32(bitPattern: tid.rawValue)))
    let thread = Thread(vm: vm, tid: tid, uuid: uuid, vcpu: vcpu)
    try describe(thread)
    places[key] = threads.count
    threads.append(thread)
    return threads.count - 1
  }

  /// A thread's own track.
  func track(ofThread thread: Int) -> UInt64 { threads[thread].uuid }

  private func describe(_ thread: Thread) throws {
    let parent = try track(ofVM: thread.vm)
    let command = names.command(thread.tid)
    let name =
      thread.vcpu.map { "vCPU \($0), thread \(thread.tid.rawValue)" }
      ?? "\(command.map { "\($0), " } ?? "")thread \(thread.tid.rawValue)"
    try writer.describe(thread.uuid) { track in
      track.varint(TrackField.parentUUID, parent)
      track.message(TrackField.thread) { descriptor in
        descriptor.varint(ThreadField.pid, TrackIdentity.pid(ofTrack: parent))
        descriptor.varint(ThreadField.tid, TrackIdentity.pid(ofTrack: thread.uuid))
        descriptor.text(ThreadField.threadName, name)
      }
    }
  }

  // MARK: Slices

  /// Writes a slice of a thread.
  ///
  /// - Parameters:
  ///   - end: nil where it has none: it then ends with the next slice of the row, or with the trace.
  ///   - atBegin: writes what the slice is.
  ///   - atEnd: writes what came of it.
  func slice(
    _ row: Row, of thread: Int, from begin: Nanoseconds, to end: Nanoseconds?,
    atBegin: (inout WireBuffer) -> Void, atEnd: (inout WireBuffer) -> Void
  ) throws {
    // A clock that does not order events may have the end before the begin.
    let end = end.map { max($0, begin) }
    let place = threads[thread].rows[row.rawValue].take(from: begin, to: end)
    let track = track(ofLane: place.lane, row, of: threads[thread])
    if place.isNew, track != threads[thread].uuid {
      try describe(child: track, of: threads[thread].uuid, name: row.name)
    }
    if place.closesAnother { try writer.event(.sliceEnd, at: begin, on: track) { $0.flag(.cut) } }
    try writer.event(.sliceBegin, at: begin, on: track, atBegin)
    if let end { try writer.event(.sliceEnd, at: end, on: track, atEnd) }
  }

  /// Ends the slices that have no end, at the last moment of the trace.
  func finish(at last: Nanoseconds) throws {
    for thread in threads {
      for row in [Row.faults, .held, .waited] {
        for (lane, begin) in thread.rows[row.rawValue].open {
          let track = track(ofLane: lane, row, of: thread)
          try writer.event(.sliceEnd, at: max(begin, last), on: track) { $0.flag(.cut) }
        }
      }
    }
  }

  /// The fault windows of a thread lie on its own track, all else on tracks below it. Those of one name are one in the UI.
  private func track(ofLane lane: Int, _ row: Row, of thread: Thread) -> UInt64 {
    row == .faults && lane == 0 ? thread.uuid : identity.uuid(row.kind, thread.uuid, UInt64(lane))
  }
}
